"""What importing an app has come to, apart from modules in memory.

A fork of the process that has imported an app is as good as a process that imports it anew, if the import has but read
files, and these have not changed since. So all else that an import may do is watched for: threads and child processes
do not cross a fork, two processes must not share an open connection or a temporary directory, and what was written to a
disk may be gone by the time that the next process counts on it.

A directory that was listed counts as what is in it. The import system lists those on ``sys.path``, and looks for what
can be imported alone: an app's database, or whatever else comes and goes in its directory, is no matter.

Most of it is seen by an audit hook (PEP 578). A few functions of the standard library that raise no event are wrapped
meanwhile: who asks whether a file is there depends on it as well. What C code does without telling is seen, where it
lasts, in what is there afterwards and was not before: descriptors, threads, children, shared memory, timers.
"""

from __future__ import annotations

import functools
import importlib
import importlib.machinery
import os as os_of_the_app
import random
import sys
from collections.abc import Callable
from stat import S_ISDIR
from types import ModuleType
from typing import Any, Final

from isoclient.system.modules import io, os, signal, threading, time

__all__ = ["Footprint", "Signature", "signature"]

Signature = tuple[int | str, ...] | None
"""Integers and texts, for it crosses the pipe."""

_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_MOMENT: Final = 0.05  # seconds
_LISTED: Final = "/."  # added to the name of a directory
_LISTED_FOR_IMPORT: Final = "/./."
_DESCRIPTORS: Final = "/proc/self/fd"
_MEMORY: Final = "/proc/self/maps"
_THREADS: Final = "/proc/self/task"
_NO_FILE: Final = ("/dev/", "/proc/", "/sys/")
_YET_FILES: Final = "/dev/shm/"  # a directory in memory
_STANDARD_LIBRARY: Final = os.path.dirname(os.__file__) + os.sep
_ASKING: Final = ("stat", "lstat", "access")
_ABILITIES: Final = (os.supports_dir_fd, os.supports_effective_ids, os.supports_fd, os.supports_follow_symlinks)
_TIMERS: Final = ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF")
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
        imprint: tells what can be told of the event loop: its settings, and how many references there are to it.
            Whoever keeps the loop, sets it up, or schedules something on it while the app is imported has it in mind
            for the app, and would have a dead one in a fork.
    """

    def __init__(self, imprint: Callable[[], object]) -> None:
        self._imprint = imprint
        self._imprint_before = imprint()
        self._lasting_before = _lasting()
        self._modules = set(sys.modules)
        self._read: set[str] = set()
        self._did: str | None = None
        # Who has looked into a directory before does not look again, and no event tells of it.
        importlib.invalidate_caches()
        for directory in sys.path:
            self._note_reading(directory, _LISTED_FOR_IMPORT)
        _hook.watch(self)

    def close(self) -> None:
        """Stop watching; idempotent."""
        _hook.watch(None)

    def files(self) -> dict[str, Signature] | None:
        """The files and directories that the import depends on, as they are now; None if it has done more than read.

        Those of the standard library and of installed packages are not among them.
        """
        self.close()
        try:
            if self._did is not None or self._has_left_something():
                return None
            for name in set(sys.modules) - self._modules:
                self._note_source(sys.modules[name])
            return {path: signature(path) for path in self._read}
        except Exception:  # such as one for a lack of descriptors, which the import has used up
            return None

    def _has_left_something(self) -> bool:
        return (
            self._imprint() != self._imprint_before
            or _has_threads()
            or _has_children()
            or _has_timers()
            or _lasting() != self._lasting_before
        )

    def _note_source(self, module: object) -> None:
        # A module may be anything that somebody has put there, with attributes that run code of theirs.
        if type(module) is ModuleType:
            self._note_reading(module.__dict__.get("__file__"))

    def note(self, event: str, args: tuple[Any, ...]) -> None:
        """What the audit hook is told; see :func:`sys.addaudithook`. Never raises."""
        try:
            self._note(event, args)
        except Exception:  # such as one for a directory that is gone: then nothing is known
            self._did = event

    def _note(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            self._note_opening(*args)
        elif event in _LISTINGS:
            self._note_listing(args[0] if args[0] is not None else ".")
        elif event in _BYTECODE:
            if not _is_bytecode(args[0]):
                self._did = event
        elif event in _DEEDS or (event == "sqlite3.connect" and args[0] not in (":memory:", "")):
            self._did = event

    def asked(self, path: object) -> None:
        """Somebody has asked whether a file is there, and what it is. Never raises."""
        try:
            self._note_reading(path)
        except Exception:
            self._did = "stat"

    def seeded(self) -> None:
        """Somebody wants the same random numbers each time; but a fork gets others."""
        self._did = "random.seed"

    def _note_opening(self, path: Any, _mode: object, flags: int) -> None:
        if not flags & _WRITING:
            self._note_reading(path)
        elif not isinstance(path, int) and not _is_bytecode(path) and not _is_no_file(os.fspath(path)):
            self._did = "open"

    def _note_listing(self, path: object) -> None:
        # This method, two that note, the hook, and then whoever lists it.
        by_import_system = sys._getframe(4).f_code.co_filename.startswith(_IMPORT_SYSTEM)
        self._note_reading(path, _LISTED_FOR_IMPORT if by_import_system else _LISTED)

    def _note_reading(self, path: object, how: str = "") -> None:
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if isinstance(path, str | os.PathLike):
            absolute = os.path.join(os.getcwd(), path)  # with its "..", which may lead elsewhere behind a link
            if not _is_installed(absolute):
                self._read.add(absolute + how)


class _Hook:
    """The one audit hook of this process, for hooks can't be removed, and the wrappers, for some code may keep them.

    They are idle most of the time.
    """

    def __init__(self) -> None:
        self._footprint: Footprint | None = None
        self._is_installed = False
        self._wrapped: list[tuple[ModuleType, str, Any]] = []

    def watch(self, footprint: Footprint | None) -> None:
        self._footprint = footprint
        while self._wrapped:
            self._unwrap(*self._wrapped.pop())
        if footprint is None:
            return
        if not self._is_installed:
            self._is_installed = True
            sys.addaudithook(self._note)
        for name in _ASKING:
            self._wrap(os_of_the_app, name, self._wrapper_of_asking(getattr(os_of_the_app, name)))
        self._wrap(random, "seed", self._wrapper_of_seed(random.seed))

    def _wrap(self, module: ModuleType, name: str, wrapper: Callable[..., Any]) -> None:
        original = getattr(module, name)
        self._wrapped.append((module, name, original))
        for able in _ABILITIES:
            if original in able:
                able.add(wrapper)  # shutil, for one, looks there for what is in os
        setattr(module, name, wrapper)

    def _unwrap(self, module: ModuleType, name: str, original: Callable[..., Any]) -> None:
        for able in _ABILITIES:
            able.discard(getattr(module, name))
        setattr(module, name, original)

    def _wrapper_of_asking(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def ask(path: Any, *args: Any, **kwargs: Any) -> Any:
            if self._footprint is not None:
                self._footprint.asked(path)
            return original(path, *args, **kwargs)

        return ask

    def _wrapper_of_seed(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def seed(*args: Any, **kwargs: Any) -> Any:
            if self._footprint is not None and (args or kwargs):
                self._footprint.seeded()
            return original(*args, **kwargs)

        return seed

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
    if S_ISDIR(status.st_mode):
        return ("a directory",)  # only its listing tells more
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def _is_importable(name: str) -> bool:
    return name.endswith(_IMPORTABLE) or (name.isidentifier() and not _is_bytecode(name))


def _is_installed(path: str) -> bool:
    directory = path + os.sep
    return (
        directory.startswith(_STANDARD_LIBRARY)
        or any(part in directory for part in _INSTALLED)
        or _is_no_file(directory)
    )


def _is_no_file(path: str | bytes) -> bool:
    text = os.fsdecode(path)
    return text.startswith(_NO_FILE) and not text.startswith(_YET_FILES)


def _is_bytecode(path: Any) -> bool:
    """Whether this is a file, or directory, that the import system keeps compiled modules in."""
    name = os.path.basename(os.fsdecode(path))
    return ".pyc" in name or name == "__pycache__"


def _lasting() -> tuple[dict[int, str], list[str]]:
    """What two processes would share, one being a fork of the other: open files, and memory."""
    with io.open(_MEMORY, encoding="utf-8", errors="replace") as file:
        shared = [line for line in file if line.split(maxsplit=2)[1] == "rw-s"]
    return _open_descriptors(), shared


def _open_descriptors() -> dict[int, str]:
    found = {}
    for name in os.listdir(_DESCRIPTORS):
        try:
            found[int(name)] = os.readlink(f"{_DESCRIPTORS}/{name}")
        except OSError:  # that of the listing itself
            continue
    return found


def _has_timers() -> bool:
    return any(signal.getitimer(getattr(signal, name)) != (0.0, 0.0) for name in _TIMERS)


def _has_threads() -> bool:
    """Those of C code too. One that has ended, and has been joined, may be listed for a moment still."""
    end = time.monotonic() + _MOMENT
    while len(os.listdir(_THREADS)) > 1:
        if threading.active_count() > 1 or time.monotonic() > end:
            return True
        time.sleep(0.0005)
    return False


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
