"""From what the user of a client says to what is behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from isoclient.client.app_copy import Lifespan, Plan
from isoclient.client.defaults import Default, said
from isoclient.client.lifetimes import LIFETIMES
from isoclient.client.supervisor import Supervisor
from isoclient.errors import NotAnApp
from isoclient.process.launchers import launcher_for
from isoclient.server.app import check_app, check_import_string
from isoclient.server.setup import BACKENDS, Setup

if TYPE_CHECKING:
    from isoclient.server.limits import Limits

__all__ = ["Isolated", "Lifespan", "make_setup", "make_supervisor"]

Isolated = bool | Literal["request"]


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


def make_supervisor(
    setup: Setup,
    *,
    isolated: Isolated,
    start_method: str | None,
    timeout: float | None,
    restarts: bool,
    lifespan: Lifespan,
) -> Supervisor:
    """The supervisor for these options of a client, each of which may be a default.

    Raises:
        ValueError: they do not go together, here or anywhere.
    """
    mode: Any = said(isolated)
    if mode not in list(LIFETIMES):
        *most, last = map(repr, LIFETIMES)
        raise ValueError(f"isolated is {mode!r}; it is {', '.join(most)} or {last}")
    if lifespan not in ("auto", "on", "off"):
        raise ValueError(f"lifespan is {lifespan!r}; it is 'auto', 'on' or 'off'")
    lifetime = LIFETIMES[mode]
    asked: Any = start_method
    # The default is for those that start a process, and leave open how.
    leaves_it_open = bool(mode) and not lifetime.ends_with_call
    method = None if isinstance(asked, Default) and not leaves_it_open else said(asked)
    lifetime.check(setup, method)
    launcher = launcher_for(setup, isolated=bool(mode), method=method)
    return Supervisor(Plan(setup, launcher, lifespan, said(timeout)), lifetime, restarts=restarts)
