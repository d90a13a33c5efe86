"""Python's warnings: how they are shown, and what remembers that they have been."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from isoclient.compat.self_tests import self_test

__all__ = ["can_be_shown_by", "filters_have_changed", "note_unawaited", "show_by"]

_warnings: Any = warnings


@self_test("Showing the app's warnings in the test", project="Python")
def can_be_shown_by() -> None:
    assert callable(_warnings._showwarning_orig)
    assert callable(_warnings._showwarnmsg_impl)


def show_by(show: Callable[[warnings.WarningMessage], None]) -> None:
    """Let each warning that is to be shown be shown by this, below ``showwarning``, which is Python's own again."""
    _warnings.showwarning = _warnings._showwarning_orig
    _warnings._showwarnmsg_impl = show


def filters_have_changed() -> None:
    """Each module's record of what has been shown there is void from now on."""
    mutated = getattr(warnings, "_filters_mutated", None) or getattr(warnings, "_filters_mutated_lock_held", None)
    if mutated is not None:
        mutated()
    else:
        with warnings.catch_warnings():  # which does so, too, and undoes all else
            pass


@self_test("Finding coroutines that nobody has awaited", project="Python")
def _warns_of_coroutines() -> None:
    assert callable(_warnings._warn_unawaited_coroutine)


def note_unawaited(note: Callable[[Any], None]) -> Callable[[], None]:
    """Call this with each coroutine that Python is about to warn of; return what takes that back."""
    if not _warns_of_coroutines():
        return lambda: None
    warn = _warnings._warn_unawaited_coroutine

    def note_and_warn(coroutine: Any) -> None:
        note(coroutine)
        warn(coroutine)

    _warnings._warn_unawaited_coroutine = note_and_warn

    def put_back() -> None:
        _warnings._warn_unawaited_coroutine = warn

    return put_back
