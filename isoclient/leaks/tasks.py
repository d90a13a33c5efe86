"""Tasks that go on on the event loop."""

from __future__ import annotations

from collections.abc import Iterator

from isoclient.leaks.found import Found
from isoclient.leaks.kind import Chain, Subject
from isoclient.leaks.origins import ISOCLIENT, place
from isoclient.transit.libraries import Spot, innermost, near, whose, without_place

__all__ = ["Tasks"]


class Tasks:
    """Those of the app: what runs its calls is ours."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    def before(self) -> set[int]:
        return {id(task) for task, _, _ in self._subject.tasks()}

    def after(self, before: set[int]) -> Iterator[Found]:
        for task, name, chain in self._subject.tasks():
            if id(task) in before or not chain or whose(chain[0][0].f_code.co_filename) == "isoclient":
                continue
            code = chain[0][0].f_code
            origin = self._subject.origins.of_object(task)
            if origin is None or origin is ISOCLIENT or not origin.file:
                origin = place(code)._replace(call=None if origin is None or origin is ISOCLIENT else origin.call)
            yield Found("task", f"{name!r}, {code.co_qualname}{_waits(chain)}", origin, id(task))


def _waits(chain: Chain) -> str:
    spot = innermost(Spot(frame.f_code.co_filename, line, frame.f_code.co_name) for frame, line in chain)
    return "" if spot is None else f", waits at {near(without_place(spot.file))}:{spot.line}"
