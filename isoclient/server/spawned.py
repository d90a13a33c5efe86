"""Where an interpreter that spawn has started begins. It imports little before the lifeline is armed."""

from __future__ import annotations

from isoclient.server.lifeline import arm

__all__ = ["main"]


def main(data: int, sentinel: int, given: list[int]) -> None:
    """Be the app's process; see :func:`isoclient.server.fresh_start.begin_spawned`."""
    arm(sentinel)
    from isoclient.server.fresh_start import begin_spawned

    begin_spawned(data, sentinel, given)
