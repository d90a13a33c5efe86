"""How a thread waits: until when, how soundly, and which of several.

Until when says :class:`Deadline`. How soundly, :class:`EagerPoll`: to put this process to sleep and to wake it again
may take as long as the app takes to answer, where the two run on processors of their own. So whoever has seen that
answers come fast looks again and again for a moment before it sleeps. Between two looks it offers its processor to
others (``sched_yield``), of which the app's process may be one. It costs processor time, up to a moment for each wait,
and all of it in vain where the next answer is a slow one. Where the processors are busy it would cost more: who offers
his processor has it back when the others have had their turns, which is milliseconds, while who sleeps is woken before
that. So whoever is given it back late sleeps for a while.

Of several threads, one reads, as :class:`Lead` has it, while the others park as :class:`Waiters`. Who of them may close
the connection when is up to :class:`Closing`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from math import ceil, inf
from typing import Final, Protocol, TypeAlias

from isoclient.drive.failures import ConnectionLost, DeadlineExceeded
from isoclient.drive.prompts import is_at_work, prompts
from isoclient.system.locks import make_lock
from isoclient.system.modules import os, select, socket, threading, time

__all__ = ["LOOK", "Closing", "Deadline", "EagerPoll", "Lead", "Sleeper", "Waiters", "Waiting", "place_to_park"]

LOOK: Final = 100
"""Milliseconds that whoever waits may not have looked, as a rule."""
_MOMENT: Final = 300e-6  # seconds
_WHILE: Final = 1e-3  # seconds
_LATE: Final = 300e-6  # seconds after which a processor that was offered has been somebody's for a turn
_BUSY: Final = 1.0  # seconds for which a machine is taken to be busy then
_offer_processor = getattr(os, "sched_yield", None)


class Deadline:
    """A point in time so many seconds from now, or from when the last debugger's prompt was closed.

    Args:
        seconds: how long a wait may take; None, or an infinite number, for no limit, which only the user may choose.

    Example:
        >>> 59 < Deadline(60).remaining() <= 60
        True
    """

    __slots__ = ("_end", "seconds")

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds = None if seconds == inf else seconds
        self._end = None if seconds is None else time.monotonic() + seconds

    def remaining(self) -> float | None:
        """What is left, in seconds; never negative."""
        end, seconds = self._end, self.seconds
        if end is None or seconds is None:
            return None
        if prompts.last_end > end - seconds:
            end = prompts.last_end + seconds
        remaining = end - time.monotonic()
        return remaining if remaining > 0.0 else 0.0

    def moment(self, most: int = LOOK) -> int:
        """How many milliseconds to wait now, of the time that there is: who waits for a process looks around often.

        Rounded up, so that a wait never ends before its time.

        Args:
            most: how many at most.

        Example:
            >>> Deadline(0.007).moment(), Deadline(60).moment(), Deadline(None).moment()
            (7, 100, 100)
        """
        remaining = self.remaining()
        return most if remaining is None or remaining > most / 1000 else ceil(remaining * 1000)

    def needs_a_clock(self) -> bool:
        """Whether it passes before whoever looks around for others looks again."""
        return self.moment() < LOOK

    def lock_timeout(self) -> float:
        """The same as ``Lock.acquire`` takes it."""
        remaining = self.remaining()
        return -1 if remaining is None else min(remaining, threading.TIMEOUT_MAX)

    def check(self) -> None:
        """To be called after a wait that was as long as :meth:`remaining` said.

        While a debugger is at work nothing is late: then the deadline begins anew, and so should the wait.

        Raises:
            DeadlineExceeded: it has passed.
        """
        if self.remaining() != 0.0:
            return
        if self.seconds is None or not is_at_work():
            raise DeadlineExceeded(self.seconds)
        # At least a little, so that a deadline of 0 does not make its waits a busy loop.
        self._end = time.monotonic() + max(self.seconds, 0.1)


class EagerPoll:
    """A :func:`select.poll` that may look for a moment before it waits.

    Example:
        >>> poll = EagerPoll()
        >>> poll.poll(1)
        []
    """

    __slots__ = ("_are_fast", "_asked", "_busy_until", "_is_allowed", "_poll", "_said", "_was_fast")

    def __init__(self) -> None:
        self._is_allowed = False
        self._asked = self._said = self._busy_until = 0.0
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
        if self._are_fast and began > self._busy_until and (ready := self._look(began)):
            return ready
        ready = self._poll.poll(milliseconds)
        is_fast = bool(ready) and time.monotonic() - began < _MOMENT
        self._are_fast, self._was_fast = is_fast and self._was_fast, is_fast
        return ready

    # -- for tasks, which wait elsewhere

    def asked(self) -> None:
        """Something has been said that may be answered."""
        self._said = self._asked = time.monotonic()

    def is_due(self) -> bool:
        """Whether nothing has been said for a while."""
        return time.monotonic() - self._said > _WHILE

    def answered(self) -> None:
        """Something has come."""
        if self._asked:
            is_fast = time.monotonic() - self._asked < _MOMENT
            self._are_fast, self._was_fast = is_fast and self._was_fast, is_fast
            self._asked = 0.0

    @property
    def is_expected(self) -> bool:
        """Whether an answer is likely to come within a moment, so that it is worth while to :meth:`glance`."""
        return self._are_fast and self._is_allowed and self._asked > self._busy_until

    def glance(self) -> bool:
        """Look for a moment, and do not wait then; and do not look again before something has been answered."""
        if self._look(time.monotonic()):
            return True
        self._asked, self._are_fast = 0.0, False
        return False

    def _look(self, now: float) -> list[tuple[int, int]]:
        look, offer, end = self._poll.poll, _offer_processor, now + _MOMENT
        # By the clock, for each look may have to wait for the GIL: another thread may have it for milliseconds.
        while not (ready := look(0)) and offer is not None and now < end:
            offered = now
            offer()
            now = time.monotonic()
            if now - offered > _LATE:
                self._busy_until = now + _BUSY
        return ready


def _processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


class Sleeper(Protocol):
    """A task that waits.

    Attributes:
        loop: the event loop that it is of.
    """

    loop: object

    def wake(self) -> object:
        """Have it look again; from any thread, as often as you like."""


Waiting: TypeAlias = "tuple[Callable[[], Sleeper | None], Callable[[], object], Deadline]"
"""A task that waits, by a weak reference; what it waits for; and until when."""


class Waiters:
    """The threads that wait while another one leads, and the tasks that wait.

    Attributes:
        parked: what each thread waits for, and the lock that it is parked at; to be looked at alone.
        tasks: the tasks, none of which leads threads: what each waits for and until when, with a weak reference, for
            one whose loop has been closed is to be collected.
    """

    __slots__ = ("_last_look", "_mutex", "parked", "tasks")

    def __init__(self) -> None:
        self.tasks: dict[int, Waiting] = {}
        self._last_look = 0.0
        self._mutex = make_lock()
        self.parked: list[tuple[Callable[[], object], threading.Lock]] = []

    def add(self, ready: Callable[[], object], lock: threading.Lock) -> None:
        """One more, which parks at this lock until it is ready or is to lead."""
        with self._mutex:
            self.parked.append((ready, lock))

    def remove(self, lock: threading.Lock) -> None:
        """It waits no more."""
        with self._mutex:
            self.parked = [waiter for waiter in self.parked if waiter[1] is not lock]

    def wake_one(self) -> None:
        """So that somebody leads."""
        with self._mutex:
            for _, lock in self.parked[:1]:
                self.parked = self.parked[1:]
                _release(lock)

    def wake_all(self) -> None:
        """So that each looks again whether it may wait."""
        with self._mutex:
            waiters, self.parked = self.parked, []
            for _, lock in waiters:
                _release(lock)
        for task, _, _ in list(self.tasks.values()):
            _wake(task)

    def wake_ready(self) -> None:
        """Those that have what they wait for."""
        for task, ready, _ in list(self.tasks.values()):
            if ready():
                _wake(task)
        with self._mutex:
            left = []
            for waiter in self.parked:
                if waiter[0]():
                    _release(waiter[1])
                else:
                    left.append(waiter)
            self.parked = left

    def wake_late(self) -> None:
        """The tasks whose time is up before another look, for they have no alarm clock but this: it costs too much.

        To be called at least every hundred milliseconds by somebody.
        """
        now = time.monotonic()
        if now - self._last_look < LOOK / 2000:
            return
        self._last_look = now
        for task, _, deadline in list(self.tasks.values()):
            if deadline.needs_a_clock():
                _wake(task)


def _wake(task: Callable[[], Sleeper | None]) -> None:
    if (sleeper := task()) is not None:
        sleeper.wake()


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
            for close in self.unused.copy():
                close()
                with contextlib.suppress(ValueError):  # another thread has done the same
                    self.unused.remove(close)
