"""The app's process: what it does before the server runs, and how it ends.

It may be a fork of the test's process, with all that pytest and the test had set up, or a fresh interpreter. Either way
the app should find what it would find under a server: signals, standard streams and exit handlers of its own.
"""

from __future__ import annotations

import contextlib
import faulthandler
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NoReturn, TypeAlias, TypeGuard

from isoclient.compat.python_exit import can_end, end_the_interpreter
from isoclient.mirror.context_variables import context_of_test
from isoclient.mirror.mirrored import Context
from isoclient.server import lifeline
from isoclient.server.boot import Find, serve
from isoclient.server.departure import Departure
from isoclient.server.enforcement import relieve
from isoclient.server.inherited import BeforeFork, be_a_child, settle
from isoclient.server.own_end import note_exit, note_own_end, note_what_holds_up
from isoclient.server.runtime import Pipe
from isoclient.server.setup import Setup
from isoclient.server.side_channel import SideChannel
from isoclient.server.text_streams import open_text, reopen
from isoclient.system.lift import Patches
from isoclient.system.modules import io, os, signal, socket
from isoclient.system.signals import begin_with_own_signals
from isoclient.transit.codecs import PipeCodec

_kept: Final[list[Any]] = []

__all__ = ["DUMP_SIGNAL", "Descriptors", "Said", "leave", "run", "take_over", "write_stacks_to"]

DUMP_SIGNAL: Final = getattr(signal, "SIGRTMAX", 64) - 1 if hasattr(signal, "SIGRTMAX") else 0
"""The signal upon which the process writes the stacks of its threads into the crash file; one that no app uses."""


Said: TypeAlias = tuple[bytes, bytes, bytes]
"""What has been printed to stdout and to stderr, and what is in the journal."""


@dataclass(frozen=True, slots=True)
class Descriptors:
    """The descriptors that the process is given: its end of the pipe, and files for what it has to say."""

    pipe: int
    stdout: int
    stderr: int
    crash: int
    journal: int

    def all(self) -> list[int]:
        """All of them, in the order of the fields."""
        return [self.pipe, self.stdout, self.stderr, self.crash, self.journal]


def run(
    descriptors: Descriptors,
    context: Context,
    get_setup: Callable[[], Setup],
    sentinel: int,
    *,
    before: BeforeFork | None = None,
    make_find: Callable[[SideChannel], Find] | None = None,
) -> NoReturn:
    """Be the app's process; never returns.

    Args:
        descriptors: see there.
        context: what is to be in force; see :mod:`isoclient.mirror.mirrored`.
        get_setup: returns what to run; it may raise, which is then told to the test.
        sentinel: a descriptor that becomes readable when the test's process has died.
        before: what was to be known of the test's process, if this is a fork of it, with its memory.
        make_find: makes what finds the app, where it is not merely to be imported.
    """
    _be(partial(_run, descriptors, context, get_setup, sentinel, before=before, make_find=make_find))


def take_over(
    descriptors: Descriptors,
    side: SideChannel,
    said: Said,
    get_setup: Callable[[], Setup],
    sentinel: int,
) -> NoReturn:
    """Be the app's process in a fork of one that has imported the app; never returns.

    All is in place but what belongs to one process: its group, its lifeline, its files.

    Args:
        descriptors: see there.
        side: the side channel of the other process, as it was when the app had been imported.
        said: what that process had said by then.
        get_setup: returns what to run; it may raise, which is then told to the test.
        sentinel: a descriptor that becomes readable when the test's process has died.
    """
    _be(partial(_take_over, descriptors, side, said, get_setup, sentinel))


def _be(main: Callable[[Departure], int]) -> NoReturn:
    code, departure = 70, Departure()  # EX_SOFTWARE: our own failure, were there one
    try:
        code = main(departure)
    except SystemExit as error:
        code = _code_of(error)
        note_exit(error, code)
    except KeyboardInterrupt as error:
        code = 130
        note_exit(error, code)
        _print_traceback()
    except MemoryError:
        relieve()  # before anything else
        code = 1
        _print_traceback()
    except BaseException:
        code = 1
        _print_traceback()
    finally:
        leave(code, departure.say_so)


