"""A test run without standard streams: nothing of ours gets their numbers, on either side, and all works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

RUN = """
    import os
    import sys

    from isoclient import TestClient

    def held():
        # What of ours has the number of a standard stream: in the app, the files that it prints to are meant to.
        found = {number: os.readlink(f"/proc/self/fd/{number}") for number in range(3)}
        return {number: target for number, target in found.items() if "isoclient-std" not in target}

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            return
        print("printed", flush=True)
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": repr(held()).encode()})

    def main(mode):
        options = {"isolated": mode != "thread"} | ({"start_method": mode} if mode != "thread" else {})
        app = "without_streams:app" if mode in ("forkserver", "spawn") else globals()["app"]
        with open("told", "w") as file:
            os.dup2(file.fileno(), 100)
        with TestClient(app, timeout=20, **options) as first, TestClient(app, timeout=20, **options) as second:
            for client in (first, second, first):
                there = client.get("/").text
            os.write(100, f"{held()}\\n{there}\\n".encode())

    if __name__ == "__main__":
        closed, mode = sys.argv[1:]
        main(mode)
"""


@pytest.mark.parametrize("mode", ["fork", "forkserver", pytest.param("spawn", marks=pytest.mark.rest), "thread"])
@pytest.mark.parametrize(
    "missing", [(0,), *(pytest.param(one, marks=pytest.mark.rest) for one in ((1,), (2,))), (0, 1, 2)], ids=str
)
def test_nothing_of_ours_has_the_number_of_a_standard_stream(
    tmp_path: Path, missing: tuple[int, ...], mode: str
) -> None:
    (tmp_path / "without_streams.py").write_text(dedent(RUN))
    closing = " ".join(f"{number}>&-" for number in missing)
    command = f'exec "$0" without_streams.py "{missing}" {mode} {closing}'
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        ["/bin/sh", "-c", command, sys.executable],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    here, there = (tmp_path / "told").read_text().splitlines()
    for told in (here, there):
        assert not [word for word in ("memfd", "socket", "anon_inode") if word in told], told
        assert told.count("/dev/null") >= (len(missing) if told is here else 1)
    if 1 not in missing:
        assert done.stdout.count(b"printed\n") == 3
