"""What importing an app has come to, apart from modules in memory.

A fork of the process that has imported an app is as good as a process that imports it anew, if the import has but read
files, and these have not changed since. So all else that an import may do is watched for: threads and child processes
do not cross a fork, two processes must not share an open connection or a temporary directory, and what was written to a
disk may be gone by the time that the next process counts on it.

A directory that was listed counts as what is in it. The import system lists those on ``sys.path``, and looks for what
can be imported alone: an app's database, or whatever else comes and goes in its directory, is no matter.

Most of it is seen by an audit hook (PEP 578). What C code does without telling is seen, where it lasts, in the
descriptors, threads and children that are there afterwards and were not before.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import os
import sys
import threading
from collections.abc import Callable
from time import monotonic, sleep
from typing import Any, Final

__all__ = ["Footprint", "Signature", "signature"]

Signature = tuple[int | str, ...] | None

_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_MOMENT: Final = 0.05  # seconds
_LISTED: Final = "/."  # added to the name of a directory
_LISTED_FOR_IMPORT: Final = "/./."
_DESCRIPTORS: Final = "/proc/self/fd"
_THREADS: Final = "/proc/self/task"
_NO_FILE: Final = ("/dev/", "/proc/", "/sys/")
_NOT_WATCHED: Final = (os.path.dirname(os.__file__) + os.sep, *_NO_FILE)
_INSTALLED: Final = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_LISTINGS: Final = frozenset({"os.listdir", "os.scandir"})
_IMPORT_SYSTEM: Final = ("<frozen importlib", os.path.dirname(importlib.__file__) + os.sep)
_IMPORTABLE: Final = (*importlib.machinery.all_suffixes(), ".dist-info", ".egg-info", ".egg-link", ".pth")
_BYTECODE: Final = frozenset({"os.mkdir", "os.rename"})  # what the import system does, to keep what it has compiled
_DEEDS: Final = frozenset(
    {
        "fcntl.flock",
        "fcntl.lockf",
        "mmap.__new__",
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.kill",
        "os.link",
        "os.posix_spawn",
        "os.remove",
        "os.rmdir",
        "os.symlink",
        "os.system",
        "os.truncate",
        "pty.spawn",
        "socket.bind",
        "socket.connect",
        "socket.sendmsg",
        "socket.sendto",
        "subprocess.Popen",
        "tempfile.mkdtemp",
        "tempfile.mkstemp",
    }
)


class Footprint:
    """Watches what this process does, from now until it is asked what that came to.

    Args:
        references: tells how many references there are to the event loop. Whoever keeps it, or schedules something on
            it, while the app is imported has it in mind for the app, and would have a dead one in a fork.
    """

    def __init__(self, references: Callable[[], int]) -> None:
        self._references = references
        self._references_before = references()
        self._descriptors = _open_descriptors()
        self._modules = set(sys.modules)
        self._read: set[str] = set()
        self._did: str | None = None
        _hook.watch(self)

    def close(self) -> None:
        """Stop watching; idempotent."""
        _hook.watch(None)

    def files(self) -> dict[str, Signature] | None:
        """The files and directories that the import depends on, as they are now; None if it has done more than read.

        Those of the standard library and of installed packages are not among them.
        """
        self.close()
        if self._did is not None or self._has_left_something():
            return None
        sources = (getattr(sys.modules[name], "__file__", None) for name in set(sys.modules) - self._modules)
        for path in sources:
            self._note_reading(path)
        return {path: signature(path) for path in self._read}

    def _has_left_something(self) -> bool:
        return (
            self._references() != self._references_before
            or _has_threads()
            or _has_children()
            or _open_descriptors() != self._descriptors
        )

    def note(self, event: str, args: tuple[Any, ...]) -> None:
        """What the audit hook is told; see :func:`sys.addaudithook`."""
        if event == "open":
            self._note_opening(*args)
        elif event in _LISTINGS:
            self._note_listing(args[0] if args[0] is not None else ".")
        elif event in _BYTECODE:
            if not _is_bytecode(args[0]):
                self._did = event
        elif event in _DEEDS or (event == "sqlite3.connect" and args[0] not in (":memory:", "")):
            self._did = event

    def _note_opening(self, path: object, _mode: object, flags: int) -> None:
        if not flags & _WRITING:
            self._note_reading(path)
        elif not isinstance(path, int) and not _is_bytecode(path) and not str(path).startswith(_NO_FILE):
            self._did = "open"

    def _note_listing(self, path: object) -> None:
        # This method, note(), the hook, and then whoever lists it.
        by_import_system = sys._getframe(3).f_code.co_filename.startswith(_IMPORT_SYSTEM)
        self._note_reading(path, _LISTED_FOR_IMPORT if by_import_system else _LISTED)

    def _note_reading(self, path: object, how: str = "") -> None:
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if isinstance(path, str | os.PathLike):
            absolute = os.path.abspath(path)
            if not _is_installed(absolute):
                self._read.add(absolute + how)


class _Hook:
    """The one audit hook of this process, for hooks can't be removed: it is idle most of the time."""

    def __init__(self) -> None:
        self._footprint: Footprint | None = None
        self._is_installed = False

    def watch(self, footprint: Footprint | None) -> None:
        self._footprint = footprint
        if not self._is_installed and footprint is not None:
            self._is_installed = True
            sys.addaudithook(self._note)

    def _note(self, event: str, args: tuple[Any, ...]) -> None:
        if self._footprint is not None:
            self._footprint.note(event, args)


_hook: Final = _Hook()


def signature(path: str) -> Signature:
    """What tells one state of a file, or of a listing, from another; None if there is none of that name."""
    try:
        if path.endswith(_LISTED_FOR_IMPORT):
            return tuple(sorted(name for name in os.listdir(path) if _is_importable(name)))
        if path.endswith(_LISTED):
            return tuple(sorted(name for name in os.listdir(path) if not _is_bytecode(name)))
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _is_importable(name: str) -> bool:
    return name.endswith(_IMPORTABLE) or (name.isidentifier() and not _is_bytecode(name))


def _is_installed(path: str) -> bool:
    directory = path + os.sep
    return directory.startswith(_NOT_WATCHED) or any(part in directory for part in _INSTALLED)


def _is_bytecode(path: object) -> bool:
    """Whether this is a file, or directory, that the import system keeps compiled modules in."""
    name = os.path.basename(str(path))
    return ".pyc" in name or name == "__pycache__"


def _open_descriptors() -> dict[int, str]:
    found = {}
    for name in os.listdir(_DESCRIPTORS):
        try:
            found[int(name)] = os.readlink(f"{_DESCRIPTORS}/{name}")
        except OSError:  # that of the listing itself
            continue
    return found


def _has_threads() -> bool:
    """Those of C code too. One that has ended, and has been joined, may be listed for a moment still."""
    end = monotonic() + _MOMENT
    while len(os.listdir(_THREADS)) > 1:
        if threading.active_count() > 1 or monotonic() > end:
            return True
        sleep(0.0005)
    return False


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
