"""An app that ends its own process: by which call, and where, is noted before nobody is left to tell it.

Python tells nobody of ``os._exit``, and what has died of a signal does not say whose that was. So in the app's process
the functions that may end it note down who calls them, if it is that process that would end. A child process that the
app forks has the functions, too: its end is told by nobody.
"""

from __future__ import annotations

import faulthandler
import linecache
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from types import BuiltinFunctionType, FrameType, FunctionType
from typing import Any, Final, NamedTuple

from isoclient.server.held_up import note_waited_for
from isoclient.system.descriptors import Identity, identity, is_still
from isoclient.system.modules import os, signal
from isoclient.transit.anatomy import is_a, traceback_of
from isoclient.transit.bounds import text_of
from isoclient.transit.libraries import Spot, innermost

__all__ = ["note_exit", "note_own_end", "note_what_holds_up", "own_end_by", "own_end_noted", "without_notes"]

_SERVER: Final = os.path.dirname(__file__) + os.sep
_ANY_NOTE: Final = "(isoclient: "
_NOTE: Final = f"{_ANY_NOTE}it ends itself: "
_DEEPEST: Final = 200  # frames
_LONGEST: Final = 100  # characters of an argument


class _Place(NamedTuple):
    """Where notes of this process go, which is the only one that they are of."""

    pid: int
    descriptor: int
    file: Identity
    with_stacks: bool


_place: _Place | None = None


def note_own_end(descriptor: int, *, with_stacks: bool = False) -> None:
    """From now on, what ends this process from within is noted there.

    Args:
        descriptor: where its stacks go when it dies.
        with_stacks: whether to write them where it exits, too.
    """
    global _place
    has_been_here = _place is not None  # in the process that this one is a fork of
    _place = _Place(os.getpid(), descriptor, identity(os.fstat(descriptor)), with_stacks)
    if not has_been_here:
        for module, name, would_end in _CALLS:
            _wrap(module, name, would_end)


def note_exit(error: BaseException, code: int) -> None:
    """A SystemExit or KeyboardInterrupt ends this process with this exit code."""
    spots = _spots_of(error)
    _note(_words_of(error, spots), code & 0xFF, spots)


def own_end_by(error: BaseException) -> str | None:
    """What an app has done that has ended by raising this, in words that follow its name; None where it was no wish.

    Example:
        >>> own_end_by(SystemExit(3)), own_end_by(KeyboardInterrupt()), own_end_by(MemoryError())
        ('raised SystemExit(3)', 'raised KeyboardInterrupt', None)
    """
    if not is_a(error, SystemExit, KeyboardInterrupt):
        return None
    spots = _spots_of(error)
    return _at(_words_of(error, spots), spots)


def note_what_holds_up() -> None:
    """This process is about to end in order: note what it is to wait for."""
    if _place is not None and os.getpid() == _place.pid and is_still(_place.descriptor, _place.file):
        note_waited_for(_place.descriptor)


def _words_of(error: BaseException, spots: list[Spot]) -> str:
    if not is_a(error, SystemExit):
        return "raised KeyboardInterrupt"
    code = vars(SystemExit)["code"].__get__(error)
    argument = "" if code is None else text_of(code, repr, _LONGEST)
    if spots and "exit" in linecache.getline(spots[0].file, spots[0].line).partition("#")[0]:
        return f"called sys.exit({argument})"
    return f"raised SystemExit({argument})"


def own_end_noted(text: str, exitcode: int | None) -> str | None:
    """What a process has done to end so, in words that follow its name; None if it has noted nothing that ends so.

    Args:
        text: what has been written where its notes go.
        exitcode: its exit status.
    """
    for line in reversed(text.splitlines()):
        if line.startswith(_NOTE):
            call, ends, spots = _read(line)
            if ends == exitcode:
                return _at(call, [Spot(*spot) for spot in spots])
    return None


def _read(line: str) -> tuple[str, int | None, list[tuple[str, int, str]]]:
    from ast import literal_eval  # which a run without crashes need not have

    try:
        call, ends, spots = literal_eval(line.removeprefix(_NOTE).removesuffix(")"))
    except (ValueError, SyntaxError):  # cut off
        return "", None, []
    return call, ends, spots


