"""What an error says about a message that may not be sent now. Off the common path: clarity goes before speed."""

from __future__ import annotations

from collections.abc import Iterator

from isoclient.asgi.schemas import short
from isoclient.asgi.tables import Protocol

__all__ = ["out_of_place"]

_STREAMS = {"http": "an http stream", "websocket": "a websocket stream", "lifespan": "a lifespan stream"}
_RECEIVED = frozenset({
    "http.request", "http.disconnect", "websocket.connect", "websocket.receive", "websocket.disconnect",
    "lifespan.startup", "lifespan.shutdown",
})  # fmt: skip
_NOT_OFFERED = frozenset({"http.response.push", "http.response.zerocopysend"})


def out_of_place(kind: str, protocol: Protocol, state: str) -> str:
    """The error's text for a message type that the protocol's table does not have for this state."""
    if kind not in protocol.order:
        return _foreign(kind, protocol, state)
    if protocol.ended(state):
        return f"{kind} was sent after the last message (state: {state}); nothing more may be sent"
    before = _first_step(kind, protocol, state)
    if before is None:
        return f"{kind} was sent out of order (state: {state}): {protocol.order[kind]}; {_expected(protocol, state)}"
    return f"{kind} was sent before {before} (state: {state}); send {before} first"


def _foreign(kind: str, protocol: Protocol, state: str) -> str:
    where = f"on {_STREAMS[protocol.name]} (state: {state})"
    expected = _expected(protocol, state)
    if kind in _RECEIVED:
        return f"{kind} was sent {where}, but apps receive it and do not send it; {expected}"
    if kind in _NOT_OFFERED:
        return f"{kind} was sent {where}, but its extension is not in scope['extensions']; {expected}"
    home = kind.partition(".")[0]
    if home != protocol.name and home in _STREAMS:
        return f"{short(kind)} was sent {where}, but it belongs on {_STREAMS[home]}; {_guess(kind, protocol)}{expected}"
    return f"unknown message type {short(kind)} {where}; {_guess(kind, protocol)}{expected}"


def _guess(kind: str, protocol: Protocol) -> str:
    import difflib  # Takes milliseconds to import, which only a mistake is worth.

    close = difflib.get_close_matches(kind[:100], protocol.order, n=1)
    return f"did you mean {close[0]!r}? " if close else ""


def _expected(protocol: Protocol, state: str) -> str:
    kinds = list(protocol.table[state])
    if not kinds:
        return "nothing more may be sent"
    return f"expected {'one of ' if len(kinds) > 1 else ''}{', '.join(kinds)}"


def _first_step(kind: str, protocol: Protocol, state: str) -> str | None:
    """What comes first on the shortest way to a state in which ``kind`` may be sent, if there is a way."""
    ways: dict[str, str | None] = {state: None}
    queue = [state]
    for here in queue:
        if kind in protocol.table[here]:
            return ways[here]
        for there, name in _steps(protocol, here):
            if there not in ways:
                ways[there] = ways[here] or name
                queue.append(there)
    return None


def _steps(protocol: Protocol, state: str) -> Iterator[tuple[str, str]]:
    """Each next state with the name of what leads there."""
    for kind, (schema, after, after_flag) in protocol.table[state].items():
        more = schema.flag is not None and schema.flag.startswith("more_")
        yield after, f"the last {kind}" if more else kind
        yield after_flag, kind
