"""The options and settings about what tests leave behind. It imports nothing of ours where they are not given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from isoclient.plugin.leak_watch import LeakWatch

__all__ = ["add_leak_options", "watch_leaks"]


def add_leak_options(parser: pytest.Parser, group: Any) -> None:
    """Tell pytest of them."""
    group.addoption(
        "--isoclient-leaks",
        choices=("report", "fail"),
        help="tell at the end what the isolated apps of tests have left behind in their processes, by line; or let the "
        "tests fail, too",
    )
    group.addoption("--isoclient-leaks-json", metavar="FILE", default="", help="write that into a file, too")
    parser.addini("isoclient_leaks", "the same as --isoclient-leaks", default="")
    parser.addini(
        "isoclient_leaks_accepted",
        "what tests may leave behind, each on a line: a kind, and a pattern of what it is or where it comes from",
        type="linelist",
    )


def watch_leaks(config: pytest.Config) -> LeakWatch | None:
    """Watch for leaks in this run, if that is asked for; what watches the tests of this process."""
    file = config.getoption("isoclient_leaks_json")
    how = config.getoption("isoclient_leaks") or config.getini("isoclient_leaks").strip() or ("report" if file else "")
    if not how:
        return None
    if how not in ("report", "fail"):
        raise pytest.UsageError(f"isoclient_leaks is {how!r}; it is report or fail")
    from isoclient.plugin.leak_rules import Rules

    file = _writable(file) if file else ""
    try:
        rules = Rules(config.getini("isoclient_leaks_accepted"), str(config.rootpath))
    except ValueError as error:
        raise pytest.UsageError(f"isoclient_leaks_accepted: {error}") from None
    return _watch(config, rules, file, fails=how == "fail")


def _writable(file: str) -> str:
    """Where the file is to be, wherever a test goes; in a directory that there is by now.

    Raises:
        pytest.UsageError: nothing can be written there, which nobody wants to be told when all tests have run.
    """
    from isoclient.system.modules import os

    path = os.path.abspath(file)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o666))
    except OSError as error:
        raise pytest.UsageError(f"--isoclient-leaks-json={file}: {error.strerror}: {error.filename}") from None
    return path


def _watch(config: pytest.Config, rules: Any, file: str, *, fails: bool) -> LeakWatch:
    from isoclient.client.registry import registry
    from isoclient.plugin.leak_summary import LeakSummary
    from isoclient.plugin.leak_watch import LeakWatch

    watch, before = LeakWatch(rules, fails=fails), registry.tell_left

    def put_back() -> None:
        registry.tell_left = before

    registry.tell_left = watch.take
    config.add_cleanup(put_back)
    config.pluginmanager.register(watch, "isoclient-leaks")
    config.pluginmanager.register(LeakSummary(file), "isoclient-leak-summary")
    return watch
