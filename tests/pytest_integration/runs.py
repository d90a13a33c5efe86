"""Runs of pytest, as a user would start them, and what came of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import isoclient

SUITE: Final = Path(__file__).parent / "suite"

Run = Callable[..., "Outcome"]


class Outcome(NamedTuple):
    """How a run of pytest ended."""

    text: str
    code: int
    directory: Path

    def passed(self, count: int) -> None:
        """See that so many tests have passed, and that nothing else has happened."""
        assert re.search(rf"^=* ?{count} passed in ", self.text, re.M), self.text
        assert self.code == 0, self.text

    @property
    def report(self) -> Any:
        """What the conftest of the small suite has written."""
        text = (self.directory / "report.json").read_text()
        text = re.sub(r"at 0x[0-9a-f]+", "at 0x1", text)
        # By way of what the app was called is not the same.
        return json.loads(re.sub(r"(Stack \(most recent call last\):).*?(  File \\\"[^\"]*shop.py)", r"\1\\n\2", text))


def environment(**more: str) -> dict[str, str]:
    """That of such a run, without what the run around it has put there."""
    ours = ("COV_", "COVERAGE_", "PYTEST_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    package = str(Path(isoclient.__file__).parents[1])
    # Plugins that happen to be installed here cost a second each time.
    return inherited | {"PYTHONPATH": package, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} | more


def run_python(directory: Path, *arguments: str, env: dict[str, str]) -> Outcome:
    """Run Python there."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return Outcome(done.stdout, done.returncode, directory)
