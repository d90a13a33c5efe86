"""The life of the app behind a client: started when it is needed, with its lifespan where that is wanted, and ended."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final

import requests

from isoclient.client.bound import owner_over_there
from isoclient.client.call import Call
from isoclient.client.registry import Usage
from isoclient.client.request_errors import AppCrashed, AppStartupError
from isoclient.client.reraise import reraise
from isoclient.client.runners import Ask, Lifespan, Patch
from isoclient.client.starting import REFUSALS, not_started
from isoclient.drive.failures import Reentered
from isoclient.errors import ObjectNotLoadable, ObjectNotSendable
from isoclient.system.locks import make_lock
from isoclient.system.modules import os
from isoclient.wire.protocol import CallSpec

if TYPE_CHECKING:
    from isoclient.process.handle import AppHandle, ProcessStatus
    from isoclient.server.setup import Setup

__all__ = ["AppRunner", "warn_of"]

_CLOSING: Final = 60.0  # seconds
_RECORDS: Final = 1.0  # seconds that an app which ends may take to hand over what its patches have recorded
_GRACE: Final = 3.0  # seconds that an event loop which is not stuck may take to say so, before it is to shut down
_AT_ONCE: Final = 1.0  # the same after Ctrl-C
_START: Final = "being started"
_FRESH: Final = " This call was not made; the next one meets a fresh copy of the app."
_NOT_AGAIN: Final = "handling an earlier call, and restart=False lets only client.restart() start it again"


class AppRunner:
    """Starts, keeps and ends the app of one client. It does not know the client, so that the client can be collected.

    Args:
        make: makes the handle of an app, which is started then.
        setup: what is started.
        timeout: how long a wait may take, in seconds, where nothing else is said.
        restarts: whether the next use after a crash starts the app again.
        method: the start method of the app's process; None for a thread.
        lifespan: see :data:`Lifespan`.

    Attributes: see :class:`Runner`.
    """

    kind_of_call: ClassVar = Call

    def __init__(
        self,
        make: Callable[[Setup], AppHandle],
        setup: Setup,
        timeout: float | None,
        *,
        restarts: bool,
        method: str | None,
        lifespan: Lifespan,
    ) -> None:
        self.setup = setup
        self.owner: Callable[[], object] = _nobody
        self.timeout = timeout
        self.isolated = method is not None
        self.usage = Usage()
        self.patches: list[Patch] = []
        self._restarts = restarts
        self._method = method
        self._make = make
        self._lock = make_lock()
        self._closers: set[tuple[int, object]] = set()  # a token for each close() under way, with its process
        self._handle: AppHandle | None = None
        self._starting: AppHandle | None = None
        self._lifespan_mode = lifespan
        self._lifespan: Call | None = None
        self._wants_lifespan = False
        self._last = _START  # what the app was asked for last

    @property
    def live(self) -> dict[str, object]:
        """The objects that both sides have: in a call, a reference to the app means the app over there."""
        return {} if isinstance(self.setup.app, str) or self.setup.factory else {"app": self.setup.app}

    def handle(self) -> AppHandle:
        """The running app; it is started if there is none, or if the last one has ended.

        Raises:
            requests.ConnectionError: another thread is closing it.
        """
        handle = self._handle
        if handle is None or not _takes_calls(handle):
            with self._lock:
                handle = self._handle
                if handle is None or not _takes_calls(handle):
                    handle = self._start_anew(handle)
        return handle

    def _start_anew(self, old: AppHandle | None) -> AppHandle:
        if self._is_closing():
            raise requests.ConnectionError("the client was closed before the app was started")
        if old is not None:
            self._see_off(old)
        self._lifespan = None
        handle = self._launch()
        if self._is_closing():
            handle.connection.dismiss()  # who closes has looked already whether there is an app
        self.usage.note(handle)
        try:
            for patch in self.patches:
                patch.begin(self._asker(handle))
            if self._wants_lifespan:
                self._lifespan = self._start_lifespan(handle)
        except BaseException:
            self._end()
            raise
        return handle

    def _launch(self) -> AppHandle:
        self._end_the_unstarted()
        self._starting = handle = self._make(self.setup)  # ours before there is anything of it
        try:
            handle.start()
        except REFUSALS as error:
            reraise(not_started(error))
        except ObjectNotSendable as error:
            reraise(error.with_traceback(None))  # the frames are ours alone
        self._handle = handle
        self._starting = None
        return handle

    def _end_the_unstarted(self) -> None:
        """The last start may have been interrupted."""
        if self._starting is not None:
            self._starting.kill()
            self._starting = None

    def _see_off(self, old: AppHandle) -> None:
        """The last one has ended. If nobody has been told of that, whoever comes first is."""
        if old.connection.closing.has_begun:
            self._end()  # or its close() has been interrupted
            return
        death = old.stop()
        if self._restarts:
            self._handle = None
        if death is not None and not death.forced:
            error = self._crash_unasked(death)
            error.add_note("The app was not asked for anything else since." + _FRESH * self._restarts)
            reraise(error)
        if not (old.abandoned or self._restarts):
            reraise(self._crash(old.death(), doing=_NOT_AGAIN))

    @property
    def running(self) -> AppHandle | None:
        """The app, if it runs."""
        handle = self._handle
        return handle if handle is not None and _is_usable(handle) else None

    @property
    def pid(self) -> int:
        """The process that the app runs in; it is started if it does not run."""
        return self.handle().pid

    def describe(self) -> str:
        """See :class:`Runner`."""
        if not self.isolated:
            return "in-process"
        where = f"pid {self.running.pid}" if self.running is not None else "not running"
        return f"isolated ({self._method}), {where}"

    # -- calls

    def open(
        self,
        spec: CallSpec,
        *,
        doing: str,
        timeout: float | None,
        request: Any = None,
    ) -> Call:
        """See :class:`Runner`."""
        handle = self.handle()
        self.usage.note(handle)
        self._last = doing
        return self.kind_of_call(
            handle,
            spec,
            doing=doing,
            timeout=timeout,
            startup=self.timeout,
            request=request,
            owner=self.owner(),
            limits=self.setup.limits,
        )

    def call(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], trusted: bool = False
    ) -> Any:
        """See :class:`Runner`."""
        handle = self.handle()
        self.usage.note(handle)
        return self._call(handle, func, args, kwargs, timeout=self.timeout, trusted=trusted)

    def _call(
        self,
        handle: AppHandle,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        timeout: float | None,
        trusted: bool = False,
    ) -> Any:
        codec = handle.connection.codec
        live = self.live
        references = owner_over_there(func, live, is_fork=self._method == "fork") if self.isolated else None
        try:
            packed = codec.pack_object((func, args, kwargs), live, references)
        except ObjectNotSendable as error:
            reraise(error.with_traceback(None))  # the frames are ours alone
        self._last = f"calling {getattr(func, '__qualname__', repr(func))}"
        call = Call(
            handle,
            CallSpec("call", (packed, trusted)),
            doing=self._last,
            timeout=timeout,
            startup=self.timeout,
            owner=self.owner(),
            limits=self.setup.limits,
        )
        try:
            packed = call.finish()
            return codec.unpack_object(packed, live) if trusted else codec.unpack_result(packed, live, timeout)
        except ObjectNotLoadable as error:
            reraise(error.with_traceback(None))
        except BaseException:
            call.abandon()
            raise

    def state(self) -> dict[str, Any]:
        """See :class:`Runner`."""
        if self._lifespan is None:
            return {}
        handle = self.handle()
        spec = CallSpec("state", None)
        call = Call(handle, spec, doing="telling its state", timeout=self.timeout, startup=self.timeout)
        return handle.connection.codec.unpack_debug(call.finish())

    # -- patches

    def install(self, patch: Patch) -> None:
        """See :class:`Runner`."""
        with self._lock:
            patch.begin(self._asker(self.handle()))
            self.patches.append(patch)

    def uninstall(self, patch: Patch) -> None:
        """See :class:`Runner`. With a process that has ended its patches have, too."""
        with self._lock:
            self.patches.remove(patch)
            if self.running is not None:
                patch.finish(self._asker(self.running))

    def peek(self, patch: Patch) -> list[Any]:
        """See :class:`Runner`."""
        return patch.recorded(self._asker(self.running)) if self.running is not None else []

    def _asker(self, handle: AppHandle, timeout: float | None = None) -> Ask:
        def ask(func: Callable[..., Any], *args: Any) -> Any:
            return self._call(handle, func, args, {}, timeout=self.timeout if timeout is None else timeout)

        return ask

    def _finish_patches(self) -> None:
        """The app is about to end: what the patches have recorded there would be lost."""
        for patch in self.patches:
            handle = self.running
            if handle is not None:
                try:
                    patch.finish(self._asker(handle, _RECORDS))
                except requests.RequestException:
                    handle.is_told = False  # nobody has heard of it: the end is to be told as any other

    # -- lifespan

    def enter(self) -> None:
        """Start the app, and its lifespan.

        Raises:
            AppStartupError: the app said that its startup failed, or could not be loaded.
            AppProtocolError: the app is to have a lifespan, and has returned without.
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
        if self._lifespan_mode == "off":
            return None
        self._last = "lifespan startup"
        call = Call(
            handle,
            CallSpec("lifespan", self._lifespan_mode, ({"type": "lifespan.startup"},)),
            doing=self._last,
            timeout=self.timeout,
            startup=self.timeout,
            limits=self.setup.limits,
        )
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
        """Shut the app's lifespan down, and end the app. Other threads that use it, or start it, are told so at once.

        Raises:
            BaseException: the app's own, from its shutdown.
        """
        closing = os.getpid(), object()
        try:
            self._dismiss(closing)
            self._exit()
        finally:
            self._closers.discard(closing)

    def _dismiss(self, closing: tuple[int, object]) -> None:
        """Whoever waits for the app is told that the client was closed, and while the token is there, who starts it."""
        self._closers.add(closing)
        handle = self._handle  # whoever starts it sets this first, and then looks at the tokens
        if handle is not None:
            handle.connection.dismiss()

    def _is_closing(self) -> bool:
        """Whether some thread closes it; those of the process before a fork are not here."""
        return any(pid == os.getpid() for pid, _ in list(self._closers))

    def _exit(self) -> None:
        with self._lock:
            if self._handle is not None:
                self._handle.connection.dismiss(but_this_thread=True)
            call, self._lifespan, self._wants_lifespan = self._lifespan, None, False
            try:
                if call is not None and self.running is not None:
                    self._shut_down(call)
                self._finish_patches()
            except Reentered:
                # In a signal handler, while this thread waits for the app: it can't wait for the answer, but the app is
                # told to end, and its lifespan with it, all the same.
                pass
            finally:
                self._end()

    def _shut_down(self, call: Call) -> None:
        call.doing = "lifespan shutdown"
        # What its shutdown takes is for the app to say. A loop that is stuck before that would not even hear of it.
        if call.is_stuck(_AT_ONCE if call.interrupted else _GRACE):
            return  # it is ended by force, which is told
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
        self._end_the_unstarted()
        handle = self._handle
        if handle is not None:
            handle.connection.dismiss(but_this_thread=True)
        death = handle.stop() if handle is not None else None
        self._handle = None  # not before: one whose end is interrupted is ended by the next who asks for that
        if death is not None:
            self._tell(death)

    def _tell(self, death: ProcessStatus) -> None:
        """An end that was not in order should not pass in silence."""
        if not death.forced:
            reraise(self._crash(death, doing="ending") if death.asked else self._crash_unasked(death))
        warnings.warn(
            f"the app (pid {death.pid}) did not end when it was asked to, and was ended by force.\n{death.stack}",
            RuntimeWarning,
            stacklevel=2,
        )

    def _crash_unasked(self, death: ProcessStatus) -> AppCrashed:
        return AppCrashed.of(death, doing=self._last, limits=self.setup.limits, after=True)

    def _crash(self, death: ProcessStatus, *, doing: str) -> AppCrashed:
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


def warn_of(end: Callable[[], object]) -> None:
    """End something where nobody is left to be told by an exception."""
    try:
        end()
    except Exception as error:
        text = f"an app whose client was not closed, or has left a call of it, has ended badly: {error}"
        warnings.warn(text, RuntimeWarning, stacklevel=2)


def _nobody() -> None:
    return None


def _takes_calls(handle: AppHandle) -> bool:
    return _is_usable(handle) and not handle.connection.closing.has_begun


def _is_usable(handle: AppHandle) -> bool:
    connection = handle.connection
    gone = connection.exiting or connection.lost or connection.failure or connection.stuck
    return not (handle.abandoned or gone)
