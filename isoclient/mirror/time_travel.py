"""Where in time the test is by freezegun or time-machine: the app goes there, too, and comes back."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from isoclient.compat import freezegun_, time_machine_
from isoclient.mirror.mirrored import Mirrored, Reporter

__all__ = ["MACHINES", "TimeTravel", "signs"]

Difference: TypeAlias = dict[str, Any]

_MACHINES: Final[dict[str, Any]] = {"freezegun": freezegun_, "time_machine": time_machine_}
MACHINES: Final = (freezegun_.MODULE, time_machine_.MODULE)
"""The modules without which nobody travels."""


def signs() -> tuple[object, ...]:
    """Something else whenever the test has travelled."""
    return freezegun_.sign(), time_machine_.sign()


class TimeTravel(Mirrored):
    """As far as it has changed since the app began: a fork begins where the test is, a fresh interpreter does not."""

    # -- in the test's process

    def first(self, *, fresh: bool) -> None:
        """See :meth:`Mirrored.first`."""
        self._signs = (None, None) if fresh else signs()

    def notice(self) -> Difference | None:
        """Where it is now, if it has travelled."""
        before, self._signs = self._signs, signs()
        return None if self._signs == before else {name: machine.where() for name, machine in _MACHINES.items()}

    # -- in the app's process

    def begin(self, first: None, reporter: Reporter) -> None:
        """It is where it begins."""

    def apply(self, difference: Difference) -> None:
        """Go there."""
        for machine in _MACHINES.values():
            machine.come_back()
        for name, where in difference.items():
            if where is not None:
                _MACHINES[name].go(where)
