"""What is kept in mind of the clients of a test."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pytest

from isoclient.client.registry import Registry, Usage, registry

if TYPE_CHECKING:
    from tests.conftest import MakeClient, Receive, Scope, Send


def test_a_test_has_all_that_it_has_used_and_the_next_one_begins_anew() -> None:
    registry = Registry()
    for registry.test in (1, 2):
        used = [Usage() for _ in range(100)]
        for usage in used:
            registry.note_use(usage)
        assert list(registry.used) == used


def test_a_script_without_pytest_may_make_clients_for_ever() -> None:
    registry = Registry()
    for _ in range(1000):
        registry.note_use(last := Usage())
    assert len(registry.used) < 100
    assert registry.used[-1] is last


def test_two_threads_may_begin_to_use_clients_at_once() -> None:
    registry, other = Registry(), Usage()

    class Interrupted(Usage):
        def forget(self) -> None:
            """Another thread comes amid this."""
            registry.note_use(other)

    registry.test = 1
    for _ in range(2):
        registry.note_use(Interrupted())
    registry.test = 2
    registry.note_use(usage := Usage())
    assert set(registry.used) == {usage, other}


@pytest.mark.modes("fork")
@pytest.mark.backends("asyncio")
def test_of_a_copy_that_has_ended_nothing_stays(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client may live as long as the module that has made it, and a fork copies what waits for the collector."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    client, other = make_client(app), make_client(app)
    client.get("/")
    handle = registry.of_this_test()[0].handle
    kept = [weakref.ref(thing) for thing in (handle, handle.connection, handle.connection.codec)]
    del handle
    gc.disable()
    try:
        client.close()
        assert kept[0]() is not None  # a report of this test may tell of it
        monkeypatch.setattr(registry, "test", registry.test + 1)
        other.get("/")
        assert [reference() for reference in kept] == [None] * 3
    finally:
        gc.enable()