def without_notes(text: str) -> str:
    """What has been written there beside notes, of whatever kind."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(_ANY_NOTE))


def _at(words: str, spots: list[Spot]) -> str:
    """The words, and where that was; the innermost line comes first."""
    if not spots:
        return words
    own = innermost(reversed(spots))
    return f"{words} at {spots[0]}" + (f", for {own}" if own is not None and own != spots[0] else "")


# -- in the app's process


def _wrap(public: str, name: str, would_end: Callable[..., tuple[str, int] | None]) -> None:
    live: Any = sys.modules.get(public)
    original = getattr(live, name, None)
    if not isinstance(original, BuiltinFunctionType | FunctionType):
        return  # it is not there; or a test has put something else there, which ends nothing

    @wraps(original)
    def noting(*args: Any, **kwargs: Any) -> Any:
        if _place is not None and os.getpid() == _place.pid:
            _note_call(would_end, args, kwargs)
        return original(*args, **kwargs)

    for module in (sys.modules.get(original.__module__), live):  # pickle looks it up in the one, people in the other
        if getattr(module, name, None) is original:
            setattr(module, name, noting)


def _note_call(would_end: Callable[..., tuple[str, int] | None], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    try:
        found = would_end(*args, **kwargs)
        if found is not None:
            _note(*found, list(_spots(sys._getframe(2))))
    except Exception:  # arguments that the function does not take either
        pass


def _note(call: str, ends: int, spots: list[Spot]) -> None:
    if _place is not None and os.getpid() == _place.pid and is_still(_place.descriptor, _place.file):
        own = innermost(reversed(spots))
        shown = [tuple(spot) for spot in dict.fromkeys((*spots[:1], own)) if spot is not None]
        os.write(_place.descriptor, f"\n{_NOTE}{(call, ends, shown)!r})\n".encode(errors="backslashreplace"))
        if _place.with_stacks and ends >= 0:
            faulthandler.dump_traceback(_place.descriptor, all_threads=True)


def _spots(frame: FrameType | None) -> Iterator[Spot]:
    """The innermost first, as far as they are the app's: in a fork, those of the test are below."""
    for _ in range(_DEEPEST):
        if frame is None or frame.f_code.co_filename.startswith(_SERVER):
            return
        yield _spot(frame, frame.f_lineno)
        frame = frame.f_back


def _spot(frame: FrameType, line: int) -> Spot:
    return Spot(frame.f_code.co_filename, line, frame.f_code.co_name)


def _spots_of(error: BaseException) -> list[Spot]:
    """The same for where an exception has come from."""
    spots, traceback = [], traceback_of(error)
    while traceback is not None:
        frame, line = traceback.tb_frame, traceback.tb_lineno or traceback.tb_frame.f_lineno
        if not frame.f_code.co_filename.startswith(_SERVER):
            spots.append(_spot(frame, line))
        traceback = traceback.tb_next
    return spots[::-1]


def _exit(status: int) -> tuple[str, int]:
    return f"called os._exit({status})", status & 0xFF


def _abort() -> tuple[str, int]:
    return "called os.abort()", -signal.SIGABRT


def _kill(pid: int, sig: int, /) -> tuple[str, int] | None:
    if pid not in (os.getpid(), 0, -os.getpgrp()):
        return None
    return _by_signal(f"os.kill({'os.getpid()' if pid == os.getpid() else pid}, ", sig)


def _killpg(group: int, sig: int, /) -> tuple[str, int] | None:
    return _by_signal(f"os.killpg({group}, ", sig) if group in (os.getpgrp(), 0) else None


def _raise_signal(sig: int, /) -> tuple[str, int] | None:
    return _by_signal("signal.raise_signal(", sig)


def _pthread_kill(thread: int, sig: int, /) -> tuple[str, int] | None:
    return _by_signal(f"signal.pthread_kill({thread}, ", sig)


def _by_signal(begun: str, number: int) -> tuple[str, int] | None:
    """What has a handler ends nothing by itself."""
    if not number or signal.getsignal(number) is not signal.SIG_DFL:
        return None
    return f"called {begun}signal.{_name_of(number)})", -number


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # one of the real-time signals
        return f"Signals({number})"


_CALLS: Final = (
    ("os", "_exit", _exit),
    ("os", "abort", _abort),
    ("os", "kill", _kill),
    ("os", "killpg", _killpg),
    ("signal", "raise_signal", _raise_signal),
    ("signal", "pthread_kill", _pthread_kill),
)
"""The module that has a function in public, its name, and what it would end."""
