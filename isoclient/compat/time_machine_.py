"""time-machine: where in time a process is by it, and how to be there, too."""

from __future__ import annotations

import sys
from typing import Any, TypeAlias

from isoclient.compat.self_tests import self_test

__all__ = ["MODULE", "come_back", "go", "sign", "where"]

MODULE = "time_machine"

Where: TypeAlias = tuple[int, str | None, bool]
"""The time in nanoseconds, the time zone if one was given, and whether it goes on."""


@self_test("Taking an app that runs along when time_machine travels", project="time-machine")
def _is_known() -> None:
    module: Any = sys.modules[MODULE]
    assert type(module.traveller_stack) is list
    traveller = module.Traveller(destination_timestamp_ns=0, destination_tzname=None, tick=False)
    assert {"_destination_timestamp_ns", "_destination_tzname", "_tick"} <= vars(traveller).keys()
    assert callable(module.travel.stop)


def sign() -> object:
    """Something else whenever the test travels; None as long as it does not. It may be asked at any time."""
    stack = getattr(sys.modules.get(MODULE), "traveller_stack", None)
    return (stack[-1], vars(stack[-1]).get("_destination_timestamp_ns")) if stack else None


def where() -> Where | None:
    """Where this process is; None if it does not travel by this."""
    if sign() is None or not _is_known():
        return None
    traveller: Any = sys.modules[MODULE].traveller_stack[-1]
    return traveller.time_ns(), vars(traveller)["_destination_tzname"], vars(traveller)["_tick"]


def come_back() -> None:
    """Be where one is without."""
    module = sys.modules.get(MODULE)
    while module is not None and sign() is not None:
        module.travel(0).stop()


def go(where: Where) -> None:
    """Be there."""
    import datetime
    import zoneinfo

    import time_machine

    nanoseconds, zone, ticks = where
    destination: Any = nanoseconds / 1e9
    if zone is not None:
        destination = datetime.datetime.fromtimestamp(destination, zoneinfo.ZoneInfo(zone))
    time_machine.travel(destination, tick=ticks).start()
    vars(sys.modules[MODULE].traveller_stack[-1])["_destination_timestamp_ns"] = nanoseconds
