"""Starting: a fresh app, from nothing to its first response and its end; and what an import costs."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from statistics import median
from typing import Final

from isoclient import TestClient
from tests.benchmarks import apps, peers
from tests.benchmarks.harness import Effort, Row, alternate, timed

_APP: Final = "tests.benchmarks.apps:shop"
_PATH: Final = "/route/7"


def measure(effort: Effort) -> Iterator[Row]:
    yield from _plain_apps(effort)
    yield from _fresh_apps(effort)
    yield from _other_ways(effort)
    yield from _imports(effort)


def _fresh_apps(effort: Effort) -> Iterator[Row]:
    cases = {"fork": timed(lambda: _use_once(apps.shop)), "import string": timed(lambda: _use_once(_APP))}
    got = alternate(cases, effort.rounds * 3)
    fork, fresh = got.median("fork") * 1000, got.median("import string") * 1000
    yield Row("fresh app by fork: start, lifespan, GET, close", fork, 12, unit=" ms")
    yield Row("the same from an import string, second client on", fresh, 20, unit=" ms")
    against = alternate({"isolated": cases["fork"], "uvicorn": timed(_serve_once)}, effort.few())
    ratio = against.ratio("isolated", "uvicorn")
    yield Row("pages that its process copies or fetches", _faults(), 2400)
    yield Row(
        "fresh app by fork / a uvicorn of its own", ratio, 1 / 20, detail=against.milliseconds("isolated", "uvicorn")
    )


def _use_once(app: object, path: str = _PATH) -> None:
    with TestClient(app, isolated=True) as client:
        assert client.get(path).status_code == 200


def _faults() -> float:
    """How many page faults there are in the app's process in all that; which no other load on the machine changes."""

    def so_far() -> int:
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt

    before = so_far()
    _use_once(apps.shop)
    return so_far() - before


def _fork_once() -> None:
    with peers.bare_fork():
        pass


def _serve_once() -> None:
    with peers.Server(_APP) as server:
        assert peers.session(server.url).get(server.url + _PATH).status_code == 200


def _other_ways(effort: Effort) -> Iterator[Row]:
    """Only shown: the floor, and what an interpreter of its own costs before it has answered anything."""
    cases = {
        "isolated": timed(lambda: _use_once(apps.shop)),
        "bare fork": timed(_fork_once),
        "interpreter": timed(lambda: _run_python("import tests.benchmarks.apps")),
    }
    got = alternate(cases, effort.rounds)
    for name, text in (
        ("bare fork", "a bare fork that calls it once"),
        ("interpreter", "an interpreter that imports it"),
    ):
        detail = got.milliseconds("isolated", name)
        yield Row(f"fresh app by fork / {text}", got.ratio("isolated", name), detail=detail)


def _plain_apps(effort: Effort) -> Iterator[Row]:
    """Beside the floor of whatever lives in a process of its own and is asked twice."""
    cases = {"isolated": timed(lambda: _use_once(apps.plain, "/")), "bare fork": timed(peers.fork_that_answers_twice)}
    got = alternate(cases, effort.rounds * 3)
    yield Row(
        "fresh plain app by fork / a bare fork with a loop that answers twice",
        got.ratio("isolated", "bare fork"),
        1.5,
        detail=got.milliseconds("isolated", "bare fork"),
    )
    yield Row("pages that both processes copy or fetch for a fresh plain app", _pages_of_both(), 3500)


def _pages_of_both() -> float:
    """The median of some times, for what others have done before has its share in the pages of this process."""

    def so_far() -> int:
        return sum(resource.getrusage(who).ru_minflt for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))

    counts = []
    for _ in range(15):
        before = so_far()
        _use_once(apps.plain, "/")
        counts.append(so_far() - before)
    return median(counts)


def _imports(effort: Effort) -> Iterator[Row]:
    modules = {"isoclient": "from isoclient import TestClient", "requests": "import requests"}
    cases = {name: timed(lambda code=code: _run_python(code)) for name, code in modules.items()}  # type: ignore[misc]
    got = alternate(cases, effort.rounds)
    yield Row("import isoclient / import requests", got.ratio(*modules), 1.25, detail=got.milliseconds(*modules))


def _run_python(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, cwd=peers.ROOT)
