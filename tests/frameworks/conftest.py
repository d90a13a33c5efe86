"""How the apps of this directory are run."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What the app has noted so far; it finds the file by the environment, which every start method passes on."""
    file = tmp_path / "journal"
    file.touch()
    monkeypatch.setenv("JOURNAL", str(file))
    return lambda: file.read_text().splitlines()
