"""What notes the origins of things as they are made: audit events of the interpreter, and functions that are wrapped.

The interpreter tells of files, sockets, processes, temporary files and the environment by itself. An audit hook can't
be taken back, and so this is for processes that end: the app's, and that of a unit of tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import locale
import logging
import random
import sys
import warnings
from collections.abc import Callable
from typing import Any, Final

from isoclient.compat.python_warnings import note_unawaited
from isoclient.leaks.found import Found
from isoclient.leaks.kind import Subject
from isoclient.leaks.origins import Origin, Origins, place
from isoclient.system.modules import os

__all__ = ["Noticing"]

_CODE: Final = (".py", ".pyc", ".so")


class Noticing:
    """It goes on from :meth:`begin` to :meth:`end`.

    Args:
        subject: what is told of it.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._origins = subject.origins
        self._is_on = False
        self._until_the_end = contextlib.ExitStack()

    def begin(self) -> None:
        """Note things from now on."""
        self._is_on = True
        sys.addaudithook(self._make_hook())
        for owner, name, note in _wrapped(self._origins):
            self._until_the_end.callback(_wrap(owner, name, note))
        self._until_the_end.callback(note_unawaited(self._unawaited))

    def end(self) -> None:
        """Note nothing any more."""
        self._is_on = False
        self._until_the_end.close()

    def _make_hook(self) -> Callable[[str, tuple[Any, ...]], None]:
        events, origins = _EVENTS, self._origins

        def hook(event: str, args: tuple[Any, ...]) -> None:
            note = events.get(event)
            if note is not None and self._is_on:
                # Whatever it is, what the app does goes on.
                with contextlib.suppress(Exception):
                    note(origins, *args)

        return hook

    def task_spawned(self, task: object) -> None:
        """There is a new task; as trio calls it."""
        self._origins.note_object(task)

    def watch_loop(self, loop: Any) -> None:
        """Note the tasks that this event loop of asyncio makes, and what it is told that nobody has retrieved."""
        make, handle = loop.create_task, loop.call_exception_handler

        def create_task(*args: Any, **kwargs: Any) -> Any:
            task = make(*args, **kwargs)
            with contextlib.suppress(Exception):  # it may be anything that a task factory makes
                self._origins.note_object(task)
            return task

        def call_exception_handler(context: dict[str, Any]) -> None:
            with contextlib.suppress(Exception):
                self._unretrieved(context)
            handle(context)

        loop.create_task, loop.call_exception_handler = create_task, call_exception_handler

    def _unawaited(self, coroutine: Any) -> None:
        origin, code = self._origins.here(), coroutine.cr_code
        if not origin.file:
            origin = place(code)._replace(call=origin.call)
        what = f"the coroutine {code.co_qualname}, which was never awaited"
        self._subject.faults.append(Found("asyncio", what, origin, (what, len(self._subject.faults))))

    def _unretrieved(self, context: dict[str, Any]) -> None:
        """What the exception handler of an event loop is called with."""
        error, task = context.get("exception"), context.get("task") or context.get("future")
        if error is None or "never retrieved" not in context.get("message", ""):
            return
        name = task.get_name() if isinstance(task, asyncio.Task) else "a future"
        origin = self._origins.of_object(task) or _raised_at(error)
        what = f"{type(error).__name__} of {name}, which nobody has retrieved"
        self._subject.faults.append(Found("asyncio", what, origin, (what, len(self._subject.faults))))


def _raised_at(error: BaseException) -> Origin | None:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return None if trace is None else Origin(trace.tb_frame.f_code.co_filename, trace.tb_lineno)


# -- what the interpreter tells


def _opened(origins: Origins, path: Any, *_: Any) -> None:
    if not isinstance(path, int):
        name = os.fsdecode(path)
        if not name.endswith(_CODE):
            origins.note("file", os.path.abspath(name))


