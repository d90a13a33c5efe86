"""Limits put into force in the app's process, and told from other failures when one is hit."""

from __future__ import annotations

import faulthandler
import resource
from functools import partial

from isoclient.host import relief
from isoclient.link.limits import Limits
from isoclient.link.system import io, os, signal

__all__ = ["apply_limits", "lift_limits"]


def apply_limits(limits: Limits, crash: int) -> None:
    """Let the kernel watch over them.

    Args:
        limits: what is asked for.
        crash: the descriptor that the stack goes to when the processor time is used up, and a note when the memory is.
    """
    if limits.memory is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        relief.arm(partial(resource.setrlimit, resource.RLIMIT_AS, (hard, hard)), crash)
        _lower(resource.RLIMIT_AS, _address_space() + limits.memory)
    if limits.open_files is not None:
        _lower(resource.RLIMIT_NOFILE, len(os.listdir("/proc/self/fd")) + limits.open_files)
    if limits.cpu_seconds is not None:
        # The default action of SIGXCPU ends the process; first the stack is written down.
        signal.signal(signal.SIGXCPU, signal.SIG_DFL)
        faulthandler.register(signal.SIGXCPU, crash, all_threads=True, chain=True)
        _lower(resource.RLIMIT_CPU, limits.cpu_seconds)


def _lower(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, hard))


def _address_space() -> int:
    with io.open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def lift_limits() -> None:
    """A limit has been hit, which is to be told: that may need what has run out."""
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_NOFILE):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (hard, hard))
