"""Whether a process that has imported an app can stand for one that imports it anew.

A fork of it can, if the import has but filled memory and read files, and these have not changed since. Threads do not
cross a fork, two processes must not share an open connection or a temporary directory, and what was written to a disk
may be gone by the time that the next process counts on it.

What an import has left is seen by comparing the process with what it was before. What it has done, and which files it
has read, is told by audit events (PEP 578). The hook for that stays, for hooks can't be removed; idle, it costs 0.4 µs
an event, of which a small request has four.

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
_DEEDS: Final = ("os.", "pty.", "shutil.", "socket.", "sqlite3.connect", "subprocess.", "tempfile.")
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
        self._before = [look() for look in self._states.values()]
        self._modules = set(sys.modules)
        self._deed: str | None = None
        self._read: set[str] = set()
        self._note_reading(".", _LISTED)
        for directory in sys.path:
            self._note_reading(directory, _LISTED_FOR_IMPORT)
        _watch(self)

    def close(self) -> None:
        """Stop watching; idempotent."""
        _watch(None)

    def dependencies(self) -> Dependencies | str:
        """What the import depends on, as it is now; or why a fork is not as good as another import, in words."""
        self.close()
        try:
            why_not = self._deed or self._left()
            if why_not is not None:
                return why_not
            for name in set(sys.modules) - self._modules:
                # A module may be anything that somebody has put there, with attributes that run code of theirs.
                if type(sys.modules[name]) is ModuleType:
                    self._note_reading(vars(sys.modules[name]).get("__file__"))
            return {path: signature(path) for path in self._read}
        except Exception as error:  # such as one for a lack of descriptors, which the import has used up
            return f"what importing it has done can't be told: {type(error).__name__}"

    def _left(self) -> str | None:
        for (what, look), before in zip(self._states.items(), self._before, strict=True):
            if look() != before:
                return f"importing it leaves {what}"
        return None

    def hear(self, event: str, args: tuple[Any, ...]) -> None:
        """Take note of an audit event; see :func:`sys.addaudithook`. Never raises."""
        try:
            self._note(event, args)
        except Exception as error:  # such as one for a directory that is gone
            self._deed = f"what importing it has done can't be told: {event}, {type(error).__name__}"

    def _note(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = args
            if not flags & _WRITING:
                self._note_reading(path)
            elif not isinstance(path, int) and not _NO_MATTER(_absolute(path)):
                self._note_deed(event, path)
        elif event in ("os.listdir", "os.scandir"):
            # This method, the one that calls it, the hook, and then whoever lists it.
            by_import_system = sys._getframe(3).f_code.co_filename.startswith(_IMPORT_SYSTEM)
            self._note_reading(args[0] or ".", _LISTED_FOR_IMPORT if by_import_system else _LISTED)
        elif event.startswith(_DEEDS) and not event.startswith(_NO_DEEDS) and not _is_allowed(event, args):
            self._note_deed(event, args[0])

    def _note_deed(self, event: str, what: object) -> None:
        self._deed = f"importing it does more than to read: {event} {what!r:.200}"

    def _note_reading(self, path: object, how: str = "") -> None:
        if isinstance(path, str | bytes | os.PathLike) and not _NO_MATTER(absolute := _absolute(path)):
            self._read.add(absolute + how)


def _absolute(path: str | bytes | os.PathLike[Any]) -> str:
    """With its "..", which may lead elsewhere behind a link."""
    return os.path.join(os.getcwd(), os.fsdecode(path))


def _is_allowed(event: str, args: tuple[Any, ...]) -> bool:
    """Whether what else would be more than reading is not, in this case."""
    if event in ("os.mkdir", "os.rename"):  # what the import system does, to keep what it has compiled
        return bool(_NO_MATTER(_absolute(args[0])))
    if event == "socket.bind":  # to any port: so urllib3 tries whether there is IPv6
        return bool(args[1][1:2] == (0,))
    return event == "sqlite3.connect" and args[0] in (":memory:", "")


_watches: Final[list[ImportWatch | None]] = []


def _watch(watch: ImportWatch | None) -> None:
    if not _watches:
        sys.addaudithook(_hear)
    _watches[:] = [watch]


def _hear(event: str, args: tuple[Any, ...]) -> None:
    watch = _watches[0]
    if watch is not None:
        watch.hear(event, args)


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
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # that of the listing itself
            continue
    return found


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
