"""A sample of what decoders.py feeds to the decoders, in an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.reliability.marks import slow


@pytest.mark.rest
@pytest.mark.parametrize("mutations", [2_000, pytest.param(100_000, marks=slow)])
def test_nothing_is_imported_or_called(mutations: int) -> None:
    script = Path(__file__).with_name("decoders.py")
    command = [sys.executable, str(script), "--mutations", str(mutations)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert ", 0 imports or calls" in done.stdout
