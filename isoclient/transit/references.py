"""What an object leads to that is not copied, for both processes have it: how it is named on the way."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Final, NamedTuple

from isoclient.transit.places import Place
from isoclient.transit.reduction import reduced, reduced_in_place
from isoclient.transit.shared_mocks import HasMock, mocks, reference_to
from isoclient.transit.twins import reduced_mock

__all__ = ["CLASS", "GLOBALS", "LIVE", "MOCK", "MODULE", "PLACE", "Known", "Names"]

LIVE: Final = "live"
MODULE: Final = "module"
GLOBALS: Final = "globals"
PLACE: Final = "place"
CLASS: Final = "class"
MOCK: Final = "mock"


class Names(NamedTuple):
    """The names by which objects may cross, beside those of classes, functions and modules, which always do.

    Args:
        references: by the id of an object, where the other side has it: it is not copied. Parts that can't be copied
            are added.
        kept: an object, and where the other side has the same one: that gets the state that this one has.
    """

    references: dict[int, Place]
    kept: tuple[object, Place] | None = None


class Known(NamedTuple):
    """What is not copied, by its id: the persistent id that it has; and the one that gets its state in its place."""

    names: dict[int, tuple[str, str]]
    kept: tuple[object, Place] | None
    has_mock: HasMock

    @classmethod
    def of(cls, live: Mapping[str, object], by_name: Names | None, has_mock: HasMock) -> Known:
        names = {id(value): (LIVE, name) for name, value in live.items()}
        if by_name is None:
            return cls(names, None, has_mock)
        places = {key: (PLACE, str(place)) for key, place in by_name.references.items()}
        return cls(places | names, by_name.kept, has_mock)

    def persistent_id(self, obj: object) -> tuple[str, Any] | None:
        known = self.names.get(id(obj))
        if known is not None:
            return known
        if mocks.number_of(obj):
            reference = reference_to(obj, self.has_mock)
            return None if reference is None else (MOCK, reference)
        if type(obj) is ModuleType and sys.modules.get(obj.__name__) is obj:
            return MODULE, obj.__name__
        return None

    def reduced(self, obj: Any) -> Any:
        if (twin := reduced_mock(obj)) is not NotImplemented:
            return twin
        if self.kept is not None and obj is self.kept[0]:
            return reduced_in_place(obj, self.kept[1])
        return reduced(obj)
