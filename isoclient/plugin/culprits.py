"""Which of the earlier tests it is that changes what comes of a later one: a search that knows nothing of tests.

It is delta debugging by Zeller's ddmin: the tests are split into parts, and a part that suffices is searched in the
same way. Where a single one is to blame, that is a bisection. The later part is tried first, for what a test suffers
from is mostly near.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

__all__ = ["fewest"]

T = TypeVar("T", bound=Hashable)


def fewest(earlier: Sequence[T], suffices: Callable[[Sequence[T]], bool], *, trials: int) -> list[T]:
    """The fewest of these that suffice, in their order, of which none can be left out.

    Args:
        earlier: all of them, which suffice together.
        suffices: whether these suffice. It is asked once for each choice.
        trials: how often it may be asked. What has been found until then is returned.
    """
    found, parts = list(earlier), 2
    known: dict[tuple[T, ...], bool] = {}

    def is_enough(choice: list[T]) -> bool:
        key = tuple(choice)
        if key not in known and len(known) < trials:
            known[key] = suffices(choice)
        return known.get(key, False)

    while len(found) > 1:
        smaller = next(filter(is_enough, _choices(found, parts)), None)
        if smaller is not None:
            # A part that suffices is searched anew; of all but a part, the other parts are left.
            parts = 2 if len(smaller) <= len(found) // parts + 1 else max(parts - 1, 2)
            found = smaller
        elif parts < len(found):
            parts = min(2 * parts, len(found))
        else:
            break
    return found


def _choices(whole: list[T], parts: int) -> Iterator[list[T]]:
    """Each of so many parts by itself, the later ones first; then all but each of them."""
    borders = [len(whole) * number // parts for number in range(parts + 1)]
    spans = list(pairwise(borders))[::-1]
    for start, end in spans:
        yield whole[start:end]
    if parts > 2:  # of two, the one is all but the other
        for start, end in spans:
            yield whole[:start] + whole[end:]
