"""Waiting for an answer that is likely to come within microseconds.

To put this process to sleep and to wake it again may take as long as the app takes to answer, where the two run on
processors of their own. So whoever has just seen that answers come fast looks again and again for a moment before it
sleeps. Between two looks it offers its processor to others (``sched_yield``), of which the app's process may be one: on
a single processor, or a busy machine, it costs nothing that way.
"""

from __future__ import annotations

import os
import select
from socket import socket
from time import perf_counter
from typing import Final

__all__ = ["EagerPoll"]

_MOMENT: Final = 300e-6  # seconds
_offer_processor = getattr(os, "sched_yield", None)


class EagerPoll:
    """A :func:`select.poll` that may look for a moment before it waits.

    Attributes:
        may_look: whether it is worth while at all: not where whoever is to answer needs the GIL for that.
    """

    __slots__ = ("_is_fast", "_poll", "may_look")

    def __init__(self) -> None:
        self.may_look = False
        self._is_fast = False  # whether the last answer came within a moment
        self._poll = select.poll()

    def register(self, file: socket | int, events: int) -> None:
        """As of :func:`select.poll`."""
        self._poll.register(file, events)

    def poll(self, milliseconds: int | None) -> list[tuple[int, int]]:
        """As of :func:`select.poll`; None waits for ever.

        Example:
            >>> poll = EagerPoll()
            >>> poll.poll(1)
            []
        """
        if self._is_fast and milliseconds != 0 and (ready := self._look()):
            return ready
        began = perf_counter()
        ready = self._poll.poll(milliseconds)
        self._is_fast = self.may_look and perf_counter() - began < _MOMENT
        return ready

    def _look(self) -> list[tuple[int, int]]:
        look, end = self._poll.poll, perf_counter() + _MOMENT
        # By the clock, for each look may have to wait for the GIL: another thread may have it for milliseconds.
        while not (ready := look(0)) and perf_counter() < end:
            if _offer_processor is not None:
                _offer_processor()
        return ready
