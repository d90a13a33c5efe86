"""The clients of this process, and which of their apps the present test has used: what the pytest plugin asks for.

It imports next to nothing, so that the plugin can look at it in a run that makes no client.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from isoclient.process.handle import AppHandle

__all__ = ["Client", "Registry", "Usage", "registry"]

_KEPT: Final = 3


class Client(Protocol):
    """What the plugin needs of a client."""

    app: Any

    def close(self) -> None:
        """End its app."""


class Registry:
    """All clients.

    Attributes:
        test: the number of the present test.
        watch: called with each new client.
        clients: those that live, each with what it has used.
    """

    def __init__(self) -> None:
        self.test = 0
        self.watch: Callable[[Client], object] = _nobody
        self.clients: weakref.WeakKeyDictionary[Client, Usage] = weakref.WeakKeyDictionary()

    def enter(self, client: Client, usage: Usage) -> None:
        """There is a new client."""
        self.clients[client] = usage
        self.watch(client)


def _nobody(client: object) -> None:
    pass


registry: Final = Registry()


class Usage:
    """The last apps of one client that the present test has used, the ended ones included."""

    __slots__ = ("_handles", "_test")

    def __init__(self) -> None:
        self._test = -1
        self._handles: deque[AppHandle] = deque(maxlen=_KEPT)

    def note(self, handle: AppHandle) -> None:
        """It is used now."""
        if self._test != registry.test:
            self._test = registry.test
            self._handles.clear()
        if handle not in self._handles:
            self._handles.append(handle)

    def of_this_test(self) -> list[AppHandle]:
        """Those that the present test has used."""
        return list(self._handles) if self._test == registry.test else []
