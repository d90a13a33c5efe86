"""What may be sent when: for every state, every message, against tables that are written out here once more."""

from __future__ import annotations

import pytest

from isoclient.asgi import HTTPRules, LifespanRules, Message, WebSocketRules
from isoclient.errors import AppProtocolError

Rules = HTTPRules | WebSocketRules | LifespanRules

# A plus stands for the flag: "body+" has more_body, "start+" announces trailers, "trailers+" has more_trailers.
# In a way to a state, what begins with ">" is not sent but received.
MESSAGES: dict[str, Message] = {
    "start": {"type": "http.response.start", "status": 200},
    "start+": {"type": "http.response.start", "status": 200, "trailers": True},
    "body": {"type": "http.response.body", "body": b"x"},
    "body+": {"type": "http.response.body", "body": b"x", "more_body": True},
    "trailers": {"type": "http.response.trailers", "headers": []},
    "trailers+": {"type": "http.response.trailers", "headers": [], "more_trailers": True},
    "pathsend": {"type": "http.response.pathsend", "path": "/srv/file"},
    "hint": {"type": "http.response.early_hint", "links": []},
    "debug": {"type": "http.response.debug", "info": {}},
    "template": {"type": "http.response.template", "template": None, "context": {}},
    "accept": {"type": "websocket.accept"},
    "send": {"type": "websocket.send", "text": "x"},
    "close": {"type": "websocket.close"},
    "deny": {"type": "websocket.http.response.start", "status": 403},
    "deny+": {"type": "websocket.http.response.start", "status": 403, "trailers": True},
    "denial": {"type": "websocket.http.response.body"},
    "denial+": {"type": "websocket.http.response.body", "more_body": True},
    "started": {"type": "lifespan.startup.complete"},
    "not started": {"type": "lifespan.startup.failed"},
    "stopped": {"type": "lifespan.shutdown.complete"},
    "not stopped": {"type": "lifespan.shutdown.failed"},
    "unknown": {"type": "http.response.zerocopysend"},
    "received": {"type": "http.request"},
}

# state -> a way to it, and which messages lead from it to which state
HTTP: dict[str, tuple[list[str], dict[str, str]]] = {
    "no response yet": (
        [],
        {
            "start": "response started",
            "start+": "response started, trailers announced",
            "hint": "no response yet",
            "debug": "no response yet, debug info sent",
            "template": "no response yet, debug info sent",
        },
    ),
    "no response yet, debug info sent": (
        ["debug"],
        {
            "start": "response started",
            "start+": "response started, trailers announced",
            "hint": "no response yet, debug info sent",
        },
    ),
    "response started": (
        ["start"],
        {
            "body": "response complete",
            "body+": "response body under way",
            "pathsend": "response complete",
            "hint": "response started",
        },
    ),
    "response started, trailers announced": (
        ["start+"],
        {
            "body": "response body complete, trailers expected",
            "body+": "response body under way, trailers announced",
            "pathsend": "response body complete, trailers expected",
            "hint": "response started, trailers announced",
        },
    ),
    "response body under way": (
        ["start", "body+"],
        {
            "body": "response complete",
            "body+": "response body under way",
            "hint": "response body under way",
        },
    ),
    "response body under way, trailers announced": (
        ["start+", "body+"],
        {
            "body": "response body complete, trailers expected",
            "body+": "response body under way, trailers announced",
            "hint": "response body under way, trailers announced",
        },
    ),
    "response body complete, trailers expected": (
        ["start+", "body"],
        {
            "trailers": "response complete",
            "trailers+": "response body complete, trailers expected",
        },
    ),
    "response complete": (["start", "body"], {}),
}

