"""The threads that wait for an app while another one reads for them."""

from __future__ import annotations

from collections.abc import Callable

from isoclient.system.locks import make_lock
from isoclient.system.modules import threading

__all__ = ["Waiters", "place_to_park"]


def place_to_park() -> threading.Lock:
    """A lock that is held: who takes it parks there, until another one releases it."""
    lock = threading.Lock()
    lock.acquire()
    return lock


class Waiters:
    """The threads that wait while another one leads: what each waits for, and the lock that it is parked at."""

    __slots__ = ("_list", "_mutex")

    def __init__(self) -> None:
        self._mutex = make_lock()
        self._list: list[tuple[Callable[[], object], threading.Lock]] = []

    def add(self, ready: Callable[[], object], lock: threading.Lock) -> None:
        """One more, which parks at this lock until it is ready or is to lead."""
        with self._mutex:
            self._list.append((ready, lock))

    def remove(self, lock: threading.Lock) -> None:
        """It waits no more."""
        with self._mutex:
            self._list = [waiter for waiter in self._list if waiter[1] is not lock]

    def wake_one(self) -> None:
        """So that somebody leads."""
        if self._list:
            with self._mutex:
                for _, lock in self._list[:1]:
                    self._list = self._list[1:]
                    _release(lock)

    def wake_all(self) -> None:
        """So that each looks again whether it may wait."""
        with self._mutex:
            parked, self._list = self._list, []
            for _, lock in parked:
                _release(lock)

    def wake_ready(self) -> None:
        """Those that have what they wait for."""
        if self._list:
            with self._mutex:
                parked = []
                for waiter in self._list:
                    if waiter[0]():
                        _release(waiter[1])
                    else:
                        parked.append(waiter)
                self._list = parked


def _release(lock: threading.Lock) -> None:
    if lock.locked():  # else a signal handler was faster
        lock.release()
