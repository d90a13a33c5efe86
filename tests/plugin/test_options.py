"""``--isolated`` and the other options and settings: what a client does that does not say."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

import pytest

from isoclient import Limits, TestClient, plugin

Suite = Callable[..., pytest.RunResult]

SUITE = """
    import os
    from isoclient import TestClient
    from shop import app

    at_import = TestClient(app)

    def test_at_import():
        print("\\nat import:", at_import)
        assert (at_import.get("/").text == str(os.getpid())) is not ISOLATED

    def test_within():
        client = TestClient(app)
        assert (client.get("/").text == str(os.getpid())) is not ISOLATED
        assert (client.call(os.getpid) == os.getpid()) is not ISOLATED

    def test_those_that_say():
        assert TestClient(app, isolated=False).get("/").text == str(os.getpid())
        assert TestClient(app, isolated=True).get("/").text != str(os.getpid())
        with TestClient("shop:app", isolated=True) as client:
            assert "forkserver" in repr(client)
"""


def test_nothing_is_isolated_by_itself(suite: Suite) -> None:
    result = suite(SUITE.replace("ISOLATED", "False"), "-s")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["at import: <TestClient for shop:app: in-process>"])


@pytest.mark.parametrize(("options", "ini"), [(("--isolated",), ""), ((), "isoclient_isolated = true")])
def test_a_whole_suite_with_one_flag(suite: Suite, options: tuple[str, ...], ini: str) -> None:
    result = suite(SUITE.replace("ISOLATED", "True"), "-s", *options, ini=ini)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        ["at import: <TestClient for shop:app: isolated (fork, afresh for each test), not running>"]
    )


@pytest.mark.parametrize(
    ("options", "ini"),
    [(("--isolated-start-method=spawn",), "isoclient_start_method = fork"), ((), "isoclient_start_method = spawn")],
)
def test_the_start_method(suite: Suite, options: tuple[str, ...], ini: str) -> None:
    source = """
        import pytest
        from isoclient import Limits, TestClient
        from shop import app

        @pytest.mark.parametrize("options, mode", [
            ({}, "isolated (spawn, afresh for each test)"),
            ({"start_method": "fork"}, "isolated (fork, afresh for each test)"),
            ({"limits": Limits(open_files=100)}, "isolated (spawn, afresh for each test)"),
            ({"isolated": True}, "isolated (spawn)"),
            ({"isolated": False}, "in-process"),
            ({"isolated": "request"}, "isolated (a fork for each request)"),
        ])
        def test_mode(options, mode):
            client = TestClient(app, **options)
            assert mode in repr(client)
            assert client.get("/").status_code == 200
    """
    suite(source, "--isolated", *options, ini=ini).assert_outcomes(passed=6)


def test_a_start_method_alone_isolates_nothing(suite: Suite) -> None:
    source = """
        from isoclient import TestClient
        from shop import app

        def test_modes():
            assert "in-process" in repr(TestClient(app))
            assert "isolated (spawn)" in repr(TestClient(app, isolated=True))
    """
    suite(source, "--isolated-start-method=spawn").assert_outcomes(passed=1)


@pytest.mark.parametrize(("text", "value"), [("7.5", "7.5"), ("none", "None")])
def test_the_timeout(suite: Suite, text: str, value: str) -> None:
    source = f"""
        from isoclient import TestClient
        from shop import app

        def test_timeout():
            assert TestClient(app).timeout == {value}
            assert TestClient(app, timeout=3).timeout == 3
            assert TestClient(app, timeout=None).timeout is None
    """
    suite(source, ini=f"isoclient_timeout = {text}").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("ini", "text"),
    [
        ("isoclient_timeout = soon", "isoclient_timeout is 'soon'; it is a number of seconds, or none"),
        ("isoclient_timeout = -1", "isoclient_timeout is '-1'; it is a number of seconds, or none"),
        (
            "isoclient_isolated = any",
            "isoclient_isolated is 'any'; it is true, false or one of client, test, request, together, together:test",
        ),
        ("isoclient_at_end = flush", "isoclient_at_end: 'flush' is not of the form package.module:function"),
        ("isoclient_start_method = clone", "isoclient_start_method is 'clone'; it is one of fork, forkserver, spawn"),
    ],
)
def test_a_setting_that_makes_no_sense(suite: Suite, ini: str, text: str) -> None:
    result = suite("def test_nothing(): pass", ini=ini)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert text in result.stderr.str()


def test_what_is_documented_is_what_the_signature_shows() -> None:
    parameters = inspect.signature(TestClient).parameters
    shown = {name: repr(parameters[name].default) for name in ("isolated", "start_method", "timeout")}
    assert shown == {"isolated": "False", "start_method": "None", "timeout": "60.0"}


async def nothing(scope: Any, receive: Any, send: Any) -> None: ...


@pytest.mark.parametrize("options", [{"start_method": "fork"}, {"limits": Limits(open_files=9)}])
def test_without_the_flag_these_still_need_isolated(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="needs isolated=True"):
        TestClient(nothing, **options)
    with pytest.raises(ValueError, match="needs isolated=True"):
        TestClient(nothing, isolated=False, **options)


def test_an_isolation_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="isolated is 'always'; it is False, True, 'client', 'test' or 'request'"):
        TestClient(nothing, isolated="always")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"of a test, say @pytest\.mark\.isolated\(\"together\"\)"):
        TestClient(nothing, isolated="together")  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [{"memory": 256e6}, {"cpu_seconds": "10"}, {"open_files": True}])
def test_a_limit_is_a_whole_number(limit: dict[str, Any]) -> None:
    [(name, value)] = limit.items()
    with pytest.raises(TypeError, match=rf"Limits\({name}={value!r}\): a limit is a whole number"):
        Limits(**limit)


def test_a_run_without_clients_imports_next_to_nothing(suite: Suite) -> None:
    source = """
        import sys

        def test_imports():
            ours = {name for name in sys.modules if name.startswith("isoclient")}
            heavy = {"requests", "urllib3", "multiprocess", "dill", "tblib", "trio", "asyncio", "unittest.mock"}
            print("\\nours:", *sorted(ours))
            print("heavy:", *sorted(heavy & set(sys.modules)))
    """
    result = suite(source, "-s", fresh=True)
    lines = result.stdout.lines
    [ours] = [line.split()[1:] for line in lines if line.startswith("ours:")]
    assert ours == [
        "isoclient",
        "isoclient.client",  # a docstring
        "isoclient.client.defaults",
        "isoclient.client.registry",
        "isoclient.compat",
        "isoclient.compat.pytest_",
        "isoclient.compat.python_patching",
        "isoclient.compat.self_tests",
        "isoclient.mirror",
        "isoclient.mirror.watchlist",
        "isoclient.plugin",
        "isoclient.plugin.fixtures",
        "isoclient.plugin.leak_options",
        "isoclient.plugin.options",
        "isoclient.plugin.units",
        "isoclient.plugin.watch",
        "isoclient.system",
        "isoclient.system.when_imported",
    ]
    result.stdout.fnmatch_lines(["heavy:"])


def test_pytest_finds_it_by_itself(pytestconfig: pytest.Config) -> None:
    """As it has for this very run; the runs within tests name their plugins."""
    assert pytestconfig.pluginmanager.get_plugin("isoclient") is plugin


def test_importing_the_plugin_imports_no_front() -> None:
    import subprocess

    program = """if True:
        import sys
        import isoclient.plugin
        print(sorted(name for name in sys.modules if name.split(".")[0] in ("requests", "multiprocess", "dill")
              or name.startswith(("isoclient.client", "isoclient.process", "isoclient.server", "isoclient.system"))))
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_run_within_a_run_puts_the_defaults_back(suite: Suite) -> None:
    source = """
        pytest_plugins = ["pytester"]

        def test_inner(pytester):
            from isoclient.client import defaults
            from isoclient.client.registry import registry
            before = registry.watch
            pytester.makepyfile(
                "from isoclient.client.defaults import isolated\\ndef test_it():\\n    assert isolated.value == 'test'"
            )
            pytester.runpytest_inprocess("--isolated", "-p", "no:asyncio").assert_outcomes(passed=1)
            assert defaults.isolated.value is False
            assert registry.watch == before
    """
    suite(source).assert_outcomes(passed=1)


HOOKS = """
    import os
    import pytest
    from isoclient import at_end, at_start, isolate
    from shop import app

    @at_start
    def third():
        print("third", os.environ["HOOKS"])

    at_end(lambda: print("last but two"))

    @pytest.mark.parametrize("start_method", ["fork", "forkserver", "spawn"])
    def test_it(isolated_client, start_method):
        client = isolated_client("shop:app", start_method=start_method)
        client.get("/")
        client.close()
        print("that was", start_method)
"""


def test_settings_name_functions_for_the_beginning_and_the_end(suite: Suite, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        shop_hooks="""
            import os
            os.environ["HOOKS"] = "then"
            def first(): print("first")
            async def second(): print("second")
            def last(): print("last")
            async def last_but_one(): print("last but one")
        """
    )
    ini = """
isoclient_at_start =
    shop_hooks:first
    shop_hooks:second
isoclient_at_end =
    shop_hooks:last
    shop_hooks:last_but_one
"""
    result = suite(HOOKS, "-s", ini=ini)
    result.assert_outcomes(passed=3)
    once = ["first", "second", "third then", "last but two", "last but one", "last", "that was *"]
    result.stdout.fnmatch_lines([line if line != "first" else "*first" for line in once * 3], consecutive=True)