def _run(
    descriptors: Descriptors,
    context: Context,
    get_setup: Callable[[], Setup],
    sentinel: int,
    departure: Departure,
    *,
    before: BeforeFork | None,
    make_find: Callable[[SideChannel], Find] | None,
) -> int:
    if before is not None:
        settle(before)
    _own_group()
    lifeline.arm(sentinel)
    begin_with_own_signals()
    _own_files(descriptors)
    _own_output()
    _own_input()
    if before is not None:
        with Patches():  # for it goes through multiprocessing
            be_a_child(before, sentinel)
    codec = PipeCodec(same_main=before is not None)
    side = SideChannel(descriptors.journal, context, codec)
    departure.pipe = pipe = Pipe(socket.socket(fileno=descriptors.pipe), codec)
    be_server = serve if make_find is None else partial(serve, find=make_find(side))
    return context_of_test(forked=before is not None).run(
        be_server, pipe, get_setup, side=side, crash=descriptors.crash
    )


def _take_over(
    descriptors: Descriptors,
    side: SideChannel,
    said: Said,
    get_setup: Callable[[], Setup],
    sentinel: int,
    departure: Departure,
) -> int:
    _own_group()
    lifeline.arm(sentinel)
    _own_files(descriptors)
    for descriptor, content in zip((1, 2, descriptors.journal), said, strict=True):
        os.write(descriptor, content)
    side.move(descriptors.journal)
    departure.pipe = pipe = Pipe(socket.socket(fileno=descriptors.pipe), side.codec)
    return serve(pipe, get_setup, side=side, crash=descriptors.crash)


def _own_group() -> None:
    # So that Ctrl-C in the terminal reaches the test run alone, and that what the app starts can be ended with it.
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)


def _own_files(descriptors: Descriptors) -> None:
    os.dup2(descriptors.stdout, 1)
    os.dup2(descriptors.stderr, 2)
    os.close(descriptors.stdout)
    os.close(descriptors.stderr)
    write_stacks_to(descriptors.crash)
    note_own_end(descriptors.crash)


def write_stacks_to(descriptor: int) -> None:
    """Have the stacks of all threads written there when this process dies, and when it is sent :data:`DUMP_SIGNAL`."""
    # From 3.14 on it adds the frames of C, at length.
    no_c_frames = {"c_stack": False} if sys.version_info >= (3, 14) else {}
    faulthandler.enable(descriptor, **no_c_frames)
    if DUMP_SIGNAL:
        faulthandler.register(DUMP_SIGNAL, descriptor, all_threads=True)


def _own_output() -> None:
    _redirect(sys.stdout, 1)
    _redirect(sys.stderr, 2)
    sys.stdout = sys.__stdout__ = open_text(1)  # type: ignore[misc]  # Final in typeshed, yet every capture sets it
    sys.stderr = sys.__stderr__ = open_text(2)  # type: ignore[misc]


def _own_input() -> None:
    """What the terminal or a pipe has to say is for the test run: here the standard input is empty.

    So is what a fork has inherited as its standard input: the test's process may have read more than it has used.
    """
    nothing = os.open(os.devnull, os.O_RDONLY)
    if nothing != 0:
        os.dup2(nothing, 0)
        os.close(nothing)
    _redirect(sys.stdin, 0)
    _redirect(sys.__stdin__, 0)
    sys.stdin = sys.__stdin__ = open_text(0)  # type: ignore[misc]


def _redirect(stream: object, descriptor: int) -> None:
    """Let what a fork has inherited as a standard stream be one of this descriptor, whoever holds on to it.

    loguru and structlog keep the stream that they find when they are imported: in a test run, one of pytest's, which
    writes to where nobody reads what a fork has written.
    """
    if _is_plain(stream):
        _kept.append(stream.buffer)  # the file of the test's is not to be closed by the garbage collector
        reopen(stream, descriptor)


def _is_plain(stream: object) -> TypeGuard[io.TextIOWrapper]:
    """Whether it is what Python makes of a descriptor, and not what somebody has made to stand in for that."""
    plain = io.TextIOWrapper
    return isinstance(stream, plain) and type(stream).write is plain.write and type(stream).read is plain.read


def _code_of(error: SystemExit) -> int:
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    print(error.code, file=sys.stderr)
    return 1


def _print_traceback() -> None:
    with contextlib.suppress(Exception):  # the app may have closed its stderr
        traceback.print_exc()


def leave(code: int, say_so: Callable[[int], object] | None = None) -> NoReturn:
    """End as an interpreter does: threads joined, exit handlers run, output flushed.

    Args:
        code: the exit status.
        say_so: called with it when all that is done. The system takes a while then to take the memory back.

    ``os._exit`` because a fork still has the frames of the test below it, with ``finally`` blocks that belong there.
    """
    try:
        note_what_holds_up()
        if can_end():
            end_the_interpreter()
    except BaseException:
        _print_traceback()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        with contextlib.suppress(BaseException):
            if say_so is not None:
                say_so(code)
        os._exit(code)
