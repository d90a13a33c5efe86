"""Limits put into force in the app's process, and what is done first when one is hit.

All that tells of it may need what has run out. So where there is a limit of memory, that is raised, which needs none:
what is called is written in C, and all that it is given is there already. Then it is noted, for whatever follows may
fail all the same.
"""

from __future__ import annotations

import faulthandler
import resource
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from isoclient.server.limits import RESERVE, Limits, limit_hit, note_of
from isoclient.system.modules import io, os, signal

__all__ = ["apply_limits", "lift_limits", "relieve"]

_FOR_TELLING: Final = 256 * 2**20
"""Bytes of memory, once the limit has been hit: enough to tell it, and a bound for what goes on to take memory."""
_EVADED: Final = 2
"""Seconds of processor time beyond the limit, after which the kernel sends SIGKILL, whether or not anybody looks."""

_limits: Limits | None = None
_raise: Callable[[], Any] = bool  # which does nothing, and needs nothing for that
_note: Callable[[], Any] = bool
_descriptor = -1


def apply_limits(limits: Limits, crash: int) -> None:
    """Let the kernel watch over them.

    Args:
        limits: what is asked for.
        crash: the descriptor that the stack goes to when the processor time is used up, and a note when the memory is.
    """
    most = _address_space() + (limits.memory or 0) + RESERVE
    raised = _below(resource.RLIMIT_AS, most + _FOR_TELLING)
    _arm(limits, crash, partial(resource.setrlimit, resource.RLIMIT_AS, raised))
    if limits.memory is not None:
        resource.setrlimit(resource.RLIMIT_AS, _below(resource.RLIMIT_AS, most))
    if limits.open_files is not None:
        most = len(os.listdir("/proc/self/fd")) + limits.open_files
        resource.setrlimit(resource.RLIMIT_NOFILE, _below(resource.RLIMIT_NOFILE, most))
    if limits.cpu_seconds is not None:
        # The default action of SIGXCPU ends the process; first the stack is written down.
        signal.signal(signal.SIGXCPU, signal.SIG_DFL)
        faulthandler.register(signal.SIGXCPU, crash, all_threads=True, chain=True)
        # The app may handle the signal by itself, or ignore it.
        soft, _ = _below(resource.RLIMIT_CPU, limits.cpu_seconds)
        hard, _ = _below(resource.RLIMIT_CPU, limits.cpu_seconds + _EVADED)
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _below(kind: int, value: int) -> tuple[int, int]:
    """The soft limit that is asked for, or what is possible, and the hard one as it is."""
    _, hard = resource.getrlimit(kind)
    return (value if hard == resource.RLIM_INFINITY else min(value, hard)), hard


def _address_space() -> int:
    with io.open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def lift_limits(hit: str) -> None:
    """A limit has been hit, which is to be told: that may need what has run out.

    Args:
        hit: the name of the limit.
    """
    if hit == "memory":
        relieve()
    elif hit == "open_files":
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _arm(limits: Limits, descriptor: int, raise_memory: Callable[[], Any]) -> None:
    """There are limits. From now on, an exception that comes from one ends the process where nobody handles it.

    Args:
        limits: they.
        descriptor: where it is noted that one was hit.
        raise_memory: raises that of memory.
    """
    global _limits, _descriptor, _raise, _note
    _limits, _descriptor = limits, descriptor
    if limits.memory is not None:
        _raise, _note = raise_memory, partial(os.write, descriptor, note_of("memory"))
    threading.excepthook = _ending(threading.excepthook)
    sys.unraisablehook = _ending(sys.unraisablehook)


def _ending(hook: Callable[[Any], object]) -> Callable[[Any], object]:
    """Before this hook for exceptions that nobody has handled."""

    def end_or_call(args: Any) -> None:
        _end_here(args.exc_type, args.exc_value)
        hook(args)

    return end_or_call


def relieve() -> None:
    """Memory has run out."""
    _raise()
    _note()


def _end_here(kind: type[BaseException], error: BaseException | None) -> None:
    """An exception has been raised where nobody waits for an answer: if it comes from a limit, that ends the process.

    Args:
        kind: its class.
        error: the exception.
    """
    if kind is MemoryError and _raise is not bool:
        relieve()  # before anything else
        os._exit(1)
    limit = limit_hit(_limits, error)
    if limit is not None:
        os.write(_descriptor, note_of(limit))
        os._exit(1)
