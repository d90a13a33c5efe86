"""The kinds of streams: what a client may ask for is what a host has."""

from __future__ import annotations

from typing import get_args

from isoclient.server.streams import STREAMS
from isoclient.wire.protocol import StreamKind


def test_a_host_has_every_kind_of_stream() -> None:
    assert set(STREAMS) == set(get_args(StreamKind))
    assert {kind: made.kind for kind, made in STREAMS.items()} == {kind: kind for kind in STREAMS}
