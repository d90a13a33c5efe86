"""What would be uploaded: its contents, its metadata, its types, and that it works where nothing else is installed.

It builds, makes environments and needs a package index. So pytest runs it only where it is named, as the tox
environment "release" does.
"""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks_of

CONSUMER = Path(__file__).parent / "consumer"
WRONG = """
from isoclient import TestClient


def wrong(client: TestClient) -> str:
    return client.pid + "a process is a number"
"""


def run(command: Sequence[str | Path], cwd: Path) -> subprocess.CompletedProcess[str]:
    # Not a word from this environment: PYTHONPATH could show the sources to a Python that should see the wheel.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COVERAGE_", "PYTEST_"))}
    return subprocess.run(
        [str(word) for word in command], cwd=cwd, env=env, text=True, capture_output=True, timeout=600, check=False
    )


def check(command: Sequence[str | Path], cwd: Path) -> str:
    done = run(command, cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with a wheel that was made from the sdist, as an installer would do it."""
    target = tmp_path_factory.mktemp("dist")
    check([sys.executable, "-m", "build", "--outdir", target, "."], ROOT)
    return target


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    [wheel] = built.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def sdist(built: Path) -> Path:
    [sdist] = built.glob("*.tar.gz")
    return sdist


@pytest.fixture(params=["wheel", "sdist"])
def installed(request: pytest.FixtureRequest, wheel: Path, sdist: Path, tmp_path: Path) -> Path:
    """The Python of an environment that has one of them, and pytest."""
    check([sys.executable, "-m", "venv", "venv"], tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    check([python, "-m", "pip", "install", wheel if request.param == "wheel" else sdist, "pytest"], tmp_path)
    return python


def test_an_index_would_take_it(built: Path) -> None:
    check([sys.executable, "-m", "twine", "check", "--strict", *built.iterdir()], ROOT)


def test_the_wheel_has_the_package_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "isoclient").rglob("*.py")}
    assert sources | {"isoclient/py.typed"} == {name for name in names if name.startswith("isoclient/")}
    assert {name.split("/")[0].split("-")[0] for name in names} == {"isoclient"}


def test_the_sdist_has_all_that_tests_it(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "CHANGELOG.md", "tox.ini", "pyproject.toml", "docs/index.md"} <= names
    assert {"tests/conftest.py", "docs/pictures/logo.svg", "isoclient/py.typed"} <= names
    assert not [name for name in names if re.search(r"__pycache__|\.pyc$|_build|\.tox|\.egg-info", name)]


def test_the_metadata_is_complete(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("/METADATA")]
        found = email.message_from_bytes(archive.read(name))
    for field in ("Name", "Version", "Summary", "Author", "License-Expression", "Keywords", "Requires-Python"):
        assert found[field], field
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{found['Version']}]" in changelog


def test_the_quickstart_works(installed: Path, tmp_path: Path) -> None:
    [quickstart] = [block for block in blocks_of(ROOT / "README.md") if block.name == "test_quickstart.py"]
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / quickstart.name).write_text(quickstart.source, encoding="utf-8")
    output = check([installed, "-m", "pytest", "-W", "error"], empty)
    assert f"{quickstart.source.count('def test_')} passed" in output


@pytest.mark.parametrize("installed", ["wheel"], indirect=True)
def test_a_project_that_uses_it_is_typed(installed: Path, tmp_path: Path) -> None:
    project = Path(shutil.copytree(CONSUMER, tmp_path / "project"))
    (project / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    mypy: list[str | Path] = [sys.executable, "-m", "mypy", "--strict", "--python-executable", installed]
    pyright: list[str | Path] = [sys.executable, "-m", "pyright", "--pythonpath", installed]
    check([*mypy, "test_consumer.py"], project)
    check([*pyright, "--project", "pyrightconfig.json"], project)
    check([installed, "-m", "pytest", "-W", "error"], project)

    (project / "wrong.py").write_text(WRONG)
    for checker in (mypy, pyright):
        done = run([*checker, "wrong.py"], project)
        assert done.returncode == 1, done.stdout
        assert "wrong.py:6" in done.stdout
