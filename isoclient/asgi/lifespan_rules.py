"""The app's own life: startup, then shutdown (ASGI Lifespan 2.0)."""

from __future__ import annotations

from isoclient.asgi.rules import Rules
from isoclient.asgi.schemas import (
    SHUTDOWN_COMPLETE,
    SHUTDOWN_FAILED,
    STARTUP_COMPLETE,
    STARTUP_FAILED,
    Schema,
)
from isoclient.asgi.tables import Protocol, table

__all__ = ["LifespanRules"]

NEW = "startup not begun"
EARLY = "startup complete, lifespan.startup not received yet"
STARTING = "startup under way"
STARTED = "startup complete"
NOT_STARTED = "startup failed"
STOPPING = "shutdown under way"
STOPPED = "shutdown complete"
NOT_STOPPED = "shutdown failed"

_SHUT_DOWN: list[tuple[Schema, str]] = [(SHUTDOWN_COMPLETE, STOPPED), (SHUTDOWN_FAILED, NOT_STOPPED)]

# As the servers have it, an app may answer before it has received what it answers to: one that need not start anything
# says so at once, and one whose tasks die says so before anybody has asked it to shut down.
_TABLE = table({
    NEW: [(STARTUP_COMPLETE, EARLY), (STARTUP_FAILED, NOT_STARTED)],
    EARLY: [*_SHUT_DOWN],
    STARTING: [(STARTUP_COMPLETE, STARTED), (STARTUP_FAILED, NOT_STARTED)],
    STARTED: [*_SHUT_DOWN],
    NOT_STARTED: [],
    STOPPING: [*_SHUT_DOWN],
    STOPPED: [],
    NOT_STOPPED: [],
})  # fmt: skip

_DELIVERED = {
    NEW: ("lifespan.startup", STARTING),
    EARLY: ("lifespan.startup", STARTED),
    STARTED: ("lifespan.shutdown", STOPPING),
}

_ORDER = {
    STARTUP_COMPLETE.kind: "a startup ends once",
    STARTUP_FAILED.kind: "a startup ends once",
    SHUTDOWN_COMPLETE.kind: "a shutdown ends once",
    SHUTDOWN_FAILED.kind: "a shutdown ends once",
}

_UNFINISHED = {
    NEW: "the app returned without receiving lifespan.startup",
    EARLY: "the app returned after lifespan.startup.complete without waiting for lifespan.shutdown",
    STARTING: "the app returned without lifespan.startup.complete or lifespan.startup.failed",
    STARTED: "the app returned after lifespan.startup.complete without waiting for lifespan.shutdown",
    STOPPING: "the app returned without lifespan.shutdown.complete or lifespan.shutdown.failed",
}


class LifespanRules(Rules):
    """The rules of the lifespan stream (ASGI Lifespan 2.0).

    The spec lets an app do without lifespan, so what :meth:`unfinished` says is an error only if lifespan is asked for.

    Example:
        >>> rules = LifespanRules()
        >>> rules.delivered("lifespan.startup")
        >>> rules.check({"type": "lifespan.startup.failed", "message": "no database"})
        {'type': 'lifespan.startup.failed', 'message': 'no database'}
        >>> rules.state, rules.started, rules.complete
        ('startup failed', False, True)
    """

    __slots__ = ()

    protocol = Protocol("lifespan", NEW, _TABLE, _ORDER, _UNFINISHED)

    def delivered(self, event_type: str) -> None:
        """Note that the app received an event.

        Args:
            event_type: ``lifespan.startup``, or ``lifespan.shutdown`` once the startup is complete.

        Raises:
            ValueError: the event may not be delivered in this state, which is the server's mistake and not the app's.
        """
        event, after = _DELIVERED.get(self._state, (None, self._state))
        if event_type != event:
            raise ValueError(f"{event_type} may not be delivered (state: {self._state})")
        self._state = after

    @property
    def started(self) -> bool:
        """Whether ``lifespan.startup.complete`` was accepted; it stays so in the shutdown."""
        return self._state in (EARLY, STARTED, STOPPING, STOPPED, NOT_STOPPED)
