"""The clients of this process, and which of their apps the present test has used: what the pytest plugin asks for.

It imports next to nothing, so that the plugin can look at it in a run that makes no client.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from isoclient.client.copy_record import CopyRecord
    from isoclient.leaks.found import Leak

__all__ = ["Client", "EndsWithTest", "Registry", "Usage", "registry"]

_KEPT: Final = 3  # copies of one client
_MOST: Final = 20  # clients of a script that are kept in mind


class Client(Protocol):
    """What the plugin needs of a client."""

    app: Any

    def close(self) -> None:
        """End its app."""

    def end_with_maker(self) -> None:
        """The module, or the fixture, is over that has made it: end its process, if nobody uses that.

        Never raises: what goes wrong is told by a warning.
        """


class EndsWithTest(Protocol):
    """What has started something for the present test alone."""

    def end_with_test(self) -> None:
        """End it."""


class Registry:
    """All clients.

    Attributes:
        test: the number of the present test.
        name: its name, as pytest has it; empty while there is none.
        watch: called with each new client.
        look: called with a copy that is about to end, and the exception that is being handled then.
        clients: those that live, each with what it has used.
        tell_left: called with what a copy has left behind that is about to end; with None if that is not known.
        used: what clients have used in the test that has used something last, those that are gone included; without
            pytest, the last ones alone.
        of_test: what is to be ended with the present test.
        is_between_tests: whether what ends now is ended by the plugin, and nobody looks at what is left of it.
    """

    def __init__(self) -> None:
        self.test = 0
        self.name = ""
        self.watch: Callable[[Client], object] = _nobody
        self.look: Callable[[CopyRecord, BaseException], object] = _nobody
        self.clients: weakref.WeakKeyDictionary[Client, Usage] = weakref.WeakKeyDictionary()
        self.used: deque[Usage] = deque()
        self._used_in = 0
        self.tell_left: Callable[[list[Leak] | None], object] = _nobody
        self.of_test: weakref.WeakSet[EndsWithTest] = weakref.WeakSet()
        self.is_between_tests = False

    def enter(self, client: Client, usage: Usage) -> None:
        """There is a new client."""
        self.clients[client] = usage
        self.watch(client)

    def note_use(self, usage: Usage) -> None:
        """A client uses something for the first time in this test."""
        earlier: deque[Usage] = deque()
        used: deque[Usage] = deque()
        if self._used_in != self.test:  # another thread may do the same, but not between this and the next line
            earlier, self.used, self._used_in = self.used, used, self.test
        self.used.append(usage)
        for each in earlier:
            each.forget()
        if not self.test and len(self.used) > _MOST:
            self.used.popleft()  # without pytest there is no other test, and a script may make clients for ever

    def of_this_test(self) -> list[CopyRecord]:
        """The copies of apps that the present test has used, of each client the last ones."""
        return [copy for usage in self.used for copy in usage.of_this_test()]

    @contextmanager
    def between_tests(self) -> Iterator[None]:
        """For as long as the plugin ends what a test has left to it."""
        try:
            self.is_between_tests = True
            yield
        finally:
            self.is_between_tests = False

    def end_test(self) -> None:
        """End what is of the present test alone; all of it, and the first failure is told."""
        ending = list(self.of_test)
        self.of_test.clear()
        with ExitStack() as stack:
            for each in ending:
                stack.callback(each.end_with_test)


def _nobody(*args: object) -> None:
    pass


registry: Final = Registry()


class Usage:
    """The last copies of one client's app that the present test has used, the ended ones included."""

    __slots__ = ("_copies", "_test")

    def __init__(self) -> None:
        self._test = -1
        self._copies: deque[CopyRecord] = deque(maxlen=_KEPT)

    def note(self, copy: CopyRecord) -> None:
        """It is used now."""
        if self._test != registry.test:
            self._test = registry.test
            self._copies.clear()
            registry.note_use(self)
        if copy not in self._copies:
            self._copies.append(copy)

    def of_this_test(self) -> list[CopyRecord]:
        """Those that the present test has used."""
        return list(self._copies) if self._test == registry.test else []

    def forget(self) -> None:
        """The test is over. Of a copy that has ended then nothing is to stay, for as long as its client may live."""
        if self._test != registry.test:  # else it has begun anew
            self._copies.clear()
