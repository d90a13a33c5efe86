"""The README's quickstart works in an empty directory, with nothing but the wheel and pytest installed.

It builds a wheel and a virtual environment, which takes a while and a package index: so pytest runs it only where it is
named, as the tox environment "examples" does.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path) -> str:
    # Not a word from this environment: PYTHONPATH could show the sources to a Python that should see the wheel.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COVERAGE_", "PYTEST_"))}
    done = subprocess.run(
        command, cwd=cwd, env=env, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_quickstart_works_with_the_wheel(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [quickstart] = re.findall(r"^```python\n(# test_quickstart\.py\n.*?)^```$", readme, re.M | re.S)

    run(sys.executable, "-m", "venv", "venv", cwd=tmp_path)
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    run(python, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", tmp_path, ROOT, cwd=tmp_path)
    [wheel] = tmp_path.glob("isoclient-*.whl")
    run(python, "-m", "pip", "install", wheel, "pytest", cwd=tmp_path)

    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "test_quickstart.py").write_text(quickstart, encoding="utf-8")
    output = run(python, "-m", "pytest", "-W", "error", cwd=empty)
    assert f"{quickstart.count('def test_')} passed" in output
