"""Whatever a test does to the clocks of its app, waits go by the real one."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
import time
from importlib import import_module

import isoclient

CLOCKS = [time.time, time.monotonic, time.perf_counter, time.process_time, time.monotonic_ns, time.perf_counter_ns]


def test_no_module_has_a_clock_that_can_be_replaced() -> None:
    for found in pkgutil.walk_packages(isoclient.__path__, "isoclient."):
        module = import_module(found.name)
        assert not [name for name, value in vars(module).items() if value in CLOCKS], found.name


def test_a_deadline_passes_while_time_is_frozen() -> None:
    program = """if True:
        import asyncio, time
        from freezegun import freeze_time
        from isoclient import AppTimeout, TestClient

        async def app(scope, receive, send):
            if scope["path"] == "/hang":
                await asyncio.Future()
            await send({"type": "http.response.start", "status": 204})
            await send({"type": "http.response.body"})

        for isolated in (True, False):
            client = TestClient(app, isolated=isolated, timeout=0.5)
            with freeze_time("2020-02-20", real_asyncio=True):
                for _ in range(5):
                    client.get("/")
                used = time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID)
                try:
                    client.get("/hang")
                except AppTimeout as error:
                    print(type(error).__name__)
                assert time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID) - used < 0.3
            client.close()
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("AppTimeout\nAppTimeout\n", "")
