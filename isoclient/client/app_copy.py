"""One copy of the app of a client, from its start to its end: its lifespan, its patches, what it is asked for."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeVar

import requests

from isoclient.client.bound_methods import owner_over_there
from isoclient.client.call import Call, reraise
from isoclient.client.copy_plan import Plan
from isoclient.client.copy_record import CopyRecord
from isoclient.client.registry import registry
from isoclient.client.request_errors import REFUSALS, AppCrashed, AppStartupError, not_started
from isoclient.drive.failures import Reentered
from isoclient.errors import ObjectNotLoadable, ObjectNotSendable
from isoclient.system.locks import make_lock
from isoclient.transit.libraries import is_of_a_library
from isoclient.wire.protocol import CallSpec, question

if TYPE_CHECKING:
    from isoclient.leaks.found import Leak
    from isoclient.process.handle import ProcessStatus

__all__ = ["AppCopy", "Ask", "Patch", "as_leaks", "warn_of"]

_Call = TypeVar("_Call", bound=Call)

_CLOSING: Final = 60.0  # seconds
_RECORDS: Final = 1.0  # seconds that an app which ends may take to hand over what its patches have recorded
_LEFT: Final = 3.0  # seconds that one may take to say what it has left behind
_GRACE: Final = 3.0  # seconds that an event loop which is not stuck may take to say so, before it is to shut down
_AT_ONCE: Final = 1.0  # the same after Ctrl-C
_FRESH: Final = " This call was not made; the next one meets a fresh copy of the app."
_NOT_AGAIN: Final = "handling an earlier call, and restart=False lets only client.restart() start it again"

Ask = Callable[..., Any]
"""Calls a function in the app's process: ``ask(func, *args)``."""


class Patch(Protocol):
    """Something that is put into force in each copy of the app; see :class:`isoclient.client.patching.AppPatch`."""

    def begin(self, ask: Ask) -> None:
        """Put it into force in this process."""

    def finish(self, ask: Ask) -> None:
        """Undo it in this process, and keep what it has recorded there."""

    def recorded(self, ask: Ask) -> list[Any]:
        """What it has recorded in this process."""


def as_leaks(told: list[tuple[str, str, str]]) -> list[Leak]:
    """What a process has told of what is left behind there."""
    from isoclient.leaks.found import Leak

    return [Leak(*parts) for parts in told]


