"""pluggy: the implementations of one hook."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from isoclient.compat.self_tests import self_test

__all__ = ["can_silence", "silence"]


@self_test("Running tests together with their apps", project="pluggy")
def can_silence() -> None:
    from pluggy import HookCaller

    assert callable(HookCaller._remove_plugin)


def silence(hook: Any, *, but: Collection[object]) -> None:
    """Let no plugin hear of this hook any more, but for some; of others, they do."""
    for implementation in hook.get_hookimpls():
        if not any(implementation.plugin is plugin for plugin in but):
            hook._remove_plugin(implementation.plugin)