WEBSOCKET: dict[str, tuple[list[str], dict[str, str]]] = {
    "handshake not answered yet": (
        [],
        {
            "accept": "connection accepted",
            "close": "handshake refused with websocket.close",
            "deny": "denial response started",
            "deny+": "denial response started",
        },
    ),
    "connection accepted": (
        ["accept"],
        {"send": "connection accepted", "close": "connection closed by the app"},
    ),
    "denial response started": (
        ["deny"],
        {"denial": "denial response complete", "denial+": "denial response body under way"},
    ),
    "denial response body under way": (
        ["deny", "denial+"],
        {"denial": "denial response complete", "denial+": "denial response body under way"},
    ),
    "connection closed by the app": (["accept", "close"], {}),
    "handshake refused with websocket.close": (["close"], {}),
    "denial response complete": (["deny", "denial"], {}),
}

LIFESPAN: dict[str, tuple[list[str], dict[str, str]]] = {
    "startup not begun": (
        [],
        {"started": "startup complete, lifespan.startup not received yet", "not started": "startup failed"},
    ),
    "startup complete, lifespan.startup not received yet": (
        ["started"],
        {"stopped": "shutdown complete", "not stopped": "shutdown failed"},
    ),
    "startup under way": (
        [">lifespan.startup"],
        {"started": "startup complete", "not started": "startup failed"},
    ),
    "startup complete": (
        [">lifespan.startup", "started"],
        {"stopped": "shutdown complete", "not stopped": "shutdown failed"},
    ),
    "startup failed": ([">lifespan.startup", "not started"], {}),
    "shutdown under way": (
        [">lifespan.startup", "started", ">lifespan.shutdown"],
        {"stopped": "shutdown complete", "not stopped": "shutdown failed"},
    ),
    "shutdown complete": ([">lifespan.startup", "started", ">lifespan.shutdown", "stopped"], {}),
    "shutdown failed": ([">lifespan.startup", "started", ">lifespan.shutdown", "not stopped"], {}),
}

PROTOCOLS: dict[type[Rules], dict[str, tuple[list[str], dict[str, str]]]] = {
    HTTPRules: HTTP,
    WebSocketRules: WEBSOCKET,
    LifespanRules: LIFESPAN,
}


def after(protocol: type[Rules], *way: str) -> Rules:
    rules = protocol()
    for step in way:
        if step.startswith(">"):
            assert isinstance(rules, LifespanRules)
            rules.delivered(step[1:])
        else:
            rules.check(MESSAGES[step])
    return rules


STATES = [
    pytest.param(protocol, state, way, allowed, id=f"{protocol.__name__}: {state}")
    for protocol, states in PROTOCOLS.items()
    for state, (way, allowed) in states.items()
]


@pytest.mark.parametrize(("protocol", "state", "way", "allowed"), STATES)
def test_every_message_in_every_state(
    protocol: type[Rules], state: str, way: list[str], allowed: dict[str, str]
) -> None:
    for name, message in MESSAGES.items():
        rules = after(protocol, *way)
        assert rules.state == state
        if name in allowed:
            checked = rules.check(message)
            assert checked["type"] == message["type"]
            assert checked is not message
            assert rules.state == allowed[name], name
        else:
            with pytest.raises(AppProtocolError) as caught:
                rules.check(message)
            assert message["type"] in str(caught.value)
            assert f"(state: {state})" in str(caught.value)
            assert rules.state == state, name


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_tables_here_know_every_state(protocol: type[Rules]) -> None:
    assert set(protocol.protocol.table) == set(PROTOCOLS[protocol])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_repr_shows_the_state(protocol: type[Rules]) -> None:
    assert repr(protocol()) == f"<{protocol.__name__}: {protocol().state}>"


@pytest.mark.parametrize(
    ("way", "started", "complete", "unfinished"),
    [
        ([], False, False, "without sending a response"),
        (["debug"], False, False, "without sending a response"),
        (["hint"], False, False, "without sending a response"),
        (["start"], True, False, "after http.response.start without a body"),
        (["start+"], True, False, "after http.response.start without a body"),
        (["start", "body+"], True, False, "without the last http.response.body (more_body was True)"),
        (["start+", "body+"], True, False, "without the last http.response.body (more_body was True)"),
        (["start+", "body"], True, False, "without http.response.trailers"),
        (["start+", "pathsend", "trailers+"], True, False, "without http.response.trailers"),
        (["start", "body"], True, True, None),
        (["start", "pathsend"], True, True, None),
        (["hint", "debug", "start+", "hint", "body+", "hint", "body", "trailers+", "trailers"], True, True, None),
    ],
)
def test_how_far_an_http_response_is(way: list[str], started: bool, complete: bool, unfinished: str | None) -> None:
    rules = after(HTTPRules, *way)
    assert isinstance(rules, HTTPRules)
    assert (rules.started, rules.complete) == (started, complete)
    said = rules.unfinished()
    assert (said is None) if unfinished is None else (said or "").startswith(f"the app returned {unfinished}")


