"""Under pytest-xdist: each worker has its own apps, and they end with it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.processes import is_alive, wait_gone

pytest.importorskip("xdist")

Suite = Callable[..., pytest.RunResult]

SUITE = """
    import os
    import pytest
    from isoclient import AppCrashed, TestClient
    from shop import app

    @pytest.fixture(scope="session")
    def client():
        with TestClient(app, timeout=30) as client:
            yield client

    class TestOne:
        @pytest.mark.parametrize("n", range(4))
        def test_worker(self, client, n):
            worker = os.environ["PYTEST_XDIST_WORKER"]
            assert client.get("/worker").text == worker
            assert client.pid != os.getpid()
            with open(f"pids-{worker}", "a") as file:
                print(client.pid, file=file)

    class TestTwo:
        @pytest.mark.parametrize("n", range(2))
        def test_crash(self, client, n):
            with pytest.raises(AppCrashed):
                client.get("/segv")
            assert client.get("/worker").text == os.environ["PYTEST_XDIST_WORKER"]

        def test_fresh_interpreter(self, isolated_client):
            client = isolated_client("shop:app", timeout=30)
            assert client.get("/worker").text == os.environ["PYTEST_XDIST_WORKER"]
"""


@pytest.mark.parametrize(
    ("workers", "distribution"),
    [
        (2, "loadfile"),
        pytest.param(4, "loadscope", marks=pytest.mark.rest),
        pytest.param(2, "worksteal", marks=pytest.mark.rest),
    ],
)
def test_each_worker_has_its_own(suite: Suite, workers: int, distribution: str, pytester: pytest.Pytester) -> None:
    suite(SUITE, "--isolated", f"-n{workers}", f"--dist={distribution}").assert_outcomes(passed=7)
    pids = {file.name: set(file.read_text().split()) for file in pytester.path.glob("pids-*")}
    every = [pid for of_worker in pids.values() for pid in of_worker]
    assert pids
    assert len(every) == len(set(every)), "two workers share an app"
    assert not [pid for pid in every if is_alive(int(pid))]


def test_a_killed_worker_takes_its_apps_along(suite: Suite, pytester: pytest.Pytester) -> None:
    source = """
        import os, signal
        from pathlib import Path
        from isoclient import TestClient
        from shop import app

        def test_is_killed():
            clients = [TestClient(app, isolated=True), TestClient("shop:app", isolated=True)]
            Path("pids").write_text(" ".join(client.get("/").text for client in clients))
            os.kill(os.getpid(), signal.SIGKILL)

        def test_another():
            assert TestClient(app, isolated=True).get("/").status_code == 200
    """
    result = suite(source, "-n", "1")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*crashed while running 'test_suite.py::test_is_killed'*"])
    pids = [int(pid) for pid in (pytester.path / "pids").read_text().split()]
    assert len(pids) == 2
    assert all(wait_gone(pid, 5) for pid in pids)
