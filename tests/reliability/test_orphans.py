"""A sample of ``orphans.py``: each state with each start method."""

from __future__ import annotations

from tests.reliability.bench import run_script
from tests.reliability.marks import slow


@slow
def test_nothing_survives_a_killed_test() -> None:
    # That nothing stays is certain; how soon it has gone is a matter of what else the machine does.
    assert "24 kills, 0 with orphans" in run_script("orphans.py", "--kills", "24", "--bound", "10")
