"""``client.patched`` in the app's process: :func:`unittest.mock.patch`, and the calls that were made meanwhile."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["calls", "start", "stop"]

Recorded = list[tuple[tuple[Any, ...], dict[str, Any]]]


class _Active:
    """A patch in force.

    Attributes:
        recorded: the calls so far: positional and named arguments; None where what was put there records none.
    """

    def __init__(self, target: str, options: dict[str, Any]) -> None:
        from unittest.mock import patch

        self._calls: Recorded | None = None
        if inspect.isroutine(options.get("new")) or isinstance(options.get("new"), functools.partial):
            self._calls = []
            options = {**options, "new": _recorder(options["new"], self._calls)}
        self._patch = patch(target, **options)
        self._new: Any = self._patch.start()

    def recorded(self) -> Recorded | None:
        if self._calls is not None:
            return list(self._calls)
        found = getattr(self._new, "call_args_list", None)
        return None if found is None else [(call.args, call.kwargs) for call in list(found)]

    def stop(self) -> None:
        self._patch.stop()


_active: dict[str, _Active] = {}


def start(key: str, target: str, options: dict[str, Any]) -> None:
    """Patch; ``key`` is what to call the patch from now on.

    Raises:
        ImportError, AttributeError: there is no such target.
        TypeError: the options do not go together.
    """
    _active[key] = _Active(target, options)


def calls(key: str, by_reference: bool) -> Any:
    """The calls so far, for :class:`isoclient.client.patching.AppPatch`."""
    active = _active.get(key)
    return _packed([] if active is None else active.recorded(), by_reference)  # it may not have begun yet


def stop(key: str, by_reference: bool) -> Any:
    """Undo the patch, and return the calls. Where there is no such patch, there is nothing to undo."""
    active = _active.pop(key, None)
    if active is None:
        return _packed([], by_reference)
    active.stop()
    return _packed(active.recorded(), by_reference)


def _packed(recorded: Recorded | None, by_reference: bool) -> Any:
    if recorded is None or by_reference:
        return recorded
    from isoclient.transit import pack_debug

    # It never fails: what can't cross arrives as a stand-in, piece by piece.
    return pack_debug({"calls": recorded})


def _recorder(func: Callable[..., Any], recorded: Recorded) -> Callable[..., Any]:
    """The function, for all who call it, which notes each call first."""
    if inspect.iscoroutinefunction(func):

        @functools.wraps(func)
        async def recorder(*args: Any, **kwargs: Any) -> Any:
            recorded.append((args, kwargs))
            return await func(*args, **kwargs)

        return recorder

    @functools.wraps(func)
    def sync_recorder(*args: Any, **kwargs: Any) -> Any:
        recorded.append((args, kwargs))
        return func(*args, **kwargs)

    return sync_recorder
