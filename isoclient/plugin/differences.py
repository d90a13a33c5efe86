"""What a failing test asserts of, and is something else in the app's process: that has a copy, which few expect."""

from __future__ import annotations

import contextlib
from typing import Final

from isoclient.client.copy_record import CopyRecord
from isoclient.client.registry import registry
from isoclient.plugin.used_names import UsedName, used_names
from isoclient.transit.looks import Look, look_at
from isoclient.transit.synchronizers import is_condition

__all__ = ["differences", "look_while_it_is_there"]

_TIME: Final = 1.0  # seconds
_LONGEST: Final = 100  # characters
_BEFORE: Final = 20
_EMPTY: Final = ("[]", "deque([])")

_Found = list[tuple[UsedName, Look, Look]]


def look_while_it_is_there(copy: CopyRecord, error: BaseException) -> None:
    """A copy of an app is about to end, by an exception that may be why a test fails."""
    if copy in registry.of_this_test():
        with contextlib.suppress(Exception):  # of an end that something else is about, nothing is to be said here
            copy.last_look = error, _found(copy, error)


def differences(copy: CopyRecord, error: BaseException) -> str:
    """The names that the line of the failure uses and that are other things in this app's process; each in a line."""
    seen, found = copy.last_look
    try:
        if seen is not error:
            found = _found(copy, error)
        return "".join(_line(copy, *each) for each in found)
    except Exception as failure:  # which is not to be the failure of the run
        return f"What the test asserts of could not be looked up there: {failure!r}\n"


def _found(copy: CopyRecord, error: BaseException) -> _Found:
    names = [name for name in used_names(error, copy) if not name.is_variable or _has_variables(copy)]
    asks = [ask for name in names for ask in name.ask]
    told = copy.ask("looks", tuple(map(tuple, asks)), _TIME) if asks else None
    if told is None:
        return []
    there = dict(zip(asks, told, strict=True))
    found: _Found = []
    for name in names:
        look = next((Look(*there[ask]) for ask in name.ask if there[ask] is not None), None)
        here = look_at(name.value)
        if look is None:
            continue
        if is_condition(name.value) or _differ(here, look, is_of_library=name.is_of_library):
            found.append((name, here, look))
        elif name.is_of_library:
            found += _recorded(name, here, look)
    return found


def _has_variables(copy: CopyRecord) -> bool:
    """Whether the variables of this test were there when it was copied."""
    return copy.is_snapshot and copy.first_test[0] == registry.test


def _differ(here: Look, there: Look, *, is_of_library: bool) -> bool:
    if here.text == there.text:
        return False
    if not is_of_library or here.attributes is None or there.attributes is None:
        return True
    # What a library has filled as it was used is no news to anybody.
    return any(
        there.attributes.get(name, text) != text and "None" not in (text, there.attributes[name])
        for name, text in here.attributes.items()
        if not name.startswith("_")
    )


def _recorded(name: UsedName, here: Look, there: Look) -> _Found:
    """What a library keeps in a list that is empty here, as a recorder or an exporter in memory does."""
    mine, theirs = here.attributes or {}, there.attributes or {}
    return [
        (name._replace(text=f"{name.text}.{attribute}"), Look(text, None), Look(theirs[attribute], None))
        for attribute, text in mine.items()
        if text in _EMPTY and theirs.get(attribute, text) not in (text, "None")
    ]


def _line(copy: CopyRecord, name: UsedName, here: Look, there: Look) -> str:
    ways = []
    if is_condition(name.value):
        differ = f"{name.text} notifies nobody in the other process, here or in the app's"
    else:
        first, second = _excerpts(here.text, there.text)
        differ = f"{name.text} is {first} here and {second} in the app's process"
        if name.is_global and copy.reach:
            ways.append(f"{copy.reach}(lambda: {name.text}) looks there")
    ways.append(copy.sharing)
    what = "it is what the mock was called with, as it was then" if name.is_argument else "it is a copy"
    return f"{differ} ({name.where}): {what}; {', '.join(ways)}\n"


def _excerpts(first: str, second: str) -> tuple[str, str]:
    """Both of them as far as they differ, if they are long."""
    same = next((at for at, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), 0)
    start = max(0, same - _BEFORE) if same > _LONGEST - _BEFORE else 0
    return _excerpt(first, start), _excerpt(second, start)


def _excerpt(text: str, start: int) -> str:
    end = start + _LONGEST
    return "..." * (start > 0) + text[start:end] + "..." * (len(text) > end)
