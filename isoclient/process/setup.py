"""From what the user says to something that can be started."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from isoclient.errors import NotAnApp
from isoclient.server.app import check_app, check_import_string
from isoclient.server.setup import BACKENDS, Setup
from isoclient.system.modules import os

if TYPE_CHECKING:
    from isoclient.process.handle import AppHandle
    from isoclient.server.limits import Limits

__all__ = ["METHODS", "chosen_method", "make_setup", "maker"]

METHODS: Final = ("fork", "forkserver", "spawn")


def make_setup(
    app: object, *, factory: bool, backend: str, options: Mapping[str, Any] | None, limits: Limits | None
) -> Setup:
    """See that all is well as far as that can be seen here, where nothing is imported.

    Raises:
        NotAnApp: the app is none.
        ValueError: there is no such backend.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend is {backend!r}; it is one of {', '.join(map(repr, BACKENDS))}")
    if isinstance(app, str):
        check_import_string(app)
    elif not factory:
        check_app(app)
    elif not callable(app):
        raise NotAnApp(f"{app!r} is not a factory: it can't be called")
    return Setup(app, factory, backend, dict(options or {}), limits)


def chosen_method(setup: Setup, *, isolated: bool, method: str | None) -> str | None:
    """How it is to be started: by one of :data:`METHODS`, or, for None, in a thread.

    Raises:
        ValueError: there is no such start method, here or anywhere; or something is asked for that only an isolated app
            can have.
    """
    if not isolated:
        if method is not None:
            raise ValueError(f"start_method={method!r} needs isolated=True: without, the app runs in a thread")
        if setup.limits is not None:
            raise ValueError("limits= needs isolated=True: without, they would hold for the test run as well")
        return None
    chosen = method or _default_method(setup)
    if chosen not in METHODS:
        raise ValueError(f"start_method is {chosen!r}; it is one of {', '.join(map(repr, METHODS))}")
    if chosen != "spawn" and not hasattr(os, "fork"):
        raise ValueError(f"start_method {chosen!r} needs os.fork, which this platform has not; use 'spawn'")
    return chosen


def maker(method: str | None) -> Callable[[Setup], AppHandle]:
    """What makes the handle of an app that starts by this method."""
    if method is None:
        return _make_thread

    def make(setup: Setup) -> AppHandle:
        # What runs apps is imported when the first one starts, and multiprocess never for those in threads.
        from isoclient.process.app_process import AppProcess

        return AppProcess(method, setup)

    return make


def _make_thread(setup: Setup) -> AppHandle:
    from isoclient.process.app_thread import AppThread

    return AppThread(setup)


def _default_method(setup: Setup) -> str:
    """A snapshot of this process for an app object, a clean room for an import string."""
    if not hasattr(os, "fork"):
        return "spawn"
    return "forkserver" if isinstance(setup.app, str) else "fork"
