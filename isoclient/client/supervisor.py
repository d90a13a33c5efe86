"""What is behind a client: it starts copies of the app when they are needed, keeps, replaces and ends them."""

from __future__ import annotations

import contextlib
import sys
import weakref
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final

from isoclient.client.app_copy import AppCopy, Patch, warn_of
from isoclient.client.copy_plan import Plan
from isoclient.client.defaults import Default
from isoclient.client.registry import registry
from isoclient.process.launchers import Launcher
from isoclient.server.setup import Setup
from isoclient.system.locks import make_lock
from isoclient.system.modules import os

if TYPE_CHECKING:
    from isoclient.leaks.found import Leak

__all__ = ["Supervisor"]

_NO_PICTURE: Final = (
    "what the app has left behind is not known, for nobody has looked at its process before its first use: make the "
    "client with {}, or run pytest with --isoclient-leaks=report"
)
_NOT_ALONE: Final = (
    "the app runs in the test's process, where what it leaves behind can't be told from what the test does: make the "
    "client with TestClient(..., isolated=True, leaks=True), or run pytest with --isolated and --isoclient-leaks=report"
)
_GONE: Final = (
    "what the app has left behind is not known: its process has died, or did not answer when it was to end. Ask for it "
    "before that"
)


class Supervisor(ABC):
    """The copies of one client's app. Several threads may use it at once.

    When one begins and how long it lives is for a subclass to say; they are in :mod:`isoclient.client.lifetimes`.

    Args:
        plan: what the copies have in common.
        restarts: whether the next use after a crash starts another one.

    Attributes:
        copies: those of which there is anything.
        patches: what is in force in each of them.
        left: what the copies that have ended have left behind; None if that is not known.
    """

    kind_of_copy: ClassVar[type[AppCopy]] = AppCopy
    lasts: ClassVar[str]
    """How long a copy lives, in words, where nobody runs its lifespan."""

    def __init__(self, plan: Plan, *, restarts: bool) -> None:
        self.plan = plan
        plan.lasts = self.lasts
        self.copies: list[AppCopy] = []
        self.patches: list[Patch] = []
        self.left: list[Leak] | None = []
        self._restarts = restarts
        # Held while a copy that is to be kept is started; and for the moment in which any other begins.
        self._lock = make_lock()
        self._closers: set[tuple[int, object]] = set()  # a token for each close() under way, with its process
        self._is_entered = False

    # -- what a lifetime is

    @classmethod
    @abstractmethod
    def launcher(cls, setup: Setup, method: str | Default | None) -> Launcher:
        """How an app that is to live so is started.

        Args:
            setup: what is to be started.
            method: the start method that the user asks for, or the default.

        Raises:
            ValueError: it can't live so.
        """

    @abstractmethod
    def copy(self) -> AppCopy:
        """The copy of the app for the next use, which is started if need be.

        Raises:
            AppCrashed: the last one has died, and nobody has been told of that yet; or no other may be started.
            requests.ConnectionError: another thread closes the client.
        """

    @property
    @abstractmethod
    def pid(self) -> int:
        """The process of the app.

        Raises:
            RuntimeError: there has been none.
        """

    @abstractmethod
    def install(self, patch: Patch) -> None:
        """Put a patch into force in the app, and in each copy that is started from now on."""

    @abstractmethod
    def enter(self) -> None:
        """From now on until it is closed, the app runs with its lifespan.

        Raises:
            AppStartupError: the app said that its startup failed, or could not be loaded.
            AppProtocolError: the app is to have a lifespan, and has returned without.
            BaseException: the app's own, from its startup.
        """

    @abstractmethod
    def restart(self) -> None:
        """End the app, and start a fresh copy of it, where that is to be kept."""

    def _described(self) -> str:
        """How the app is run, in a few words."""
        return f"isolated ({self.plan.launcher.name})"

    # -- what they have in common

    def belong_to(self, owner: object) -> None:
        """Be used by this, which is not collected meanwhile; and be closed with it, or with the interpreter."""
        self.plan.owner = weakref.ref(owner)
        weakref.finalize(owner, _close_left, self, os.getpid())

    def _start(self, *, lifespan: bool, patches: tuple[Patch, ...] = ()) -> AppCopy:
        with self._lock:
            copy = self.kind_of_copy(self.plan, [*self.patches, *patches], self._forget)
            self.copies.append(copy)
        if self._is_closing():
            copy.dismiss()  # who closes has looked already which there are
        copy.start(lifespan=lifespan)
        return copy

    def _forget(self, copy: AppCopy) -> None:
        with contextlib.suppress(ValueError):  # another thread was faster
            self.copies.remove(copy)
            if self.plan.setup.leaks:
                self._take_over(copy)

    def _take_over(self, copy: AppCopy) -> None:
        """It has ended, and has left something behind."""
        self.left = copy.left

    def describe(self) -> str:
        """How the app is run, and where, in a few words."""
        if self.plan.launcher.shares_memory:
            return self.plan.launcher.name
        pids = ", ".join(str(copy.handle.pid) for copy in list(self.copies) if copy.is_running)
        return f"{self._described()}, " + (f"pid {pids}" if pids else "not running")

    def state(self) -> dict[str, Any]:
        """What the app's lifespan has put into its state; nothing without one."""
        return self.copy().state() if self._is_entered else {}

    def leaks(self) -> list[Leak]:
        """What the app has left behind in its process, or had by its end.

        Raises:
            RuntimeError: that is not known.
        """
        if self.plan.launcher.shares_memory:
            raise RuntimeError(_NOT_ALONE)
        if not self.plan.setup.leaks:
            raise RuntimeError(_NO_PICTURE.format(self.plan.made_by))
        running = [copy for copy in list(self.copies) if copy.is_usable]
        if running:
            return [leak for copy in running for leak in copy.leaks()]
        if self.left is None or self.copies:
            raise RuntimeError(_GONE)
        return self.left.copy()

    def uninstall(self, patch: Patch) -> None:
        """Undo a patch."""
        with self._lock:  # a copy that begins now has it, or is among the copies
            self.patches.remove(patch)
            copies = list(self.copies)
        for copy in copies:
            copy.uninstall(patch)

    def recorded(self, patch: Patch) -> list[Any]:
        """What a patch has recorded in the copies that run now."""
        return [call for copy in list(self.copies) for call in copy.recorded(patch)]

    def close(self) -> None:
        """End the app, in order. Other threads that use it, or start it, are told so at once. The next use starts it.

        Raises:
            BaseException: the app's own, from its shutdown.
        """
        closing = os.getpid(), object()
        try:
            if (error := sys.exception()) is not None:
                for copy in list(self.copies):  # a test may be failing, and assert of what nobody can look at soon
                    registry.look(copy.record, error)
            self._closers.add(closing)
            for copy in list(self.copies):
                copy.dismiss()
            with self._lock, contextlib.ExitStack() as stack:  # all of them are ended, and the first failure is told
                self._is_entered = False
                for copy in list(self.copies):
                    stack.callback(copy.end)
        finally:
            self._closers.discard(closing)

    def _is_closing(self) -> bool:
        """Whether some thread closes it; those of the process before a fork are not here."""
        return any(pid == os.getpid() for pid, _ in list(self._closers))


def _close_left(supervisor: Supervisor, process: int) -> None:
    """The owner is collected, or the interpreter exits; in a fork, the apps are those of the process before it."""
    if os.getpid() == process:
        warn_of(supervisor.close, supervisor.plan)
