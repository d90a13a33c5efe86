"""What is behind a client: it starts copies of the app when they are needed, keeps, replaces and ends them."""

from __future__ import annotations

import contextlib
from typing import Any

import requests

from isoclient.client.app_copy import AppCopy, Patch, Plan, warn_of
from isoclient.client.lifetimes import Lifetime
from isoclient.client.registry import registry
from isoclient.system.locks import make_lock
from isoclient.system.modules import os

__all__ = ["Supervisor"]


class Supervisor:
    """The copies of one client's app. Several threads may use it at once.

    Args:
        plan: what they have in common.
        lifetime: how long each lives.
        restarts: whether the next use after a crash starts another one.

    Attributes:
        copies: those of which there is anything; where the lifetime is longer than a call, one at most.
        patches: what is in force in each of them.
    """

    def __init__(self, plan: Plan, lifetime: Lifetime, *, restarts: bool) -> None:
        self.plan = plan
        self.copies: list[AppCopy] = []
        self.patches: list[Patch] = []
        self._lifetime = lifetime
        self._restarts = restarts
        # Held while a copy that is to be kept is started; and for the moment in which any other begins.
        self._lock = make_lock()
        self._closers: set[tuple[int, object]] = set()  # a token for each close() under way, with its process
        self._is_entered = False
        self._last_pid: int | None = None

    # -- copies

    def copy(self) -> AppCopy:
        """The copy of the app for the next use. It is started if there is none, or if the last one is of no use.

        Raises:
            AppCrashed: the last one has died, and nobody has been told of that yet; or no other may be started.
            requests.ConnectionError: another thread closes the client.
        """
        if self._lifetime.ends_with_call:
            copy = self._start(lifespan=self._is_entered)
            self._last_pid = copy.handle.pid
            return copy
        for copy in self.copies[:1]:
            if copy.test == registry.test and copy.is_usable:
                return copy
        with self._lock:
            for copy in list(self.copies):
                if copy.is_usable and not self._lifetime.is_over(self.plan.usage, entered=self._is_entered):
                    copy.note_its_use()
                    return copy
                self._replace(copy)
            return self._start(lifespan=self._is_entered)

    def _replace(self, copy: AppCopy) -> None:
        if self._is_closing():
            raise requests.ConnectionError("the client was closed before the app was started")
        if copy.is_usable:
            copy.end()
        else:
            copy.see_off(for_good=self._restarts)

    def _start(self, *, lifespan: bool, patches: tuple[Patch, ...] = ()) -> AppCopy:
        for left in [copy for copy in self.copies if copy.is_left]:
            warn_of(left.end)  # whoever left it is gone, and another request is not to fail by it
        with self._lock:
            copy = self._lifetime.kind_of_copy(self.plan, [*self.patches, *patches], self._forget)
            self.copies.append(copy)
        if self._is_closing():
            copy.dismiss()  # who closes has looked already which there are
        copy.start(lifespan=lifespan)
        return copy

    def _try_out(self, *, lifespan: bool = False, patches: tuple[Patch, ...] = ()) -> None:
        """See whether a copy can be started so. It is ended then."""
        self._start(lifespan=lifespan, patches=patches).end()

    def _forget(self, copy: AppCopy) -> None:
        with contextlib.suppress(ValueError):  # another thread was faster
            self.copies.remove(copy)

    # -- what the client asks for

    @property
    def pid(self) -> int:
        """The process of the app, which is started if it does not run; where each call has its own, that of the last.

        Raises:
            RuntimeError: there has been none.
        """
        if not self._lifetime.ends_with_call:
            return self.copy().handle.pid
        if self._last_pid is None:
            raise RuntimeError(
                'nothing has run yet: with isolated="request" each request has a process of its own, and client.pid is '
                "that of the last one"
            )
        return self._last_pid

    def describe(self) -> str:
        """How the app is run, and where, in a few words."""
        launcher = self.plan.launcher
        if launcher.shares_memory:
            return launcher.name
        pids = ", ".join(str(copy.handle.pid) for copy in list(self.copies) if copy.is_running)
        return f"isolated ({self._lifetime.describe(launcher.name)}), " + (f"pid {pids}" if pids else "not running")

    def state(self) -> dict[str, Any]:
        """What the app's lifespan has put into its state; nothing without one."""
        return self.copy().state() if self._is_entered else {}

    # -- patches

    def install(self, patch: Patch) -> None:
        """Put a patch into force in the app, and in each copy that is started from now on."""
        if self._lifetime.ends_with_call:
            self._try_out(patches=(patch,))
            self.patches.append(patch)
            return
        with self._lock:
            self.copy().install(patch)
            self.patches.append(patch)

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

    # -- the life of the client

    def enter(self) -> None:
        """From now on until it is closed, the app runs with its lifespan; it is started for that.

        Where each call has a copy, one is made, and ended, to see whether that can be done: a startup that fails should
        be told here, and not by a request, or by none.

        Raises:
            AppStartupError: the app said that its startup failed, or could not be loaded.
            AppProtocolError: the app is to have a lifespan, and has returned without.
            BaseException: the app's own, from its startup.
        """
        if self._lifetime.ends_with_call:
            if self.plan.lifespan != "off" and not self._is_entered:
                self._try_out(lifespan=True)
            self._is_entered = True
            return
        with self._lock:
            self._is_entered = True
            try:
                self.copy().start_lifespan()  # of one that ran already
            except BaseException:
                self.close()
                raise

    def restart(self) -> None:
        """End the app, and start a fresh copy of it, where that is to be kept."""
        with self._lock:
            is_entered = self._is_entered
            self.close()
            if self._lifetime.ends_with_call:
                self._is_entered = is_entered
            elif is_entered:
                self.enter()
            else:
                self.copy()

    def close(self) -> None:
        """End the app, in order. Other threads that use it, or start it, are told so at once. The next use starts it.

        Raises:
            BaseException: the app's own, from its shutdown.
        """
        closing = os.getpid(), object()
        try:
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
