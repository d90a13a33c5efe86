"""What is kept in mind of the clients of a test."""

from __future__ import annotations

from isoclient.client.registry import Registry, Usage


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
