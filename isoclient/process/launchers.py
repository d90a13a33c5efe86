"""The ways to start an app, as objects that say what they are: in a thread of this process, or in one of its own."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol

from isoclient.server.setup import Setup
from isoclient.system.modules import os

if TYPE_CHECKING:
    from isoclient.process.handle import AppHandle

__all__ = ["IN_A_THREAD", "START_METHODS", "Launcher", "launcher_for"]


class Launcher(Protocol):
    """Makes apps that are started in one way."""

    @property
    def name(self) -> str:
        """What its users call it."""

    @property
    def shares_memory(self) -> bool:
        """Whether the app has its objects in common with the test; else it has a process of its own."""

    @property
    def is_snapshot(self) -> bool:
        """Whether that process begins as a copy of this one, and so has the modules of the tests, too."""

    def make(self, setup: Setup) -> AppHandle:
        """An app, which has yet to be started. What runs it is imported here, when the first one is made."""


class _InAThread:
    name = "in-process"
    shares_memory = True
    is_snapshot = False

    def make(self, setup: Setup) -> AppHandle:
        from isoclient.process.app_thread import AppThread

        return AppThread(setup)


class _InAProcess:
    """One of the start methods."""

    shares_memory = False

    def __init__(self, name: str, function: str, *, is_snapshot: bool = False, needs_fork: bool = True) -> None:
        self.name = name
        self.is_snapshot = is_snapshot
        self.needs_fork = needs_fork
        self._function = function  # of the module launch, which is imported when the first app is made

    def make(self, setup: Setup) -> AppHandle:
        from isoclient.process.app_process import AppProcess

        # Not "from isoclient.process import launch": a plugin that has modules forgotten which a test has imported, as
        # pyfakefs does, leaves the old one in the package, and the modules around it would not fit any more.
        launch = import_module("isoclient.process.launch")
        return AppProcess(setup, getattr(launch, self._function), is_snapshot=self.is_snapshot)


IN_A_THREAD: Final[Launcher] = _InAThread()
START_METHODS: Final[dict[str, _InAProcess]] = {
    "fork": _InAProcess("fork", "by_fork", is_snapshot=True),
    "forkserver": _InAProcess("forkserver", "by_fork_server"),
    "spawn": _InAProcess("spawn", "by_spawn", needs_fork=False),
}


def launcher_for(setup: Setup, *, isolated: bool, method: str | None) -> Launcher:
    """How it is to be started.

    Args:
        setup: what is.
        isolated: whether in a process of its own.
        method: the start method that the user asks for; None for a snapshot of this process for an app object, and a
            clean room for an import string.

    Raises:
        ValueError: there is no such start method, here or anywhere; or something is asked for that only an isolated app
            can have.
    """
    if not isolated:
        if method is not None:
            raise ValueError(f"start_method={method!r} needs isolated=True: without, the app runs in a thread")
        if setup.limits is not None:
            raise ValueError("limits= needs isolated=True: without, they would hold for the test run as well")
        return IN_A_THREAD
    can_fork = hasattr(os, "fork")
    if method is None:
        method = "spawn" if not can_fork else "forkserver" if isinstance(setup.app, str) else "fork"
    if method not in START_METHODS:
        raise ValueError(f"start_method is {method!r}; it is one of {', '.join(map(repr, START_METHODS))}")
    if START_METHODS[method].needs_fork and not can_fork:
        raise ValueError(f"start_method {method!r} needs os.fork, which this platform has not; use 'spawn'")
    return START_METHODS[method]