@pytest.mark.parametrize(
    ("way", "true", "unfinished"),
    [
        ([], set(), "without answering the handshake"),
        (["accept"], {"started", "accepted"}, None),
        (["accept", "send"], {"started", "accepted"}, None),
        (["accept", "close"], {"started", "accepted", "closed", "complete"}, None),
        (["close"], {"started", "closed", "complete"}, None),
        (["deny"], {"started"}, "after websocket.http.response.start without a body"),
        (["deny", "denial+"], {"started"}, "without the last websocket.http.response.body"),
        (["deny", "denial+", "denial"], {"started", "denied", "complete"}, None),
    ],
)
def test_how_far_a_websocket_is(way: list[str], true: set[str], unfinished: str | None) -> None:
    rules = after(WebSocketRules, *way)
    names = ("started", "accepted", "closed", "denied", "complete")
    assert {name for name in names if getattr(rules, name)} == true
    said = rules.unfinished()
    assert (said is None) if unfinished is None else (said or "").startswith(f"the app returned {unfinished}")


@pytest.mark.parametrize(
    ("way", "started", "complete", "unfinished"),
    [
        ([], False, False, "without receiving lifespan.startup"),
        (["started"], True, False, "after lifespan.startup.complete without waiting"),
        (["started", ">lifespan.startup", ">lifespan.shutdown", "stopped"], True, True, None),
        ([">lifespan.startup", "started", "not stopped"], True, True, None),
        ([">lifespan.startup"], False, False, "without lifespan.startup.complete or lifespan.startup.failed"),
        ([">lifespan.startup", "not started"], False, True, None),
        ([">lifespan.startup", "started"], True, False, "after lifespan.startup.complete without waiting"),
        ([">lifespan.startup", "started", ">lifespan.shutdown"], True, False, "without lifespan.shutdown.complete or"),
        ([">lifespan.startup", "started", ">lifespan.shutdown", "stopped"], True, True, None),
        ([">lifespan.startup", "started", ">lifespan.shutdown", "not stopped"], True, True, None),
    ],
)
def test_how_far_the_lifespan_is(way: list[str], started: bool, complete: bool, unfinished: str | None) -> None:
    rules = after(LifespanRules, *way)
    assert isinstance(rules, LifespanRules)
    assert (rules.started, rules.complete) == (started, complete)
    said = rules.unfinished()
    assert (said is None) if unfinished is None else (said or "").startswith(f"the app returned {unfinished}")


@pytest.mark.parametrize("state", LIFESPAN)
def test_events_are_delivered_in_order(state: str) -> None:
    leads_to = {
        ("startup not begun", "lifespan.startup"): "startup under way",
        ("startup complete, lifespan.startup not received yet", "lifespan.startup"): "startup complete",
        ("startup complete", "lifespan.shutdown"): "shutdown under way",
    }
    for event in ("lifespan.startup", "lifespan.shutdown", "http.request"):
        rules = after(LifespanRules, *LIFESPAN[state][0])
        assert isinstance(rules, LifespanRules)
        if (state, event) in leads_to:
            rules.delivered(event)
        else:
            with pytest.raises(ValueError, match=f"{event} may not be delivered"):
                rules.delivered(event)
        assert rules.state == leads_to.get((state, event), state), event


