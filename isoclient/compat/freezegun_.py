"""freezegun: where in time a process is by it, and how to be there, too."""

from __future__ import annotations

import gc
import sys
from typing import Any, Final, TypeAlias

from isoclient.compat.self_tests import self_test

__all__ = ["MODULE", "come_back", "go", "sign", "where"]

MODULE = "freezegun.api"

Where: TypeAlias = tuple[str, float, bool, float]
"""The time in UTC, the seconds that the local one is ahead, whether it goes on, and by how much with each look."""

_ours: Final[list[Any]] = []


@self_test("Taking an app that runs along when freezegun freezes the time", project="freezegun")
def _is_known() -> None:
    api: Any = sys.modules[MODULE]
    assert type(api.freeze_factories) is type(api.tz_offsets) is list
    assert vars(api.FrozenDateTimeFactory(1)) == {"time_to_freeze": 1}
    assert vars(api.TickingDateTimeFactory(1, 2)) == {"time_to_freeze": 1, "start": 2}
    assert vars(api.StepTickTimeFactory(1, 2)) == {"time_to_freeze": 1, "step_width": 2}
    assert callable(api.real_datetime.now)
    assert callable(api._freeze_time.stop)


def sign() -> object:
    """Something else whenever the test freezes or moves the time; None as long as it does not."""
    factories = getattr(sys.modules.get(MODULE), "freeze_factories", None)
    return (factories[-1], factories[-1].time_to_freeze) if factories else None


def where() -> Where | None:
    """Where this process is; None if it is not frozen by this."""
    if sign() is None or not _is_known():
        return None
    api: Any = sys.modules[MODULE]
    factory, offset = api.freeze_factories[-1], api.tz_offsets[-1].total_seconds()
    ticks, step = isinstance(factory, api.TickingDateTimeFactory), 0.0
    if isinstance(factory, api.StepTickTimeFactory):
        step = float(getattr(factory.step_width, "total_seconds", lambda: factory.step_width)())
    time = factory() if ticks else factory.time_to_freeze
    return str(time), offset, ticks, step


def come_back() -> None:
    """Be where one is without."""
    while _ours:
        _ours.pop().stop()
    if sign() is not None:  # a fork has it of the test, and freed objects that the collector is not to look at
        gc.unfreeze()
        try:
            kind = sys.modules[MODULE]._freeze_time
            freezers = [found for found in gc.get_objects() if type(found) is kind and found.modules_at_start]
        finally:
            gc.freeze()
        for freezer in reversed(freezers):
            if sign() is not None:
                freezer.stop()


def go(where: Where) -> None:
    """Be there."""
    import datetime

    from freezegun import freeze_time

    time, offset, ticks, step = where
    zone = datetime.timedelta(seconds=offset)
    _ours.append(freeze_time(time, tz_offset=zone, tick=ticks, auto_tick_seconds=step))
    _ours[-1].start()
