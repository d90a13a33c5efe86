"""What runs the app of a client, as the client and its patches see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from isoclient.client.call import Call
    from isoclient.client.registry import Usage
    from isoclient.server.setup import Setup
    from isoclient.wire.protocol import CallSpec

__all__ = ["Ask", "Lifespan", "Patch", "Runner"]

Lifespan = Literal["auto", "on", "off"]
"""Whether an app runs with its lifespan where that is wanted: if it has one, in any case, or not at all."""


class Runner(Protocol):
    """What a client needs of whatever runs its app.

    Attributes:
        setup: what is started.
        timeout: how long a wait may take, in seconds, where nothing else is said.
        owner: returns the client (a weak reference to it), for those who must keep it.
        isolated: whether the app has a process of its own.
        usage: which apps have been used of late.
        patches: those that are in force in the app.
    """

    setup: Setup
    timeout: float | None
    owner: Callable[[], object]
    isolated: bool
    usage: Usage
    patches: list[Patch]

    @property
    def pid(self) -> int:
        """The process of the app."""

    def describe(self) -> str:
        """How the app is run, and where, in a few words."""

    def open(
        self,
        spec: CallSpec,
        *,
        doing: str,
        timeout: float | None,
        request: Any = None,
    ) -> Call:
        """Begin a call of the app."""

    def call(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], trusted: bool = False
    ) -> Any:
        """Call a function in the app's process, and return what it returns; if trusted, whatever that runs here."""

    def state(self) -> dict[str, Any]:
        """What the app's lifespan has put into its state; nothing without one."""

    def enter(self) -> None:
        """From now on until it is closed, the app runs with its lifespan."""

    def restart(self) -> None:
        """End the app, so that the next use meets a fresh copy of it."""

    def close(self) -> None:
        """End the app, in order. Idempotent; the next use starts it again."""

    def install(self, patch: Patch) -> None:
        """Put a patch into force in the app, and in each fresh copy of it."""

    def uninstall(self, patch: Patch) -> None:
        """Undo a patch."""

    def peek(self, patch: Patch) -> list[Any]:
        """What a patch has recorded in the apps that run now."""


Ask = Callable[..., Any]
"""Calls a function in the app's process: ``ask(func, *args)``."""


class Patch(Protocol):
    """Something that is put into force in each process of the app; see :class:`isoclient.client.patching.AppPatch`."""

    def begin(self, ask: Ask) -> None:
        """Put it into force in this process."""

    def finish(self, ask: Ask) -> None:
        """Undo it in this process, and keep what it has recorded there."""

    def recorded(self, ask: Ask) -> list[Any]:
        """What it has recorded in this process."""
