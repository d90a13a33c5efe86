"""What of an app is watched from its start: where tests change it by hand, and what the user has named."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from functools import partial
from typing import Any, Final

from isoclient.compat.starlette_ import ITEMS, items_of_state
from isoclient.mirror.watchlist import Attribute, Items, Watched, copied, watchlist
from isoclient.transit.paths import APP, NoSuchPath, Path

__all__ = ["app_here", "parse_named", "standing_places"]

_DEEPEST: Final = 10  # apps around an app
_ATTRIBUTE, _ITEM = "attribute", "item"


def standing_places(app: Any, *, fresh: bool) -> list[Watched]:
    """The overrides and the state of an app, and of those within it; and what the user has named.

    Args:
        app: the app, or an import string; None where this process has neither.
        fresh: whether its process imports it, and has what the test's had before any change at most.
    """
    named = [place for text in watchlist.named for place in _named(text, app, fresh)]
    if app is None:
        return named
    if isinstance(app, str):
        return [*_of_app(partial(app_here, app), Path(APP), fresh=True), *named]
    found = [place for path, part in _apps_within(app) for place in _of_app(partial(_same, part), path, fresh=fresh)]
    return [*found, *map(_Routes, _routes_of(app)), *named]


class _Routes(Watched):
    """The routes of an app, which are code, and cross badly: nobody adds them over there, but it is told.

    Args:
        routes: the list of them.
    """

    why_not = (
        "that began before. Make the change before the app is used first, or begin anew with it, by client.restart(); "
        'or let test and app share memory: @pytest.mark.isolated("together")'
    )
    __slots__ = ("_routes",)

    def __init__(self, routes: list[Any]) -> None:
        self._routes = routes
        super().__init__(watchlist.new_number(), None, None, (self.read(),), "the app's routes")

    def read(self) -> Any:
        """How many there are, and the last one: to look at all of them would take too long."""
        return len(self._routes), self._routes[-1] if self._routes else None

    def holds(self, told: Any) -> bool:
        """See :meth:`Watched.holds`."""
        routes = self._routes
        return len(routes) == told[0] and (not routes or routes[-1] is told[1])

    def is_original(self, value: Any) -> bool:
        """See :meth:`Watched.is_original`."""
        return any(value[0] == original[0] and value[1] is original[1] for original in self.originals)


def _same(app: Any) -> Any:
    return app


def app_here(app: Any) -> Any:
    """The app in this process; None where that has not imported it."""
    if not isinstance(app, str):
        return app
    module, _, names = app.partition(":")
    found: Any = sys.modules.get(module)
    for name in names.split("."):
        found = getattr(found, name, None)
    return found


def _apps_within(app: Any) -> Iterator[tuple[Path, Any]]:
    """The app, those that it is the middleware of, those that are mounted on them; and routers that have overrides."""
    path = Path(APP)
    for _ in range(_DEEPEST):
        yield path, app
        router = _names(app).get("router")
        if "dependency_overrides" in _names(router):
            yield Path(APP, (*path.steps, (_ATTRIBUTE, "router"))), router
        routes = _names(router).get("routes")
        for index, route in enumerate(routes if type(routes) is list else ()):
            mounted = _names(route).get("app")
            if "dependency_overrides" in _names(mounted):
                steps = (_ATTRIBUTE, "router"), (_ATTRIBUTE, "routes"), (_ITEM, index), (_ATTRIBUTE, "app")
                yield Path(APP, (*path.steps, *steps)), mounted
        app = _names(app).get("app")
        path = Path(APP, (*path.steps, (_ATTRIBUTE, "app")))
        if app is None:
            return


def _routes_of(app: Any) -> Iterator[list[Any]]:
    """The lists of them, of each app within this one."""
    for _, part in _apps_within(app):
        for owner in (_names(part), _names(_names(part).get("router"))):
            if type(routes := owner.get("routes")) is list:
                yield routes


def _names(obj: Any) -> dict[str, Any]:
    names = getattr(obj, "__dict__", None)
    return names if type(names) is dict else {}


def _of_app(find: Callable[[], Any], path: Path, *, fresh: bool) -> Iterator[Watched]:
    app = find()
    names = _names(app)
    if app is None or "dependency_overrides" in names:
        look = partial(names.get, "dependency_overrides") if names else partial(_overrides, find)
        place = Items(watchlist.new_number(), look, (), "app.dependency_overrides")
        place.path = Path(APP, (*path.steps, (_ATTRIBUTE, "dependency_overrides")))
        place.originals = () if fresh else (place.read(),)  # it may have some there from its import, or from here
        yield place
    state = names.get("state")
    is_mapping = isinstance(state, MutableMapping)
    if is_mapping or items_of_state(state) is not None:
        look = partial(names.get, "state") if is_mapping else partial(_state, names)
        place = Items(watchlist.new_number(), look, (), "app.state")
        steps = (*path.steps, (_ATTRIBUTE, "state"))
        place.path = Path(APP, steps if is_mapping else (*steps, (_ATTRIBUTE, ITEMS)))
        place.originals = (place.read(),)
        yield place


def _overrides(find: Callable[[], Any]) -> Mapping[Any, Any] | None:
    found = _names(find()).get("dependency_overrides")
    return found if isinstance(found, Mapping) else None


def _state(names: dict[str, Any]) -> Mapping[Any, Any] | None:
    return getattr(names.get("state"), ITEMS, None)


# -- what the user has named


def parse_named(text: str) -> Path:
    """A line of the setting: ``package.module:path.to.something``, or ``.path.to.something`` of the app.

    Raises:
        ValueError: it is neither.

    Example:
        >>> print(parse_named("shop.settings:FLAGS"), parse_named(".config"))
        shop.settings.FLAGS app.config
    """
    module, colon, names = text.partition(":") if not text.startswith(".") else (APP, ":", text[1:])
    parts = names.split(".")
    if not colon or not all(part.isidentifier() for part in (*parts, *(module.split(".") if module else ()))):
        raise ValueError(f"{text!r} is neither package.module:attribute nor .attribute, which is one of the app")
    return Path(module, tuple((_ATTRIBUTE, part) for part in parts))


def _named(text: str, app: Any, fresh: bool) -> Iterator[Watched]:
    path = parse_named(text)
    find = partial(_found, path, app)
    value = find()
    place: Watched
    if isinstance(value, Mapping):
        place = Items(watchlist.new_number(), partial(_mapping, find), (), text)
        place.path = path
        place.originals = () if fresh else (copied(value),)
    else:
        owner = _found(Path(path.root, path.steps[:-1]), app)
        if owner is None:
            return
        place = Attribute(watchlist.new_number(), owner, path.steps[-1][1], (), text)
        place.path = Path(path.root, path.steps[:-1])
        place.originals = () if fresh else (place.read(),)
    yield place


def _found(path: Path, app: Any) -> Any:
    try:
        return path.find(app_here(app))
    except NoSuchPath:
        return None


def _mapping(find: Callable[[], Any]) -> Mapping[Any, Any] | None:
    found = find()
    return found if isinstance(found, Mapping) else None
