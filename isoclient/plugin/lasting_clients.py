"""Clients that last longer than a test: their apps end with the module, or with the fixture, that has made them.

pytest imports all modules before it runs the first test, and keeps them. And the clients of others lead to themselves,
so that one which a fixture has let go waits for the garbage collector. A suite with such a client for each of hundreds
of modules would have as many processes at its end. The client itself goes on: its next use starts the app afresh.
"""

from __future__ import annotations

import sys
import weakref
from contextlib import ExitStack
from types import FrameType, ModuleType
from typing import Any, Final

import pytest

from isoclient.client.registry import Client
from isoclient.plugin.clients import CLIENTS
from isoclient.transit.places import is_of_tests

__all__ = ["LastingClients"]

_NOBODY: Final = ""
_ON_THE_WAY: Final = frozenset(("isoclient", *(client.package for client in CLIENTS)))
"""Packages whose code makes clients for a module."""


class LastingClients:
    """Those of a run, each with who has made it: the names of modules, and fixtures that are set up."""

    def __init__(self) -> None:
        self._makers: weakref.WeakKeyDictionary[Client, set[object]] = weakref.WeakKeyDictionary()
        self._are_complete = True

    def note(self, client: Client) -> None:
        """A client is made, or another one of somebody else's for the same app, and no fixture or test is under way."""
        maker = _module_at_work(sys._getframe(1))
        self._makers.setdefault(client, set()).add(maker)
        self._are_complete = False

    def note_fixture(self, client: Client, fixture: pytest.FixtureDef[Any]) -> None:
        """The same in a fixture of a wider scope than a test."""
        self._makers.setdefault(client, set()).add(fixture)

    def end_with(self, fixture: pytest.FixtureDef[Any]) -> None:
        """A fixture has been torn down: end the apps of its clients, as :meth:`end_after` does."""
        with ExitStack() as stack:
            for client, makers in list(self._makers.items()):
                if fixture in makers:
                    makers.remove(fixture)  # it may be set up again
                    if not makers:
                        stack.callback(client.end_with_maker)

    def end_after(self, item: pytest.Item, following: pytest.Item | None) -> None:
        """A test is over: end the apps of its module's clients, if it was the last one there.

        A client that other modules of tests have, too, or have made one for the same app, is left alone; and so is one
        that somebody has entered.
        """
        module = _module_of(item)
        if not self._makers or module is None or _goes_on(module, item, following):
            return
        if not self._are_complete:
            self._add_holders()
        with ExitStack() as stack:  # all of them: a warning may be an exception
            for client, makers in list(self._makers.items()):
                if makers == {module.__name__}:
                    stack.callback(client.end_with_maker)

    def _add_holders(self) -> None:
        self._are_complete = True
        known = {id(client): makers for client, makers in self._makers.items()}
        for name, module in sys.modules.copy().items():
            if type(module) is ModuleType and is_of_tests(name):
                for value in list(vars(module).values()):
                    if (makers := known.get(id(value))) is not None:
                        makers.add(name)


def _module_at_work(frame: FrameType | None) -> str:
    """The module of tests whose own code makes the client, as that is imported; nothing where it is anybody else's."""
    while frame is not None and _package(frame) in _ON_THE_WAY:
        frame = frame.f_back
    is_found = frame is not None and frame.f_code.co_name == "<module>" and is_of_tests(_name(frame))
    return _name(frame) if frame is not None and is_found else _NOBODY


def _name(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _package(frame: FrameType) -> str:
    return _name(frame).partition(".")[0]


def _module_of(item: pytest.Item | None) -> ModuleType | None:
    module: Any = getattr(item, "module", None)
    return module if isinstance(module, ModuleType) else None


def _goes_on(module: ModuleType, item: pytest.Item, following: pytest.Item | None) -> bool:
    """Whether more of its tests are to come; a worker of pytest-xdist knows of one that follows alone."""
    if _module_of(following) is module:
        return True
    if following is None or hasattr(item.config, "workerinput"):
        return False
    items = item.session.items
    later = items[items.index(item) + 1 :] if item in items else []
    return any(_module_of(other) is module for other in later)