def _run(origins: Origins, executable: Any, args: Any, *_: Any) -> None:
    words = [args] if isinstance(args, str | bytes | os.PathLike) else list(args)
    origins.note("process", tuple(os.fsdecode(word) for word in words))


def _forked(origins: Origins, *_: Any) -> None:
    origins.note("fork", origins.here())


def _spawned(origins: Origins, path: Any, args: Any, *_: Any) -> None:
    _run(origins, path, args)


def _set(origins: Origins, name: Any, *_: Any) -> None:
    origins.note("environ", os.fsdecode(name))


_EVENTS: Final[dict[str, Callable[..., None]]] = {
    "open": _opened,
    "sqlite3.connect": _opened,
    "socket.__new__": lambda origins, sock, *_: origins.note_object(sock),
    "subprocess.Popen": _run,
    "os.posix_spawn": _spawned,
    "os.fork": _forked,
    "os.forkpty": _forked,
    "os.putenv": _set,
    "os.unsetenv": _set,
    "os.chdir": lambda origins, *_: origins.note("cwd", ""),
    "tempfile.mkstemp": lambda origins, path, *_: origins.note("temporary file", os.path.abspath(path)),
    "tempfile.mkdtemp": lambda origins, path, *_: origins.note("temporary file", os.path.abspath(path)),
}


# -- what it does not tell


def _wrapped(origins: Origins) -> list[tuple[Any, str, Callable[..., object]]]:
    """Functions that the app may call, where it finds them, and what is to be done with their arguments."""
    note = origins.note
    found: list[tuple[Any, str, Callable[..., object]]] = [
        (sys.modules["signal"], "signal", lambda number, *_: note("signal", int(number))),
        (sys.modules["threading"].Thread, "start", origins.note_object),
        (sys.modules["os"], "umask", lambda *_: note("umask", "")),
        (locale, "setlocale", lambda category, locale=None: locale is None or note("locale", "")),
        (random, "seed", lambda *_, **__: note("random", "")),
        # Who seeds it for a while, as hypothesis does, puts it back by that.
        (random, "setstate", lambda *_: origins.forget("random", "")),
        (logging.Logger, "setLevel", _setting_a_level(origins)),
        (logging.Logger, "addHandler", lambda logger, *_, **__: note("logging", (logger.name, "handlers"))),
        (logging.Logger, "removeHandler", lambda logger, *_, **__: note("logging", (logger.name, "handlers"))),
        (logging, "disable", lambda *_, **__: note("logging", ("", "disable"))),
        (warnings, "filterwarnings", _filtering(origins)),
        (warnings, "simplefilter", _filtering(origins, simple=True)),
        (asyncio, "set_event_loop_policy", lambda *_: note("asyncio", "policy")),
    ]
    if (decimal := sys.modules.get("decimal")) is not None:
        found.append((decimal, "setcontext", lambda *_: note("decimal", "")))
    return [(owner, name, do) for owner, name, do in found if name in vars(owner)]


def _setting_a_level(origins: Origins) -> Callable[..., object]:
    def note(logger: logging.Logger, level: int | str) -> None:
        if level != logger.level:  # what is set anew changes nothing but what loggers remember
            origins.note("logging", (logger.name, "level"))

    return note


def _filtering(origins: Origins, *, simple: bool = False) -> Callable[..., object]:
    def note(action: str, *args: Any, category: Any = Warning, **_: Any) -> None:
        at = 0 if simple else 1  # behind the message
        origins.note("warnings", (action, args[at] if len(args) > at else category))

    return note


def _wrap(owner: Any, name: str, note: Callable[..., object]) -> Callable[[], None]:
    """Return what takes it back."""
    original = vars(owner)[name]

    @functools.wraps(original)
    def noting(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        with contextlib.suppress(Exception):
            note(*args, **kwargs)
        return original(*args, **kwargs)

    setattr(owner, name, noting)

    def put_back() -> None:
        if vars(owner).get(name) is noting:
            setattr(owner, name, original)

    return put_back
