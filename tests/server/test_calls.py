"""The kinds of calls, and the questions: what a client may ask for is what a server has."""

from __future__ import annotations

from typing import get_args

from isoclient.server.calls import CALLS
from isoclient.wire.protocol import CallKind


def test_a_server_has_every_kind_of_call() -> None:
    assert set(CALLS) == set(get_args(CallKind))
    assert {kind: made.kind for kind, made in CALLS.items()} == {kind: kind for kind in CALLS}