@pytest.mark.parametrize(
    ("protocol", "way", "kind", "text"),
    [
        (
            HTTPRules,
            [],
            "http.response.body",
            "http.response.body was sent before http.response.start (state: no response yet); "
            "send http.response.start first",
        ),
        (
            HTTPRules,
            ["start"],
            "http.response.start",
            "http.response.start was sent out of order (state: response started): a response is started once; "
            "expected one of http.response.body, http.response.pathsend, http.response.early_hint",
        ),
        (
            HTTPRules,
            ["start"],
            "http.response.trailers",
            "http.response.trailers was sent out of order (state: response started): "
            "http.response.start has to announce them with 'trailers': True; "
            "expected one of http.response.body, http.response.pathsend, http.response.early_hint",
        ),
        (
            HTTPRules,
            ["start+", "body+"],
            "http.response.trailers",
            "http.response.trailers was sent before the last http.response.body "
            "(state: response body under way, trailers announced); send the last http.response.body first",
        ),
        (
            HTTPRules,
            ["start+", "body"],
            "http.response.body",
            "http.response.body was sent out of order (state: response body complete, trailers expected): "
            "no body may follow the last one or a path; expected http.response.trailers",
        ),
        (
            HTTPRules,
            ["start", "body"],
            "http.response.body",
            "http.response.body was sent after the last message (state: response complete); nothing more may be sent",
        ),
        (
            HTTPRules,
            [],
            "http.respones.start",
            "unknown message type 'http.respones.start' on an http stream (state: no response yet); "
            "did you mean 'http.response.start'? "
            "expected one of http.response.start, http.response.early_hint, http.response.debug, "
            "http.response.template",
        ),
        (
            HTTPRules,
            ["start", "body"],
            "?" * 1000,
            f"unknown message type '{'?' * 76}... on an http stream (state: response complete); "
            "nothing more may be sent",
        ),
        (
            HTTPRules,
            ["start+", "body"],
            "websocket.send",
            "'websocket.send' was sent on an http stream (state: response body complete, trailers expected), "
            "but it belongs on a websocket stream; expected http.response.trailers",
        ),
        (
            HTTPRules,
            ["start+", "body"],
            "http.request",
            "http.request was sent on an http stream (state: response body complete, trailers expected), "
            "but apps receive it and do not send it; expected http.response.trailers",
        ),
        (
            HTTPRules,
            ["start+", "body"],
            "http.response.push",
            "http.response.push was sent on an http stream (state: response body complete, trailers expected), "
            "but its extension is not in scope['extensions']; expected http.response.trailers",
        ),
        (
            WebSocketRules,
            [],
            "http.response.start",
            "'http.response.start' was sent on a websocket stream (state: handshake not answered yet), "
            "but it belongs on an http stream; did you mean 'websocket.http.response.start'? "
            "expected one of websocket.accept, websocket.close, websocket.http.response.start",
        ),
        (
            WebSocketRules,
            [],
            "websocket.send",
            "websocket.send was sent before websocket.accept (state: handshake not answered yet); "
            "send websocket.accept first",
        ),
        (
            LifespanRules,
            [],
            "lifespan.shutdown.failed",
            "lifespan.shutdown.failed was sent before lifespan.startup.complete (state: startup not begun); "
            "send lifespan.startup.complete first",
        ),
        (
            LifespanRules,
            [">lifespan.startup"],
            "lifespan.shutdown.complete",
            "lifespan.shutdown.complete was sent before lifespan.startup.complete (state: startup under way); "
            "send lifespan.startup.complete first",
        ),
        (
            LifespanRules,
            [">lifespan.startup", "started"],
            "lifespan.startup.failed",
            "lifespan.startup.failed was sent out of order (state: startup complete): a startup ends once; "
            "expected one of lifespan.shutdown.complete, lifespan.shutdown.failed",
        ),
    ],
)
def test_what_is_said_about_a_message_out_of_place(protocol: type[Rules], way: list[str], kind: str, text: str) -> None:
    with pytest.raises(AppProtocolError) as caught:
        after(protocol, *way).check({"type": kind})
    assert str(caught.value) == text
