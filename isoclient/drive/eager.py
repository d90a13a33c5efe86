"""Waiting for an answer that is likely to come within microseconds.

To put this process to sleep and to wake it again may take as long as the app takes to answer, where the two run on
processors of their own. So whoever has seen that answers come fast looks again and again for a moment before it sleeps.
Between two looks it offers its processor to others (``sched_yield``), of which the app's process may be one: where the
processors are busy, this takes no longer than to sleep. It costs processor time, up to a moment for each wait, and all
of it in vain where the next answer is a slow one.
"""

from __future__ import annotations

from typing import Final

from isoclient.system.modules import os, select, socket, time

__all__ = ["EagerPoll"]

_MOMENT: Final = 300e-6  # seconds
_offer_processor = getattr(os, "sched_yield", None)


class EagerPoll:
    """A :func:`select.poll` that may look for a moment before it waits.

    Example:
        >>> poll = EagerPoll()
        >>> poll.poll(1)
        []
    """

    __slots__ = ("_are_fast", "_is_allowed", "_poll", "_was_fast")

    def __init__(self) -> None:
        self._is_allowed = False
        self._was_fast = False  # the last answer came within a moment
        self._are_fast = False  # and the one before it
        self._poll = select.poll()

    def allow(self) -> None:
        """Let it look, if that can be worth while: there is more than one processor.

        Not to be called where whoever is to answer needs the GIL for that.
        """
        self._is_allowed = _offer_processor is not None and _processors() > 1

    def register(self, file: socket.socket | int, events: int) -> None:
        """As of :func:`select.poll`."""
        self._poll.register(file, events)

    def poll(self, milliseconds: int | None) -> list[tuple[int, int]]:
        """As of :func:`select.poll`; None waits for ever."""
        if not self._is_allowed or milliseconds == 0:
            return self._poll.poll(milliseconds)
        began = time.monotonic()
        if self._are_fast and (ready := self._look(began + _MOMENT)):
            return ready
        ready = self._poll.poll(milliseconds)
        is_fast = bool(ready) and time.monotonic() - began < _MOMENT
        self._are_fast, self._was_fast = is_fast and self._was_fast, is_fast
        return ready

    def _look(self, end: float) -> list[tuple[int, int]]:
        look, offer = self._poll.poll, _offer_processor
        # By the clock, for each look may have to wait for the GIL: another thread may have it for milliseconds.
        while not (ready := look(0)) and offer is not None and time.monotonic() < end:
            offer()
        return ready


def _processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
