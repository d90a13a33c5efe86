"""What each process has one of: the environment, the path of imports, the current directory."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

from isoclient.compat.python_environ import variables
from isoclient.mirror.mirrored import Mirrored, Reporter
from isoclient.system.modules import os

__all__ = ["Environment", "directory"]

Difference: TypeAlias = dict[str, Any]


class Environment(Mirrored):
    """What of them has changed since the app began, however it was changed. It begins with the test's."""

    # -- in the test's process

    def _look(self) -> None:
        # As they are kept, for to read each by its name takes some hundred calls.
        self._told = variables().copy() or dict(os.environ)
        self._path, self._directory = list(sys.path), directory()

    def first(self, *, fresh: bool) -> None:
        """A fork has it, and a fresh interpreter is given it before it imports anything."""
        self._look()

    def notice(self) -> Difference | None:
        """What has changed."""
        before, path, directory = self._told, self._path, self._directory
        self._look()
        found: Difference = {}
        if self._told != before:
            then, now = _as_text(before), _as_text(self._told)
            found["set"] = {name: value for name, value in now.items() if then.get(name) != value}
            found["unset"] = [name for name in then if name not in now]
        if self._path != path:
            found["path"] = path, self._path
        if self._directory != directory and self._directory:
            found["directory"] = self._directory
        return found or None

    # -- in the app's process

    def begin(self, first: None, reporter: Reporter) -> None:
        """It has all that it begins with."""

    def apply(self, difference: Difference) -> None:
        """Change it here, too. What the app has changed itself stays as it is, but for what the test changes now."""
        for name in difference.get("unset", ()):
            os.environ.pop(name, None)
        os.environ.update(difference.get("set", {}))
        if "path" in difference:
            _change_path(*difference["path"])
        if "directory" in difference:
            os.chdir(difference["directory"])


def _as_text(variables: dict[Any, Any]) -> dict[str, str]:
    return {os.fsdecode(name): os.fsdecode(value) for name, value in variables.items()}


def directory(ask: Callable[[], str] = os.getcwd) -> str:
    """The current directory; nothing if it has been removed."""
    try:
        return ask()
    except OSError:
        return ""


def _change_path(before: list[str], now: list[str]) -> None:
    if sys.path == before:
        sys.path[:] = now
    else:
        left = [entry for entry in sys.path if entry in now or entry not in before]
        sys.path[:] = [entry for entry in now if entry not in before and entry not in left] + left
    importlib.invalidate_caches()
