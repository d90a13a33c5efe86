"""Large bodies, down and up, as speed: the higher the better."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Final

from isoclient import TestClient
from tests.benchmarks import apps, peers
from tests.benchmarks.harness import Effort, Row, Samples, alternate, timed

_MEGABYTES: Final = 64
_PATH: Final = f"/down/{_MEGABYTES}/{apps.MEGABYTE}"


def measure(effort: Effort) -> Iterator[Row]:
    with ExitStack() as stack:
        enter = stack.enter_context
        client = enter(TestClient(apps.plain, isolated=True))
        server = enter(peers.Server("tests.benchmarks.apps:plain"))
        pump = enter(peers.pump())
        session = peers.session(server.url)
        yield from _downloads(client, session, server.url, pump, effort)
        yield from _uploads(client, session, server.url, effort)


def _downloads(
    client: TestClient, session: Any, url: str, pump: Callable[[int], object], effort: Effort
) -> Iterator[Row]:
    cases = {
        "isolated": timed(lambda: _all_of(client, _PATH)),
        "isolated, streamed": timed(lambda: _streamed(client, _PATH)),
        "uvicorn": timed(lambda: _all_of(session, url + _PATH)),
        "socket pair": timed(lambda: pump(_MEGABYTES)),
    }
    got = alternate(cases, effort.rounds)
    yield _row("download of 64 MB / uvicorn", got, "isolated", "uvicorn", 1.3)
    yield _row("download of 64 MB, streamed / socket pair", got, "isolated, streamed", "socket pair", 0.5)


def _all_of(client: Any, url: str) -> None:
    assert len(client.get(url).content) == _MEGABYTES * apps.MEGABYTE


def _streamed(client: Any, url: str) -> None:
    with client.get(url, stream=True) as response:
        assert sum(map(len, response.iter_content(apps.MEGABYTE))) == _MEGABYTES * apps.MEGABYTE


def _uploads(client: TestClient, session: Any, url: str, effort: Effort) -> Iterator[Row]:
    body = bytes(_MEGABYTES * apps.MEGABYTE)
    cases = {
        "isolated": timed(lambda: client.post("/up", data=body)),
        "uvicorn": timed(lambda: session.post(url + "/up", data=body)),
    }
    got = alternate(cases, effort.rounds)
    yield _row("upload of 64 MB / uvicorn", got, "isolated", "uvicorn", 2.0)


def _row(what: str, got: Samples, ours: str, theirs: str, bar: float) -> Row:
    speeds = ", ".join(f"{name} {_MEGABYTES / got.median(name):,.0f} MB/s" for name in (ours, theirs))
    return Row(what, got.ratio(theirs, ours), bar, least=True, detail=speeds)
