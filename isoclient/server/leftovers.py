"""What the app leaves behind in its process, as the server of it knows which calls of the app are still open."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final

from isoclient.leaks.kind import Subject
from isoclient.leaks.noticing import Noticing
from isoclient.leaks.pictures import Pictures
from isoclient.wire.protocol import LIFESPANS

if TYPE_CHECKING:
    from isoclient.leaks.found import Found
    from isoclient.server.runtime import Job
    from isoclient.server.server import Server
    from isoclient.server.side_channel import SideChannel

__all__ = ["Leftovers"]

_LOOKS: Final = 5
_BETWEEN_LOOKS: Final = 0.01  # seconds


class Leftovers:
    """Made when the app is loaded and before it is called: what is there then is not left behind by it.

    Args:
        server: what calls the app.
        side: what has come from the test.
        inherited: what has been seen before the fork.
    """

    def __init__(self, server: Server, side: SideChannel, inherited: Mapping[type[Any], Any]) -> None:
        self._server = server
        runtime = server.runtime
        self._spawn = runtime.spawn
        self._subject = Subject(tasks=runtime.tasks, executor=runtime.executor, is_of_the_test=side.is_of_the_test)
        noticing = Noticing(self._subject)
        noticing.begin()
        runtime.let_notice(noticing)
        self._pictures = Pictures(self._subject, inherited=inherited)
        runtime.spawn = self._spawn_in_context  # type: ignore[method-assign]
        server.startup_is_over = self._pictures.hold

    def _spawn_in_context(self, job: Job) -> None:
        """All that is made within a call of the app is known by its number."""
        context = copy_context()
        context.run(self._subject.origins.call.set, job.number)
        context.run(self._spawn, job)

    async def tell(self, goes_on: bool) -> list[tuple[str, str, str]]:
        """What has been left behind: its kind, what it is, and where it comes from.

        Args:
            goes_on: whether what is told now is not to be told again.
        """
        for _ in range(_LOOKS):
            if self._pictures.is_settled(self._server.open_calls()):
                break
            await self._wait()
        found = self._look()
        if goes_on:
            self._pictures.go_on(found)
        return [(one.kind, one.what, one.origin.where if one.origin is not None else "") for one in found]

    def _look(self) -> list[Found]:
        kinds = self._server.open_calls()
        return self._pictures.look(
            is_held=any(kind in LIFESPANS for kind in kinds.values()),
            open_calls=kinds,
            is_serving=any(kind not in LIFESPANS and kind != "question" for kind in kinds.values()),
        )

    async def _wait(self) -> None:
        signal = self._server.runtime.signal()
        self._server.runtime.call_later(_BETWEEN_LOOKS, signal.set)
        await signal.wait()
