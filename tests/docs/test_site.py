"""The site is built from the pages alone, whatever else a checkout holds by then."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_what_a_run_of_the_examples_leaves_is_no_page(tmp_path: Path) -> None:
    docs = shutil.copytree(DOCS, tmp_path / "docs", ignore=shutil.ignore_patterns("_build", ".*"))
    shutil.copy(DOCS.parent / "CHANGELOG.md", tmp_path)  # which a page includes
    for cache in (docs / ".pytest_cache", docs / "examples" / ".pytest_cache", docs / "examples" / ".venv" / "lib"):
        cache.mkdir(parents=True)
        (cache / "README.md").write_text("# pytest cache directory #\n")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-b",
        "dummy",
        str(docs),
        str(tmp_path / "out"),
    ]
    built = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (built.stderr, built.returncode) == ("", 0)
