"""How the apps of this directory are run."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module", autouse=True)
def _imports_frozen() -> Iterator[None]:
    """Those who collect need not look through all that has been imported, each time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What the app has noted so far; it finds the file by the environment, which every start method passes on."""
    file = tmp_path / "journal"
    file.touch()
    monkeypatch.setenv("JOURNAL", str(file))
    return lambda: file.read_text().splitlines()
