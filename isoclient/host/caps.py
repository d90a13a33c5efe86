"""Limits put into force in the app's process, and told from other failures when one is hit."""

from __future__ import annotations

import errno
import faulthandler
import resource

from isoclient.link.limits import Limits
from isoclient.link.system import io, os, signal

__all__ = ["apply_limits", "limit_hit"]


def apply_limits(limits: Limits, crash: int) -> None:
    """Let the kernel watch over them.

    Args:
        limits: what is asked for.
        crash: the descriptor that the stack goes to when the processor time is used up.
    """
    if limits.memory is not None:
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


def limit_hit(limits: Limits | None, error: BaseException) -> str | None:
    """The name of the limit that an exception of the app comes from; None if it comes from none."""
    if limits is None:
        return None
    if limits.memory is not None and isinstance(error, MemoryError):
        return "memory"
    if limits.open_files is not None and isinstance(error, OSError) and error.errno == errno.EMFILE:
        return "open_files"
    return None
