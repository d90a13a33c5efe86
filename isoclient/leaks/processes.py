"""Child processes that go on, or that nobody has waited for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from isoclient.compat.multiprocessing_ import helpers
from isoclient.leaks.found import Found, short
from isoclient.leaks.kind import Subject
from isoclient.leaks.origins import ISOCLIENT, Origin
from isoclient.system.modules import io, os

__all__ = ["Processes"]

_FORKS: Final = "fork"
_COMMANDS: Final = "process"


class Processes:
    """Children of this process. They are looked for only if it has started some."""

    def __init__(self, subject: Subject) -> None:
        self._origins = subject.origins

    def before(self) -> set[int]:
        return set(_children()) if self._has_started_some() else set()

    def _has_started_some(self) -> bool:
        return bool(self._origins.keys(_FORKS) or self._origins.keys(_COMMANDS))

    def after(self, before: set[int]) -> Iterator[Found]:
        if not self._has_started_some():
            return
        for pid, has_ended in _children().items():
            if pid in before or pid in helpers():
                continue
            command = _command(pid)
            origin = self._origin(command)
            if origin is not ISOCLIENT:
                what = short(" ".join(command) or "a process") + f" (pid {pid})"
                state = ", which has ended, and nobody has waited for it" if has_ended else ""
                yield Found("process", what + state, origin, pid)

    def _origin(self, command: tuple[str, ...]) -> Origin | None:
        """A fork has the command of this process; where several lines have forked, nobody knows which it was."""
        origin = self._origins.of(_COMMANDS, command)
        if origin is not None or not command:
            return origin
        forks = {self._origins.of(_FORKS, key) for key in self._origins.keys(_FORKS)} - {ISOCLIENT}
        return next(iter(forks)) if len(forks) == 1 else None


def _children() -> dict[int, bool]:
    """Their numbers, and whether they have ended."""
    own, found = os.getpid(), {}
    names = os.listdir("/proc") if os.path.isdir("/proc/self") else []
    for name in filter(str.isdigit, names):
        with contextlib.suppress(OSError, ValueError, IndexError), io.open(f"/proc/{name}/stat", "rb") as file:
            state, parent = file.read().rpartition(b")")[2].split()[:2]
            if int(parent) == own:
                found[int(name)] = state == b"Z"
    return found


def _command(pid: int) -> tuple[str, ...]:
    try:
        with io.open(f"/proc/{pid}/cmdline", "rb") as file:
            return tuple(os.fsdecode(part) for part in file.read().split(b"\0")[:-1])
    except OSError:
        return ()
