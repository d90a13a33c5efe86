"""How the threads that use one connection share it: which one reads, which ones wait, and who may close it when."""

from __future__ import annotations

from collections.abc import Callable

from isoclient.drive.failures import ConnectionLost
from isoclient.system.locks import make_lock
from isoclient.system.modules import threading

__all__ = ["Closing", "Lead", "Waiters", "place_to_park"]


class Lead:
    """Which thread reads: a lock that is only ever tried, and that knows its holder.

    An exception out of a signal handler, such as Ctrl-C, may come between any two steps, and so between taking a lock
    and the ``try`` that would give it back. Such a thread has this one still, and goes on with it at its next wait.

    Attributes:
        reader: the thread that reads. It is set first in a ``try`` and unset first in its ``finally``, by assignments,
            before which nothing can come; a call would not do.
    """

    __slots__ = ("_holder", "reader")

    def __init__(self) -> None:
        self._holder: dict[str, int] = {}
        self.reader = 0

    def take(self) -> bool:
        """Whether this thread leads now; not if it does so already, further down its stack."""
        this_thread = threading.get_ident()
        return self.reader != this_thread and self._holder.setdefault("thread", this_thread) == this_thread

    def give_back(self) -> None:
        """After this, any thread can take it."""
        self._holder.clear()

    @property
    def is_ours(self) -> bool:
        """Whether this thread reads, further down its stack."""
        return self.reader == threading.get_ident()

    @property
    def is_taken(self) -> bool:
        """Whether some thread leads."""
        return bool(self._holder)


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


class Closing:
    """How far the end of a connection has come.

    A descriptor that is closed while a thread polls it, or is about to, may be somebody else's by then. So each of them
    says first that it is there, then looks whether it may, and calls :meth:`close_unused` when it leaves; and who
    closes says first what is to be closed, and then looks who is there.

    Attributes:
        has_begun: whether some thread closes it.
        watchers: a token for each thread that polls without leading or writing.
        unused: what closes the descriptors that are to be closed, each as often as you like.
    """

    __slots__ = ("_closer", "has_begun", "unused", "watchers")

    def __init__(self) -> None:
        self.has_begun = False
        self._closer = 0  # the thread that alone may go on then; 0 for none
        self.unused: list[Callable[[], object]] = []
        self.watchers: set[object] = set()

    def begin(self, *, but_this_thread: bool) -> None:
        """Nobody may go on; or this thread alone, which closes it."""
        if but_this_thread:
            self._closer = threading.get_ident()
        self.has_begun = True

    @property
    def is_by_another(self) -> bool:
        """Whether it has begun, and this is not the thread that closes."""
        return self.has_begun and self._closer != threading.get_ident()

    def check(self) -> None:
        """Raise ConnectionLost if another thread closes."""
        if self.is_by_another:
            raise ConnectionLost("the connection is being closed", closed_here=True)

    def close_unused(self, others: object) -> None:
        """Close what has been added, unless somebody uses it: a watcher, or one of the others."""
        if self.unused and not (others or self.watchers):
            for close in self.unused:
                close()