class AppCopy:
    """One copy of the app. It is started once, and ended for good.

    Several threads may use it: its start and its end exclude each other. It does not know the client, so that the
    client can be collected.

    Args:
        plan: what it has in common with other copies.
        patches: what is to be put into force in it.
        forget: called with it when nothing of it is left; whoever has it keeps it until then.

    Attributes:
        handle: the app.
        test: the number of the test that has used it last; -1 until its start is over.
        record: what is known of it.
        left: what it has left behind, once it has ended; None if that is not known.
    """

    shares_locals: ClassVar[bool] = True
    """Whether what the test has made for itself is kept alike in both processes."""

    def __init__(self, plan: Plan, patches: list[Patch], forget: Callable[[AppCopy], object]) -> None:
        self.handle = plan.launcher.make(plan.setup)  # ours before there is anything of it
        self.handle.shares_locals = self.shares_locals
        self.test = -1
        self.record = CopyRecord(
            self.handle,
            plan.setup.app,
            (registry.test, registry.name),
            is_snapshot=plan.launcher.is_snapshot,
            lasts=plan.lasts,
            reach=plan.reach,
            sharing=plan.sharing,
            looks_for_leaks=plan.setup.leaks,
        )
        self._plan = plan
        self._patches = patches
        self._forget = forget
        self._lock = make_lock()
        self._is_up = False  # from then on it has a connection
        self._is_dismissed = self._is_over = False
        self._lifespan: Call | None = None
        self._has_asked_for_lifespan = False
        self.left: list[Leak] | None = None
        self._last = "being started"  # what it was asked for last

    # -- its start

    def start(self, *, lifespan: bool) -> None:
        """Start it, with its patches, and its lifespan if that is wanted.

        Raises:
            AppStartupError: the system refuses what it takes, or its startup failed, or it could not be loaded.
            requests.ConnectionError: another thread is closing it.
            BaseException: the app's own, from its startup.
        """
        with self._lock:
            try:
                if self._is_dismissed:
                    raise requests.ConnectionError("the client was closed before the app was started")
                self._launch()
                for patch in self._patches:
                    patch.begin(self._ask)
                if lifespan:
                    self.start_lifespan()
                self.note_its_use()
            except BaseException as error:
                self._end_after(error)
                raise

    def _launch(self) -> None:
        try:
            self.handle.start()
        except REFUSALS as error:
            reraise(not_started(error))
        except ObjectNotSendable as error:
            reraise(error.with_traceback(None))  # the frames are ours alone
        self._is_up = True
        if self._is_dismissed:
            self.handle.connection.dismiss()  # who closes it has looked already whether it is up
        self._plan.usage.note(self.record)

    def note_its_use(self) -> None:
        """The present test uses it."""
        if self.test != registry.test:
            self.test = registry.test
            self.record.answers.clear()
        self._plan.usage.note(self.record)

    def start_lifespan(self) -> None:
        """Start its lifespan, if it has one; once.

        Raises:
            AppStartupError: the app said that its startup failed, or could not be loaded.
            AppProtocolError: the app is to have a lifespan, and has returned without.
            BaseException: the app's own, from its startup.
        """
        with self._lock:
            if not self._has_asked_for_lifespan and self._plan.lifespan != "off":
                self._has_asked_for_lifespan = True
                try:
                    self._lifespan = self._started_lifespan()
                except Exception as error:
                    if not self.is_closing:
                        self.record.startup_fails(error)
                    raise

    def _started_lifespan(self) -> Call | None:
        spec = CallSpec("lifespan", self._plan.lifespan, ({"type": "lifespan.startup"},))
        call = self._begin(Call, spec, "lifespan startup", self._plan.timeout)
        message = call.receive()
        call.sync_output()
        if message is None:
            call.finish()
            return None  # an app without lifespan
        if message["type"] == "lifespan.startup.failed":
            call.finish()  # where the app raises too, its exception says more than its message
            reraise(AppStartupError(f"lifespan startup failed: {message['message']}".rstrip(": ")))
        self.record.lifespan_begins()
        return call

    # -- what becomes of it

    @property
    def is_closing(self) -> bool:
        """Whether somebody closes it, which ends whatever goes on in it."""
        return self.handle.connection.closing.has_begun

    @property
    def is_usable(self) -> bool:
        """Whether it is running, and nobody closes it."""
        return self.is_running and not self.is_closing

    @property
    def is_running(self) -> bool:
        """Whether it has been started, and nothing has ended it, as far as is known."""
        if not self._is_up:
            return False
        connection = self.handle.connection
        server = connection.server
        gone = server.exiting or server.failure or connection.lost or connection.stuck
        return not (self.handle.abandoned or gone)

    # -- what it is asked for

    def open(self, spec: CallSpec, *, doing: str, timeout: float | None, request: Any = None) -> Call:
        """Begin a call of the app."""
        return self._begin(Call, spec, doing, timeout, request, self._plan.owner())

    def relay(self, spec: CallSpec, *, doing: str) -> Call:
        """Begin a call that somebody else makes, on an event loop. Nothing is waited for."""
        return self._begin(Call, spec, doing, self._plan.timeout, None, self._plan.owner(), waits=False)

    def pack(self, thing: object) -> Any:
        """An object as a value that can be in a scope.

        Raises:
            ObjectNotSendable: it can't cross.
        """
        return self.handle.connection.codec.pack_object(thing, self._plan.live)

    def call(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], trusted: bool = False
    ) -> Any:
        """Call a function in the app's process, and return what it returns; if trusted, whatever that runs here."""
        return self._call(func, args, kwargs, self._plan.timeout, trusted)

    def state(self) -> dict[str, Any]:
        """What the app's lifespan has put into its state; nothing without one."""
        if self._lifespan is None:
            return {}
        call = self._begin(Call, question("state"), "telling its state", self._plan.timeout)
        return self.handle.connection.codec.unpack_debug(call.finish())

    def leaks(self) -> list[Leak]:
        """What it has left behind in its process.

        Raises:
            AppCrashed, AppTimeout: see there.
        """
        call = self._begin(Call, question("leaks", False), "telling what it has left behind", self._plan.timeout)
        return as_leaks(call.finish())

    def _see_what_is_left(self) -> None:
        """It is about to end, and nobody can ask for that any more."""
        if self._plan.setup.leaks and self.is_running:
            told = self.record.ask("leaks", False, _LEFT)
            self.left = None if told is None else as_leaks(told)

    def _begin(
        self,
        kind: type[_Call],
        spec: CallSpec,
        doing: str,
        timeout: float | None,
        request: Any = None,
        owner: object = None,
        waits: bool = True,
    ) -> _Call:
        self._last = doing
        startup, limits = self._plan.timeout, self._plan.setup.limits
        return kind(
            self.handle,
            spec,
            doing=doing,
            timeout=timeout,
            startup=startup,
            request=request,
            owner=owner,
            limits=limits,
            waits=waits,
        )

    def _call(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        timeout: float | None,
        trusted: bool = False,
    ) -> Any:
        codec, launcher = self.handle.connection.codec, self._plan.launcher
        named = self._plan.live
        live, references = codec.known(named), None
        if not launcher.shares_memory:
            references = owner_over_there(func, live, named, is_fork=launcher.is_snapshot)
        try:
            packed = codec.pack_object((func, args, kwargs), live, references)
        except ObjectNotSendable as error:
            reraise(error.with_traceback(None))  # the frames are ours alone
        doing = f"calling {getattr(func, '__qualname__', repr(func))}"
        call = self._begin(Call, question("call", (packed, trusted)), doing, timeout, owner=self._plan.owner())
        try:
            packed = call.finish()
            return codec.unpack_object(packed, live) if trusted else codec.unpack_result(packed, live, timeout)
        except ObjectNotLoadable as error:
            reraise(error.with_traceback(None))
        except ObjectNotSendable as error:  # of its result; or of a call that the function makes itself
            reraise(error.with_traceback(None) if _is_without_own_code(error) else error)
        except BaseException:
            call.abandon()
            raise

    def _ask(self, func: Callable[..., Any], *args: Any) -> Any:
        return self._call(func, args, {}, self._plan.timeout)

    # -- patches

    def install(self, patch: Patch) -> None:
        """Put a patch into force in it."""
        with self._lock:
            patch.begin(self._ask)
            self._patches.append(patch)

    def uninstall(self, patch: Patch) -> None:
        """Undo a patch, if it is in force in it. With a process that has ended its patches have, too."""
        with self._lock:
            if patch in self._patches:
                self._patches.remove(patch)
                if self.is_running:
                    patch.finish(self._ask)

    def recorded(self, patch: Patch) -> list[Any]:
        """What a patch has recorded in it, if it runs."""
        return patch.recorded(self._ask) if patch in self._patches and self.is_running else []

    def _finish_patches(self) -> None:
        """The app is about to end: what the patches have recorded there would be lost."""
        ask = partial(self._ask_within, _RECORDS)
        for patch in self._patches:
            if self.is_running:
                try:
                    patch.finish(ask)
                except requests.RequestException:
                    self.handle.is_told = False  # nobody has heard of it: the end is to be told as any other

    def _ask_within(self, seconds: float, func: Callable[..., Any], *args: Any) -> Any:
        return self._call(func, args, {}, seconds)

    # -- its end

    def dismiss(self) -> None:
        """Whoever uses it is told that the client was closed, and nobody starts it. It takes no lock."""
        self._is_dismissed = True
        if self._is_up:  # whoever starts it sets this first, and then looks whether it is dismissed
            self.handle.connection.dismiss()

    def end(self) -> None:
        """Shut its lifespan down, and end it, in order if it can be. Idempotent.

        Raises:
            BaseException: the app's own, from its shutdown.
        """
        with self._lock:
            if self._is_up:
                self.handle.connection.dismiss(but_this_thread=True)
            try:
                self.record.lifespan_ends()
                call, self._lifespan = self._lifespan, None
                if call is not None and self.is_running:
                    self._shut_down(call)
                self._finish_patches()
                self._see_what_is_left()
            except Reentered:
                # In a signal handler, while this thread waits for the app: it can't wait for the answer, but the app is
                # told to end, and its lifespan with it, all the same.
                pass
            finally:
                self._stop()

    def _shut_down(self, call: Call) -> None:
        call.doing = "lifespan shutdown"
        # What its shutdown takes is for the app to say. A loop that is stuck before that would not even hear of it.
        if not call.send_if_it_answers({"type": "lifespan.shutdown"}, _AT_ONCE if call.interrupted else _GRACE):
            return  # it is ended by force, which is told
        call.limit_waits(_CLOSING)  # also where the user has set no limit: what ends a client always ends
        failed = None
        while (message := call.receive()) is not None:
            if message["type"] == "lifespan.shutdown.failed":
                failed = message["message"]
        call.finish()
        if failed is not None:
            raise RuntimeError(f"lifespan shutdown failed: {failed}".rstrip(": "))

    def _stop(self) -> None:
        status = None
        if self._is_up:
            self.handle.connection.dismiss(but_this_thread=True)
            status = self.handle.stop(takes_word=registry.is_between_tests)
        else:
            self.handle.kill()  # its start may have been interrupted
        self._be_over()  # not before: one whose end is interrupted is ended by the next who asks for that
        if status is not None:
            self._tell(status)

    def _be_over(self) -> None:
        was_over, self._is_over = self._is_over, True
        if self._plan.setup.leaks and self._is_up and not was_over:
            registry.tell_left(self.left)
        self._forget(self)

    def _end_after(self, error: BaseException) -> None:
        """End it for something that has failed, which comes first, whatever fails at its end."""
        if self._is_up and self._is_dismissed:
            return  # another thread ends it, and this one need not wait for that
        try:
            self.end()
        except Exception as ending:
            error.add_note(f"After this was raised, the end of the app failed too: {ending!r}")

    def _tell(self, status: ProcessStatus) -> None:
        """An end that was not in order should not pass in silence."""
        if not status.forced:
            reraise(self._crash(status, "ending" if status.asked else None))
        why = f": {status.held_up}" if status.held_up else ""
        if self._plan.launcher.shares_memory:
            text = f"the app did not end when it was asked to, and goes on in a thread of this process{why}."
        else:
            text = f"the app (pid {status.pid}) did not end when it was asked to, and was ended by force{why}."
        self._plan.warn(f"{text}\n{status.stack}")

    def see_off(self, *, for_good: bool) -> None:
        """It takes no calls any more. If it has died, and nobody has been told of that, whoever comes first is.

        Args:
            for_good: whether another copy may take its place. If not, whoever comes is told that it has died.

        Raises:
            AppCrashed: it has.
        """
        with self._lock:
            if not self._is_up or self.handle.connection.closing.has_begun:
                self._stop()  # its start or its end has been interrupted
                return
            status = self.handle.stop()
            if for_good or self.handle.abandoned:
                self._be_over()
            if status is not None and not status.forced:
                error = self._crash(status)
                error.add_note("The app was not asked for anything else since." + _FRESH * for_good)
                reraise(error)
            if not (self.handle.abandoned or for_good):
                reraise(self._crash(self.handle.final_status(), _NOT_AGAIN))

    def _crash(self, status: ProcessStatus, doing: str | None = None) -> AppCrashed:
        """What is told of its death: while it did something; or after what it was asked for last, unseen."""
        return AppCrashed.of(status, doing=doing or self._last, limits=self._plan.setup.limits, after=doing is None)


def _is_without_own_code(error: BaseException) -> bool:
    return all(is_of_a_library(frame.f_code.co_filename) for frame, _ in traceback.walk_tb(error.__traceback__))


def warn_of(end: Callable[[], object], plan: Plan) -> None:
    """End something where nobody is left to be told by an exception."""
    try:
        end()
    except Exception as error:
        plan.warn(f"an app whose client was not closed, or has left a call of it, has ended badly: {error}")
