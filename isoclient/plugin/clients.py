"""Test clients that others have written, under ``--isolated``: the apps that they are given run in their own processes.

What a client keeps as its app is an attribute of it. Here that attribute becomes a descriptor of the client's class:
the client's own code finds an app there that runs elsewhere, and everybody else the app that was given. So nothing of
the client is wrapped or replaced, and a test that looks at ``client.app`` sees what it always saw.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from isoclient.client import defaults
from isoclient.client.defaults import said
from isoclient.client.forwarding import StandsForApp
from isoclient.system.when_imported import WhenImported

if TYPE_CHECKING:
    from isoclient.client.isolated_app import IsolatedApp

__all__ = ["CLIENTS", "AppInRun", "ClientClass", "Clients", "parse"]


class ClientClass(NamedTuple):
    """A class of clients.

    Args:
        module: where it is.
        name: what it is called there.
        attribute: what it keeps its app as.

    Example:
        >>> ClientClass("starlette.testclient", "TestClient", "app").package
        'starlette'
    """

    module: str
    name: str
    attribute: str

    @property
    def package(self) -> str:
        """Whose code is the client's own."""
        return self.module.partition(".")[0]


CLIENTS: Final = (
    ClientClass("starlette.testclient", "TestClient", "app"),  # FastAPI's, too
    ClientClass("httpx", "ASGITransport", "app"),
    ClientClass("httpx2", "ASGITransport", "app"),
    ClientClass("litestar.testing.client.base", "BaseTestClient", "app"),  # what makes a client makes one of these
    ClientClass("async_asgi_testclient.testing", "TestClient", "application"),
)
"""Those that are known. A project names its own in the setting ``isoclient_clients``."""


def parse(line: str) -> ClientClass:
    """One line of that setting: ``package.module:Class attribute``.

    Raises:
        ValueError: it is none.

    Example:
        >>> parse("shop.testing:Client app")
        ClientClass(module='shop.testing', name='Client', attribute='app')
    """
    place, _, attribute = line.partition(" ")
    module, _, name = place.partition(":")
    client = ClientClass(module, name, attribute.strip())
    if not all(client) or not client.attribute.isidentifier():
        raise ValueError(f"{line!r} is not of the form package.module:Class attribute")
    return client


_ISOLATED: Final = "isolated by isoclient"


class Clients:
    """The clients of a run.

    Args:
        classes: those to look for.
        watch: called with each app that a client is given, which is closed with the test that has made the client.

    Attributes:
        stands_aside: whether no client finds anything else than its app, as in a test that runs with its apps.
    """

    def __init__(self, classes: tuple[ClientClass, ...], watch: Callable[[AppInRun], object]) -> None:
        self._wanted: dict[str, list[ClientClass]] = {}
        for client in classes:
            self._wanted.setdefault(client.module, []).append(client)
        self._watch = watch
        self._apps: weakref.WeakValueDictionary[int, AppInRun] = weakref.WeakValueDictionary()
        self._replaced: list[tuple[type, str, Any]] = []
        self.stands_aside = False

    @contextmanager
    def isolated(self) -> Iterator[None]:
        """Isolate their apps, from now on: of classes that are imported, and of those that will be."""
        imports = WhenImported(tuple(self._wanted), self._equip)
        imports.begin()
        try:
            yield
        finally:
            imports.end()
            while self._replaced:
                owner, attribute, before = self._replaced.pop()
                if before is None:
                    delattr(owner, attribute)
                else:
                    setattr(owner, attribute, before)

    def _equip(self, module: ModuleType) -> None:
        for client in self._wanted[module.__name__]:
            kind = getattr(module, client.name, None)
            if isinstance(kind, type):  # another version may not have it
                self._replaced.append((kind, client.attribute, vars(kind).get(client.attribute)))
                setattr(kind, client.attribute, _AppAttribute(client, self))

    def of(self, app: Any) -> Any:
        """An app as its clients have it: one for all, for what they share in one process they share in another."""
        from isoclient.client.isolated_app import IsolatedApp

        if self.stands_aside or isinstance(app, AppInRun | IsolatedApp) or not callable(app):
            return app
        known = self._apps.get(id(app))  # which keeps it, so that no other can have its number
        if known is None:
            known = self._apps[id(app)] = AppInRun(app)
        self._watch(known)
        return known


class _AppAttribute:
    """The attribute of a client: what it is depends on who asks."""

    def __init__(self, client: ClientClass, clients: Clients) -> None:
        self._name = client.attribute
        self._own = client.package, client.package + "."
        self._clients = clients

    def __set__(self, client: Any, app: Any) -> None:
        # Where it is found without a descriptor, too, and beside it the one that runs elsewhere, for the client's life.
        vars(client)[self._name] = app
        vars(client)[_ISOLATED] = self._clients.of(app)

    def __get__(self, client: Any, owner: type) -> Any:
        if client is None:
            return self
        asking = sys._getframe(1).f_globals.get("__name__", "")
        is_its_own = asking == self._own[0] or asking.startswith(self._own[1])
        is_its_own = is_its_own and not self._clients.stands_aside
        try:
            return vars(client)[_ISOLATED if is_its_own else self._name]
        except KeyError:
            raise AttributeError(f"{owner.__name__!r} object has no attribute {self._name!r}") from None

    def __delete__(self, client: Any) -> None:
        for name in (self._name, _ISOLATED):
            vars(client).pop(name, None)


class AppInRun(StandsForApp):
    """An app that a client has been given: it runs where the present test wants it to."""

    def __init__(self, app: Any) -> None:
        self.app = app
        # A test may want another lifetime than the last one, and its event loop may be of another kind.
        self._copies: dict[tuple[bool | str, str], IsolatedApp] = {}
        self._lifespans_here = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Call the app. Where somebody runs its lifespan is where it is for all, whatever a test says meanwhile."""
        __tracebackhide__ = True
        mode = said(defaults.isolated)
        if scope["type"] == "lifespan":
            await (self._isolated(mode) if mode else self._run_lifespan_here)(scope, receive, send)
        elif (running := self._with_lifespan()) is not None:
            await running(scope, receive, send)
        else:
            await (self._isolated(mode) if mode else self.app)(scope, receive, send)

    async def _run_lifespan_here(self, scope: Any, receive: Any, send: Any) -> None:
        self._lifespans_here += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._lifespans_here -= 1

    def _with_lifespan(self) -> Any:
        if self._lifespans_here:
            return self.app
        return next((copy for copy in self._copies.values() if copy.has_lifespan), None)

    def _isolated(self, mode: bool | str) -> IsolatedApp:
        from isoclient.client.isolated_app import isolated_in_run
        from isoclient.system.running_loops import running_trio

        backend = "asyncio" if running_trio() is None else "trio"
        found = self._copies.get((mode, backend))
        if found is None:
            found = self._copies[mode, backend] = isolated_in_run(self.app, mode, backend)
        return found

    def close(self) -> None:
        """End its processes, but for one whose lifespan somebody runs still."""
        for copy in list(self._copies.values()):
            if not copy.has_lifespan:
                copy.close()

    def end_with_maker(self) -> None:
        """End its processes, when the module, or the fixture, is over that has made its clients."""
        for copy in list(self._copies.values()):
            copy.end_with_maker()
