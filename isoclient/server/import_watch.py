"""Whether a process that has imported an app can stand for one that imports it anew.

A fork of it can, if the import has but filled memory and read files, and these have not changed since. Threads do not
cross a fork, two processes must not share an open connection or a temporary directory, and what was written to a disk
may be gone by the time that the next process counts on it.

What an import has left is seen by comparing the process with what it was before. What it has done elsewhere, and which
files it has read, nothing tells afterwards: for that there are audit events (PEP 578), and no other way. Their hook
can't be removed; when this is over, it costs 0.4 µs an event, of which a small request has four.

No event tells of a file that was asked for in vain. So all names in the current directory count as read, and on the
path those that can be imported.
"""

from __future__ import annotations

import importlib
import random
import re
import sys
from collections.abc import Callable
from importlib.machinery import all_suffixes
from types import ModuleType
from typing import Any, Final, TypeAlias

from isoclient.system.modules import io, os, signal, threading, time

__all__ = ["Dependencies", "ImportWatch", "Signature", "signature"]

Signature: TypeAlias = list[int] | list[str] | None
"""What tells one state of a file from another; as JSON has it."""
Dependencies: TypeAlias = dict[str, Signature]
"""Files, and listings of directories, each as it was."""

_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_MOMENT: Final = 0.05  # seconds
_LISTED: Final = "//."  # added to the name of a directory
_LISTED_FOR_IMPORT: Final = "//./."
_IMPORT_SYSTEM: Final = ("<frozen importlib", os.path.dirname(importlib.__file__) + os.sep)
_IMPORTABLE: Final = (*all_suffixes(), ".dist-info", ".egg-info", ".egg-link", ".pth")
# Python's own, installed packages and what they keep beside themselves, bytecode, and what is no file on a disk.
_NO_MATTER: Final = re.compile(
    rf"{re.escape(os.path.dirname(os.__file__))}(?:/|$)|.*/(?:site|dist)-packages(?:/|$)|/proc/|/sys/|/dev/(?!shm/)"
    r"|(?:.*/)?(?:__pycache__$|[^/]*\.pyc)"
).match
_DEEDS: Final = ("open", "os.", "pty.", "shutil.", "socket.", "sqlite3.connect", "subprocess.", "tempfile.")
_NO_DEEDS: Final = (
    *("os.chdir", "os.fwalk", "os.getxattr", "os.listxattr", "os.putenv", "os.unsetenv", "os.walk"),
    *("socket.__new__", "socket.get", "sqlite3.connect/handle"),
)


class ImportWatch:
    """Watches what this process does, from now until it is asked what that came to.

    Args:
        imprint: tells what can be told of the event loop: its settings, and how many references there are to it.
            Whoever keeps the loop, sets it up, or schedules something on it while the app is imported has it in mind
            for the app, and would have a dead one in a fork.
    """

    def __init__(self, imprint: Callable[[], object]) -> None:
        random.random()  # from now on its state is another one only where it is seeded, or 600 numbers are drawn
        self._states = {**_STATES, "something in the event loop": imprint}
        self._before = {what: look() for what, look in self._states.items()}
        self._modules = set(sys.modules)
        self._is_over = False
        self._why_not: str | None = None
        self._read: set[str] = set()
        self._note_reading(".", _LISTED)
        for directory in sys.path:
            self._note_reading(directory, _LISTED_FOR_IMPORT)
        sys.addaudithook(self._hear)

    def dependencies(self) -> Dependencies | str:
        """What the import depends on, as it is now; or why a fork is not as good as another import, in words."""
        self._is_over = True
        try:
            left = (what for what, look in self._states.items() if look() != self._before[what])
            why_not = self._why_not or next((f"importing it leaves {what}" for what in left), None)
            for module in map(sys.modules.__getitem__, sys.modules.keys() - self._modules):
                # It may be anything that somebody has put there, with attributes that run code of theirs.
                if type(module) is ModuleType:
                    self._note_reading(vars(module).get("__file__"))
            return why_not or {path: signature(path) for path in self._read}
        except Exception as error:  # such as one for a lack of descriptors, which the import has used up
            return f"what importing it has done can't be told: {type(error).__name__}"

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if self._is_over:
            return
        try:
            self._note(event, args)
        except Exception as error:  # such as one for a directory that is gone
            self._why_not = f"what importing it has done can't be told: {event}, {type(error).__name__}"

    def _note(self, event: str, args: tuple[Any, ...]) -> None:
        if event in ("os.listdir", "os.scandir"):
            # This method, the hook, and then whoever lists it.
            by_import_system = sys._getframe(2).f_code.co_filename.startswith(_IMPORT_SYSTEM)
            self._note_reading(args[0] or ".", _LISTED_FOR_IMPORT if by_import_system else _LISTED)
        elif event == "open" and not args[2] & _WRITING:
            self._note_reading(args[0])
        elif event.startswith(_DEEDS) and not event.startswith(_NO_DEEDS) and not _is_allowed(event, args):
            self._why_not = f"importing it does more than to read: {event} {args[0]!r:.200}"

    def _note_reading(self, path: object, how: str = "") -> None:
        if (absolute := _absolute(path)) is not None:
            self._read.add(absolute + how)


def _absolute(path: object) -> str | None:
    """With its "..", which may lead elsewhere behind a link; None for what is no path of a file that matters."""
    if not isinstance(path, str | bytes | os.PathLike):
        return None
    absolute = os.path.join(os.getcwd(), os.fsdecode(path))
    return None if _NO_MATTER(absolute) else absolute


def _is_allowed(event: str, args: tuple[Any, ...]) -> bool:
    """Whether what else would be more than reading is not, in this case."""
    match event:
        case "open" | "os.mkdir" | "os.rename":  # the import system keeps what it has compiled
            return _absolute(args[0]) is None
        case "socket.bind":  # to any port: so urllib3 tries whether there is IPv6
            return bool(args[1][1:2] == (0,))
        case "sqlite3.connect":
            return args[0] in (":memory:", "")
    return False


def signature(path: str) -> Signature:
    """That of a file, or of a listing, as it is now; None if there is none of that name."""
    try:
        if path.endswith((_LISTED, _LISTED_FOR_IMPORT)):
            names = sorted(name for name in os.listdir(path) if not _NO_MATTER(name))
            return list(filter(_is_importable, names)) if path.endswith(_LISTED_FOR_IMPORT) else names
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino]


def _is_importable(name: str) -> bool:
    return name.endswith(_IMPORTABLE) or name.isidentifier()


# -- what an import may leave


def _threads() -> int:
    """Those of C code too. One that has ended, and has been joined, may be listed for a moment still."""
    end = time.monotonic() + _MOMENT
    while (count := len(os.listdir("/proc/self/task"))) > threading.active_count() and time.monotonic() < end:
        time.sleep(0.0005)
    return count


def _descriptors() -> dict[str, str]:
    return {name: os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")}


def _shared_memory() -> list[str]:
    with io.open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        return [line for line in file if line.split(maxsplit=2)[1] == "rw-s"]


_STATES: Final[dict[str, Callable[[], object]]] = {
    "a thread": _threads,
    "an open file or socket": _descriptors,
    "shared memory": _shared_memory,
    "a timer": lambda: [signal.getitimer(which) for which in range(3)],
    "a seed of random": lambda: random.getstate()[1][:-1],  # without how far it has got
}
