"""What the plugin lets the rest of isoclient know of a run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Suite = Callable[..., pytest.RunResult]


def test_each_test_is_a_new_epoch(suite: Suite) -> None:
    source = """
        from isoclient import TestClient
        from isoclient.mirror.run import run
        from shop import app

        seen = [run.epoch]

        def test_one():
            TestClient(app, isolated=True).get("/")
            seen.append(run.epoch)

        def test_two():
            seen.append(run.epoch)
            assert len({*seen}) == 3
    """
    suite(source).assert_outcomes(passed=2)


@pytest.mark.parametrize(("options", "wanted"), [((), False), (("--showlocals",), True), (("--pdb",), True)])
def test_tracebacks_carry_locals_where_they_are_shown(suite: Suite, options: tuple[str, ...], wanted: bool) -> None:
    source = f"""
        def test_locals():
            from isoclient import TestClient
            from shop import app
            client = TestClient(app, isolated=True)
            client.get("/")
            from isoclient.mirror.run import run
            assert run.locals is {wanted}
    """
    suite(source, *options).assert_outcomes(passed=1)


def test_the_terminal_is_lent_to_a_debugger(suite: Suite, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        entered = []

        def pytest_enter_pdb():
            entered.append("time limits end here")
        """
    )
    source = """
        import os
        from isoclient import TestClient
        from isoclient.drive.terminal import hooks
        from conftest import entered
        from shop import app

        def test_terminal(capfd):
            client = TestClient(app)
            print("captured before")
            hooks.suspend()
            print("on the terminal", flush=True)
            os.write(1, b"on descriptor 1\\n")
            hooks.resume()
            print("captured after")
            assert capfd.readouterr().out == "captured before\\ncaptured after\\n"
            assert entered == ["time limits end here"]
    """
    result = suite(source)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*on the terminal*", "on descriptor 1"])
    result.stdout.no_fnmatch_line("*captured*")
