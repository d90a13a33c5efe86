"""What is told of a test whose process has died."""

from __future__ import annotations

import sys
from typing import Any, Final, NamedTuple

import pytest

from isoclient.client.request_errors import ending
from isoclient.plugin.leak_watch import LEAKS
from isoclient.plugin.trials import ENDED
from isoclient.process.stacks import stacks_above, without_idle
from isoclient.server.held_up import waited_for_noted
from isoclient.server.own_end import own_end_noted, without_notes
from isoclient.system.modules import os

__all__ = ["Death", "failure_by", "words_of_interrupted", "words_of_stuck"]


class Death(NamedTuple):
    """How it has died.

    Attributes:
        exitcode: its exit status, negative for a signal.
        limit: seconds within which it did not come to the end of a phase, and so was ended; None if it died by itself.
        phase: the phase of the test; empty between two.
        stacks: of its threads.
        tasks: where those of its event loops waited, as far as that is known.
    """

    exitcode: int | None
    limit: float | None
    phase: str
    stacks: str
    tasks: str


_WHERE: Final = {"": "after this test, and before the next one", "its exit": "as it ended, after this test, its last"}


def failure_by(death: Death, item: pytest.Item, when: Any) -> pytest.TestReport:
    """The report of a test that has failed by the death of its process."""
    text = _text(death)
    call = pytest.CallInfo.from_call(lambda: pytest.fail(text, pytrace=False), when)
    report = pytest.TestReport.from_item_and_call(item, call)
    report.duration = death.limit or report.duration
    if death.phase not in _WHERE:
        setattr(report, ENDED, "died" if death.limit is None else "hung")
        setattr(report, LEAKS, [None])  # not known
    return report


def _text(death: Death) -> str:
    if death.limit is not None:
        text = f"its process was ended, for its {death.phase or 'end'} took longer than {death.limit:g} s"
        text += "\n(The setting isoclient_test_timeout is the limit.)"
    else:
        how = own_end_noted(death.stacks, death.exitcode) or ending(death.exitcode)
        text = f"its process {how}, {_WHERE.get(death.phase) or f'in its {death.phase}'}"
    return text + _shown("tasks", death.tasks) + _stack(without_notes(death.stacks))


def words_of_interrupted(stacks: str) -> str:
    """What is said of a test that does not heed an interrupt."""
    return f"\nisoclient: the test did not heed the interrupt, and was ended by force{_stack(stacks)}\n"


def words_of_stuck(file: str, notes: str) -> str:
    """What is said of a process that did not end after its last test.

    Args:
        file: that of its tests.
        notes: what it had written by then.
    """
    found = [
        f"the thread {name!r}, which is to be joined, or made a daemon"
        if kind == "thread"
        else f"its child {name!r} (pid {number}), which is to be ended, or made a daemon"
        for kind, number, name in waited_for_noted(notes)
    ]
    waits = "it waits for " + " and ".join(found) if found else "an exit handler of it does not come to its end"
    return f"the process of the last tests of {file} did not end by itself, and was ended by force: {waits}"


def _stack(stacks: str) -> str:
    fatal = stacks.rfind("Fatal Python error")
    found = stacks_above(stacks[max(0, fatal) :], _machinery()).strip()
    if fatal < 0:
        found = without_idle(found).strip() or found
    return _shown("stack", found)


def _shown(what: str, text: str) -> str:
    lines = [line.rstrip() for line in text.splitlines()]
    return f"\nIts {what}:" + "".join(f"\n    {line}".rstrip(" ") for line in lines) if lines else ""


def _machinery() -> tuple[str, ...]:
    """Where the files are of what runs tests, and apps in a thread."""
    found = (sys.modules[name].__file__ for name in ("_pytest", "pluggy", "isoclient.server"))
    return tuple(os.path.dirname(file) + os.sep for file in found if file is not None)
