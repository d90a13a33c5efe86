"""The app's lines in the report, isolated or not, with no configuration of the user's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.pytest_integration.runs import Outcome, Run

APP = """
    import os
    import threading
    from contextlib import asynccontextmanager

    def in_thread(count):
        if count > 1:
            return count
        return 0

    async def lifespan(receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        closing = True
        if closing:
            closed = True
        await send({"type": "lifespan.shutdown.complete"})

    async def answer(send, text):
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": text})

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
        elif scope["path"] == "/thread":
            thread = threading.Thread(target=in_thread, args=(3,))
            thread.start()
            thread.join()
            await answer(send, b"thread")
        elif scope["path"] == "/crash":
            os._exit(3)
        else:
            for number in range(3):
                if number == 100:
                    break
            else:
                number = 7
            await answer(send, b"ordinary")

    def never():
        return 1
"""

TEST = """
    import os

    import pytest

    from isoclient import AppCrashed, TestClient

    MODE = os.environ["SHOP_MODE"]
    OPTIONS = {} if MODE == "thread" else {"isolated": True, "start_method": MODE}
    pytestmark = pytest.mark.filterwarnings("error")

    @pytest.fixture(scope="session")
    def client():
        with TestClient("farm:app", **OPTIONS) as client:
            yield client

    def test_thread(client):
        assert client.get("/thread").text == "thread"

    def test_elsewhere(client, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with TestClient("farm:app", **OPTIONS) as other:
            assert other.get("/").text == "ordinary"

    def test_crash(client):
        client.get("/")
        if MODE != "thread":
            with pytest.raises(AppCrashed):
                client.get("/crash")
"""


@pytest.fixture(autouse=True)
def project(write: Callable[..., None]) -> None:
    write(farm=APP, test_farm=TEST)


# What is measured where nothing is named is pytest and this package, too, which takes a while.
OMITTED = "*/site-packages/*,*/isoclient/*"
INSTALLED = f"--omit={OMITTED}"
WORKERS = ("-pxdist", "-n2")


def measured(outcome: Outcome) -> Any:
    """Which lines and branches of the app ran."""
    directory = outcome.directory
    data = {path.name for path in directory.glob(".coverage*")} - {".coveragerc"}
    assert data == {".coverage"}, "there are stray data files"
    assert "Warning" not in outcome.text
    from coverage import Coverage

    coverage = Coverage(data_file=str(directory / ".coverage"), config_file=False)
    coverage.load()
    coverage.json_report(outfile=str(directory / "coverage.json"))
    files = json.loads((directory / "coverage.json").read_text())["files"]
    (farm,) = (file for name, file in files.items() if Path(name).name == "farm.py")
    return farm["executed_lines"], farm.get("executed_branches")


@pytest.mark.parametrize(
    ("under", "options", "modes"),
    [
        (("coverage", "run", "--branch", INSTALLED), (), ("fork",)),
        (("coverage", "run", "--branch", "--source=farm"), (), ("forkserver", "spawn")),
        ((), ("-ppytest_cov", "--cov=.", "--cov-branch"), ("fork",)),
        ((), ("-ppytest_cov", *WORKERS, "--cov=farm"), ("fork",)),
    ],
    ids=["branch", "source", "pytest-cov", "xdist"],
)
def test_the_same_lines(run: Run, under: tuple[str, ...], options: tuple[str, ...], modes: tuple[str, ...]) -> None:
    in_process = run(*(option for option in options if option not in WORKERS), under=under)
    in_process.passed(3)
    expected = measured(in_process)
    for mode in modes:
        isolated = run(*options, under=under, mode=mode)
        isolated.passed(3)
        assert measured(isolated) == expected, mode


def test_patches_of_the_user_leave_no_data_behind(run: Run, tmp_path: Path) -> None:
    (tmp_path / ".coveragerc").write_text(f"[run]\npatch = _exit, fork\nomit = {OMITTED}\n")
    outcome = run(under=("coverage", "run"), mode="fork")
    outcome.passed(3)
    lines, _ = measured(outcome)
    (tmp_path / ".coveragerc").unlink()
    assert lines == measured(run(under=("coverage", "run", INSTALLED)))[0]


def test_contexts_are_those_of_the_tests(run: Run, tmp_path: Path) -> None:
    from coverage import CoverageData

    def contexts(mode: str) -> Any:
        run("-ppytest_cov", "--cov=farm", "--cov-context=test", mode=mode).passed(3)
        data = CoverageData(str(tmp_path / ".coverage"))
        data.read()
        return data.contexts_by_lineno(str(tmp_path / "farm.py"))

    in_thread = 7
    assert contexts("fork")[in_thread] == contexts("thread")[in_thread] == ["test_farm.py::test_thread|run"]


def test_what_is_not_to_be_covered_is_not(run: Run, write: Callable[..., None]) -> None:
    write(test_farm=TEST.replace("    def test_thread", "    @pytest.mark.no_cover\n    def test_thread"))
    options = "-ppytest_cov", "--cov=farm"
    lines, _ = measured(run(*options, mode="fork"))
    in_thread = 8
    assert in_thread not in lines
    assert lines == measured(run(*options))[0]


def test_without_coverage_nothing_of_it_is_imported(run: Run, write: Callable[..., None]) -> None:
    write(
        test_clean="""
        import sys

        import pytest

        from isoclient import TestClient

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": repr("coverage" in sys.modules).encode()})

        @pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
        def test_modules(method):
            assert TestClient(app, isolated=True, start_method=method).get("/").text == "False"
        """
    )
    run("test_clean.py").passed(3)


def test_where_the_app_starts_does_not_matter(run: Run, write: Callable[..., None]) -> None:
    """In an app that is a test client itself, in a directory that is gone, under patches of what coverage.py uses."""
    write(
        test_farm="""
        import asyncio
        import builtins
        import os
        from unittest import mock

        from isoclient import TestClient

        async def outer(scope, receive, send):
            with TestClient("farm:app", isolated=True, start_method="fork") as client:
                answer = await asyncio.to_thread(lambda: client.get(scope["path"]))
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": answer.content})

        def refused(*args, **kwargs):
            raise AssertionError("only the app may call this")

        def test_here(tmp_path, monkeypatch):
            monkeypatch.chdir(tmp_path)
            tmp_path.rmdir()
            with TestClient(outer, isolated=True) as client:
                assert client.get("/thread").text == "thread"
            with TestClient("farm:app", isolated=True, start_method="spawn") as client:
                assert client.get("/thread").text == "thread"
            with mock.patch.object(builtins, "open", refused), mock.patch.object(os, "urandom", refused):
                with TestClient(outer, isolated=True) as client:
                    assert client.get("/").text == "ordinary"
        """
    )
    outcome = run(under=("coverage", "run", "--source=farm"), mode="fork")
    outcome.passed(1)
    in_thread, ordinary = 8, 40
    lines, _ = measured(outcome)
    assert {in_thread, ordinary} <= {*lines}
