"""Whoever calls an isolated app, on whichever event loop, sees of it what they see of any app."""

from __future__ import annotations

import os

import pytest

from isoclient import AppCrashed, AppProtocolError, AppTimeout
from tests.isolate.callers import CALLERS, Caller
from tests.isolate.conftest import MakeIsolated
from tests.isolate.relayed_app import TooBad, app

pytestmark = [
    pytest.mark.modes("fork", "forkserver", "spawn"),
    pytest.mark.backends("asyncio"),
    pytest.mark.parametrize("request_to", CALLERS),
]


def test_a_request_is_answered_elsewhere(make_isolated: MakeIsolated, request_to: Caller) -> None:
    isolated = make_isolated(app)
    answer = request_to(isolated, "POST", "/echo", b"hello")
    assert (answer.status, answer.body) == (201, b"hello")
    assert answer.headers["x-method"] == "POST"
    assert int(answer.headers["x-pid"]) == isolated.pid != os.getpid()


@pytest.mark.rest("forkserver", "spawn")
def test_one_process_takes_them_all(make_isolated: MakeIsolated, request_to: Caller) -> None:
    """From one event loop after another, where each request has its own."""
    isolated = make_isolated(app)
    answers = [request_to(isolated, "POST", "/echo", b"%d" % i) for i in range(3)]
    assert [answer.body for answer in answers] == [b"0", b"1", b"2"]
    assert len({answer.headers["x-pid"] for answer in answers}) == 1


@pytest.mark.modes("fork")  # 64 MB each
def test_bodies_of_any_size_cross(make_isolated: MakeIsolated, request_to: Caller) -> None:
    isolated = make_isolated(app)
    body = os.urandom(1024) * 9000
    assert request_to(isolated, "POST", "/echo", body).body == body
    assert len(request_to(isolated, "GET", "/large").body) == 64 * 1024 * 1024


@pytest.mark.rest("forkserver", "spawn")
def test_pieces_come_in_order(make_isolated: MakeIsolated, request_to: Caller) -> None:
    answer = request_to(make_isolated(app), "GET", "/chunks")
    assert answer.body == b"".join(b"%d," % i for i in range(20)) + b"end"


@pytest.mark.rest("forkserver", "spawn")
def test_a_body_need_not_be_read(make_isolated: MakeIsolated, request_to: Caller) -> None:
    assert request_to(make_isolated(app), "POST", "/unread", b"x" * 100_000).body == b"not read"


@pytest.mark.rest("forkserver", "spawn")
def test_the_apps_exception_is_raised(make_isolated: MakeIsolated, request_to: Caller) -> None:
    isolated = make_isolated(app)
    with pytest.raises(TooBad, match="before the response"):
        request_to(isolated, "GET", "/raises")
    with pytest.raises(TooBad, match="amid the response"):
        request_to(isolated, "GET", "/raises_amid")
    assert request_to(isolated, "POST", "/echo", b"on").body == b"on"


@pytest.mark.rest("forkserver", "spawn")
def test_a_breach_of_the_rules_is_told(make_isolated: MakeIsolated, request_to: Caller) -> None:
    with pytest.raises(AppProtocolError, match=r"http\.response\.start: 'status' is of type str"):
        request_to(make_isolated(app), "GET", "/breaks_rules")


@pytest.mark.rest("forkserver", "spawn")
def test_a_crash_is_told_and_the_next_call_meets_a_fresh_app(make_isolated: MakeIsolated, request_to: Caller) -> None:
    isolated = make_isolated(app)
    before = int(request_to(isolated, "POST", "/echo").headers["x-pid"])
    with pytest.raises(AppCrashed, match=r"SIGKILL\) at .*, while handling GET /dies") as told:
        request_to(isolated, "GET", "/dies")
    assert told.value.pid == before
    assert int(request_to(isolated, "POST", "/echo").headers["x-pid"]) == isolated.pid != before


@pytest.mark.rest("forkserver", "spawn")
def test_a_hang_is_told_with_its_stack(make_isolated: MakeIsolated, request_to: Caller) -> None:
    isolated = make_isolated(app)
    request_to(isolated, "POST", "/echo")
    isolated.timeout = 0.3
    with pytest.raises(AppTimeout, match="handling GET /hangs; its event loop is stuck") as told:
        request_to(isolated, "GET", "/hangs")
    assert "in hangs" in told.value.stack
    isolated.timeout = 30.0
    assert request_to(isolated, "POST", "/echo", b"on").body == b"on"
