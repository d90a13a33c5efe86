"""A fair sample of the death matrix: each mode, each moment and each start method. ``matrix.py`` runs all of it."""

from __future__ import annotations

from itertools import product

import pytest

from tests.reliability.death import METHODS, MODES, MOMENTS, Cell, Ending, cells, ending, senseless
from tests.reliability.marks import slow
from tests.reliability.playing import play

# A hang takes its deadline, and these that of a start, the start itself, or the grace of an end.
_SLOW_MOMENTS = ("import", "startup", "shutdown", "exit")


def _sample() -> list[Cell]:
    """Each mode at three moments, and with each start method; each moment with about five modes."""
    chosen = []
    for number, mode in enumerate(MODES):
        quick = [moment for moment in MOMENTS if not (MODES[mode].hangs and moment in _SLOW_MOMENTS)]
        sensible = [moment for moment in quick if isinstance(ending(mode, moment), Ending)]
        for turn, method in enumerate(METHODS):
            chosen.append(Cell(mode, sensible[(number + turn * 4) % len(sensible)], method))
    # The slow ones, of which one of each kind has to do.
    chosen += [Cell("GIL", "import", "fork"), Cell("await", "startup", "fork"), Cell("sleep", "shutdown", "forkserver")]
    return [*chosen, Cell("SIGSTOP", "exit", "fork")]


def _is_quick(cell: Cell) -> bool:
    return cell.method == "fork" and not (cell.hangs and cell.moment in _SLOW_MOMENTS)


_PARAMS = [
    pytest.param(cell, id="-".join(cell).replace(" ", "_"), marks=() if _is_quick(cell) else slow) for cell in _sample()
]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # what is told of an exception at exit
@pytest.mark.parametrize("death", _PARAMS)
def test_the_test_is_told(death: Cell) -> None:
    assert play(death).wrong == ""


def test_the_sample_is_fair() -> None:
    sample = _sample()
    assert {cell.mode for cell in sample} == set(MODES)
    assert {cell.moment for cell in sample} == set(MOMENTS)
    assert {cell.method for cell in sample} == set(METHODS)


def test_each_cell_has_an_ending_or_a_reason() -> None:
    covered = {(cell.mode, cell.moment) for cell in cells()}
    excused = {(mode, moment) for mode, moment, reason in senseless() if reason}
    assert covered | excused == set(product(MODES, MOMENTS))
    assert not covered & excused
