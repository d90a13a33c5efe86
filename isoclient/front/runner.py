"""The life of the app behind a client: started when it is needed, with its lifespan where that is wanted, and ended."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from typing import Any, Final

from isoclient.front.call import Call
from isoclient.front.errors import AppCrashed, AppStartupError
from isoclient.front.reraise import reraise
from isoclient.host.boot import Setup
from isoclient.process.errors import Reentered
from isoclient.process.handle import AppHandle, Death

__all__ = ["AppRunner"]

_CLOSING: Final = 60.0  # seconds
_NOT_AGAIN: Final = "handling an earlier call, and restart=False lets only client.restart() start it again"


class AppRunner:
    """Starts, keeps and ends the app of one client. It does not know the client, so that the client can be collected.

    Args:
        start: starts the app.
        setup: what is started.
        timeout: how long a wait may take, in seconds, where nothing else is said.
        restarts: whether the next use after a crash starts the app again.

    Attributes:
        owner: returns the client (a weak reference to it), for those who must keep it.
    """

    def __init__(
        self, start: Callable[[Setup], AppHandle], setup: Setup, timeout: float | None, *, restarts: bool
    ) -> None:
        self.setup = setup
        self.owner: Callable[[], object] = _nobody
        self.timeout = timeout
        self._restarts = restarts
        self._start = start
        self._lock = threading.RLock()
        self._handle: AppHandle | None = None
        self._lifespan: Call | None = None
        self._wants_lifespan = False

    @property
    def live(self) -> dict[str, object]:
        """The objects that both sides have: in a call, a reference to the app means the app over there."""
        return {} if isinstance(self.setup.app, str) or self.setup.factory else {"app": self.setup.app}

    def handle(self) -> AppHandle:
        """The running app; it is started if there is none, or if the last one has ended."""
        handle = self._handle
        if handle is None or not _is_usable(handle):
            with self._lock:
                handle = self._handle
                if handle is None or not _is_usable(handle):
                    handle = self._start_anew(handle)
        return handle

    def _start_anew(self, old: AppHandle | None) -> AppHandle:
        if old is not None and not (old.abandoned or self._restarts):
            reraise(self._crash(old.death(), doing=_NOT_AGAIN))
        if old is not None:
            old.stop()
        self._lifespan = None
        self._handle = handle = self._start(self.setup)
        if self._wants_lifespan:
            try:
                self._lifespan = self._start_lifespan(handle)
            except BaseException:
                self._end()
                raise
        return handle

    def open(
        self,
        kind: str,
        argument: Any,
        messages: tuple[Any, ...],
        *,
        doing: str,
        timeout: float | None,
        request: Any = None,
    ) -> Call:
        """Begin a call of the app."""
        return Call(
            self.handle(),
            kind,
            argument,
            messages,
            doing=doing,
            timeout=timeout,
            startup=self.timeout,
            request=request,
            owner=self.owner(),
            limits=self.setup.limits,
        )

    # -- lifespan

    def enter(self) -> None:
        """Start the app, and its lifespan.

        Raises:
            AppStartupError: the app said that its startup failed, or could not be loaded.
            BaseException: the app's own, from its startup.
        """
        with self._lock:
            self._wants_lifespan = True
            try:
                running = self._handle
                handle = self.handle()
                if handle is running and self._lifespan is None:  # else it has been started with the app
                    self._lifespan = self._start_lifespan(handle)
            except BaseException:
                self.close()
                raise

    def _start_lifespan(self, handle: AppHandle) -> Call | None:
        call = Call(handle, "lifespan", None, (), doing="lifespan startup", timeout=self.timeout, startup=self.timeout)
        message = call.receive()
        call.sync_output()
        if message is None:
            call.finish()
            return None  # an app without lifespan
        if message["type"] == "lifespan.startup.failed":
            call.finish()  # where the app raises too, its exception says more than its message
            raise AppStartupError(f"lifespan startup failed: {message['message']}".rstrip(": "))
        return call

    def exit(self) -> None:
        """Shut the app's lifespan down, and end the app.

        Raises:
            BaseException: the app's own, from its shutdown.
        """
        with self._lock:
            call, self._lifespan, self._wants_lifespan = self._lifespan, None, False
            try:
                if call is not None and self._handle is not None and _is_usable(self._handle):
                    self._shut_down(call)
            except Reentered:
                # In a signal handler, while this thread waits for the app: it can't wait for the answer, but the app is
                # told to end, and its lifespan with it, all the same.
                pass
            finally:
                self._end()

    def _shut_down(self, call: Call) -> None:
        call.doing = "lifespan shutdown"
        call.limit_waits(_CLOSING)  # also where the user has set no limit: what ends a client always ends
        call.send({"type": "lifespan.shutdown"})
        failed = None
        while (message := call.receive()) is not None:
            if message["type"] == "lifespan.shutdown.failed":
                failed = message["message"]
        call.finish()
        if failed is not None:
            raise RuntimeError(f"lifespan shutdown failed: {failed}".rstrip(": "))

    # -- the end

    def close(self) -> None:
        """End the app, in order. Idempotent; the next use starts it again."""
        self.exit()

    def _end(self) -> None:
        handle, self._handle = self._handle, None
        death = handle.stop() if handle is not None else None
        if death is not None:
            self._tell(death)

    def _tell(self, death: Death) -> None:
        """An end that was not in order should not pass in silence."""
        if not death.forced:
            reraise(self._crash(death, doing="ending"))
        warnings.warn(
            f"the app (pid {death.pid}) did not end when it was asked to, and was ended by force.\n{death.stack}",
            RuntimeWarning,
            stacklevel=2,
        )

    def _crash(self, death: Death, *, doing: str) -> AppCrashed:
        return AppCrashed.of(death, doing=doing, limits=self.setup.limits)

    def restart(self) -> None:
        """End the app, and start a fresh copy of it."""
        with self._lock:
            wanted = self._wants_lifespan
            self.close()
            if wanted:
                self.enter()
            else:
                self.handle()


def _nobody() -> None:
    return None


def _is_usable(handle: AppHandle) -> bool:
    connection = handle.connection
    return not (handle.abandoned or connection.exiting or connection.lost or connection.failure)
