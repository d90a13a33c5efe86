"""Limits put into force in the app's process, and told from other failures when one is hit."""

from __future__ import annotations

import faulthandler
import resource
from functools import partial
from typing import Final

from isoclient.server import relief
from isoclient.server.limits import RESERVE, Limits
from isoclient.system.modules import io, os, signal

__all__ = ["apply_limits", "lift_limits"]

_FOR_TELLING: Final = 256 * 2**20
"""Bytes of memory, once the limit has been hit: enough to tell it, and a bound for what goes on to take memory."""
_EVADED: Final = 2
"""Seconds of processor time beyond the limit, after which the kernel sends SIGKILL, whether or not anybody looks."""


def apply_limits(limits: Limits, crash: int) -> None:
    """Let the kernel watch over them.

    Args:
        limits: what is asked for.
        crash: the descriptor that the stack goes to when the processor time is used up, and a note when the memory is.
    """
    most = _address_space() + (limits.memory or 0) + RESERVE
    raised = _below(resource.RLIMIT_AS, most + _FOR_TELLING)
    relief.arm(limits, crash, partial(resource.setrlimit, resource.RLIMIT_AS, raised))
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
        relief.relieve()
    elif hit == "open_files":
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
