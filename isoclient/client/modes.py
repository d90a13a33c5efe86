"""From what the user says of isolation to the runner that does it."""

from __future__ import annotations

import os
from typing import Any, Literal

from isoclient.client.defaults import Default, said
from isoclient.client.fresh import FreshRunner
from isoclient.client.runner import AppRunner
from isoclient.client.runners import Lifespan, Runner
from isoclient.process.setup import chosen_method, maker
from isoclient.server.setup import Setup

__all__ = ["Isolated", "Lifespan", "make_runner"]

Isolated = bool | Literal["request"]


def make_runner(
    setup: Setup,
    *,
    isolated: Isolated,
    start_method: str | None,
    timeout: float | None,
    restarts: bool,
    lifespan: Lifespan,
) -> Runner:
    """The runner for these options of a client, each of which may be a default.

    Raises:
        ValueError: they do not go together, here or anywhere.
    """
    mode: Any = said(isolated)
    if mode not in (False, True, "request"):
        raise ValueError(f"isolated is {mode!r}; it is False, True or 'request'")
    if lifespan not in ("auto", "on", "off"):
        raise ValueError(f"lifespan is {lifespan!r}; it is 'auto', 'on' or 'off'")
    # The default is for those that start a process, and leave open how.
    asked: Any = start_method
    method = None if isinstance(asked, Default) and mode is not True else said(asked)
    if mode == "request":
        _check_fresh(setup, method)
        return FreshRunner(setup, said(timeout), lifespan)
    chosen = chosen_method(setup, isolated=mode, method=method)
    return AppRunner(maker(chosen), setup, said(timeout), restarts=restarts, method=chosen, lifespan=lifespan)


def _check_fresh(setup: Setup, method: str | None) -> None:
    if method not in (None, "fork"):
        raise ValueError(
            f'isolated="request" forks this process for each request, so that start_method={method!r} can\'t be: leave '
            "it out, or use isolated=True, which keeps one process of the app"
        )
    if isinstance(setup.app, str):
        raise ValueError(
            f'isolated="request" needs the app itself, not where it is to be imported from ({setup.app!r}): each '
            "request gets a fork of this process, which should have imported it. Import the app and pass that, or use "
            "isolated=True"
        )
    if not hasattr(os, "fork"):
        raise ValueError('isolated="request" needs os.fork, which this platform has not; use isolated=True')
