"""The options and settings of a run, and what they change: the defaults of :class:`isoclient.TestClient`."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest

from isoclient.plugin.leak_options import add_leak_options, watch_leaks

if TYPE_CHECKING:
    from isoclient.plugin.clients import Clients
    from isoclient.plugin.leak_watch import LeakWatch
    from isoclient.plugin.marks import Marks
    from isoclient.plugin.watch import Watch
    from isoclient.system.modules import os

__all__ = ["pytest_addoption", "pytest_configure"]

_MARK: Final = (
    "isolated(how): how the apps of this test's clients are isolated in a run with --isolated: what "
    "isoclient.TestClient(isolated=...) takes, such as False"
)
_LONG: Final = "600"
_BARE: Final = "test"  # what --isolated means by itself


def pytest_addoption(parser: pytest.Parser) -> None:
    """See pytest: tell it of the options."""
    from isoclient.client.defaults import LIFETIMES
    from isoclient.plugin.units import MODES

    group = parser.getgroup("isoclient")
    group.addoption(
        "--isolated",
        action="store_const",
        const=_BARE,
        help="run the app of each isoclient.TestClient that does not say isolated= in a process of its own, "
        f"which lives as long as its {_BARE}",
    )
    # One option each, and not an option with a value that may be missing: that would take the path behind it for one.
    for lifetime in LIFETIMES:
        group.addoption(
            f"--isolated={lifetime}",
            action="store_const",
            const=lifetime,
            dest="isolated",
            help=f"the same, as long as its {lifetime}",
        )
    for mode, meaning in MODES.items():
        group.addoption(f"--isolated={mode}", action="store_const", const=mode, dest="isolated", help=meaning)
    group.addoption(
        "--isolated-start-method",
        metavar="METHOD",
        help="how these processes start, where the client does not say start_method=",
    )
    group.addoption(
        "--isoclient-polluters",
        action="store_true",
        help="find the tests that change what comes of others: run all as usual, then each alone, and search by "
        "bisection where that differs",
    )
    known = ", ".join([*LIFETIMES, *MODES])
    parser.addini("isoclient_isolated", f"true is the same as --isolated; or {known}", default="false")
    parser.addini("isoclient_start_method", "the same as --isolated-start-method")
    parser.addini(
        "isoclient_clients",
        "further clients whose apps --isolated isolates, each on a line: package.module:Class attribute",
        type="linelist",
    )
    parser.addini(
        "isoclient_mirrored",
        "what else the apps of isolated clients have as the test has it, each on a line: package.module:attribute, or "
        ".attribute of the app; a mapping, or anything that is set anew",
        type="linelist",
    )
    parser.addini(
        "isoclient_paths",
        "how tests are isolated in a run with --isolated, each on a line: a file or directory, and what the mark takes",
        type="linelist",
    )
    parser.addini(
        "isoclient_timeout",
        "seconds that each wait of an isoclient.TestClient may take, where it does not say timeout=; or none",
    )
    add_leak_options(parser, group)
    for when in ("start", "end"):
        parser.addini(
            f"isoclient_at_{when}",
            f"functions that isoclient.at_{when} is to have, each on a line: package.module:function",
            type="linelist",
        )
    parser.addini(
        "isoclient_test_timeout",
        "seconds that setup, call and teardown of a test may each take that runs together with its apps, before its "
        "process is ended; or none",
        default=_LONG,
    )


def pytest_configure(config: pytest.Config) -> None:
    """See pytest: set the defaults for this run, and watch its clients."""
    # Two modules that import nothing of ours.
    from isoclient.client import defaults
    from isoclient.plugin.units import is_together
    from isoclient.plugin.watch import Watch

    values = _chosen(config)
    mode = values.get("isolated")
    leaks = watch_leaks(config)
    if leaks is not None:
        values["leaks"] = True
    if is_together(mode):
        values["isolated"] = False
    for name, value in values.items():
        default = defaults.ALL[name]
        config.add_cleanup(_setter(default, default.value))  # a run may be started within another, by pytester
        default.value = value
    config.addinivalue_line("markers", _MARK)
    for when in ("start", "end"):
        if lines := config.getini(f"isoclient_at_{when}"):
            config.add_cleanup(_hook(when, lines))
    _watch_changes(config)
    watch = Watch(config)
    config.pluginmanager.register(watch, "isoclient-watch")
    config.add_cleanup(watch.begin())
    if config.getoption("isoclient_polluters"):
        _find_polluters(config, mode, leaks)
    elif mode is not None:
        _isolate(config, watch, mode, leaks)


def _watch_changes(config: pytest.Config) -> None:
    from isoclient.mirror.watchlist import note_all, watchlist

    before, named = watchlist.named, tuple(config.getini("isoclient_mirrored"))
    if named:
        from isoclient.mirror.standing import parse_named

        try:
            for line in named:
                parse_named(line)
        except ValueError as error:
            raise pytest.UsageError(f"isoclient_mirrored: {error}") from None

    def put_back() -> None:
        watchlist.named = before

    watchlist.named = named
    config.add_cleanup(put_back)
    note_all(late=False)


def _isolate(config: pytest.Config, watch: Watch, mode: object, leaks: LeakWatch | None) -> None:
    import isoclient.process.app_process  # noqa: F401 - now, for the first app may be started on a test's event loop
    from isoclient.plugin.clients import CLIENTS, Clients, parse
    from isoclient.plugin.marks import Marks

    try:
        own = tuple(parse(line) for line in config.getini("isoclient_clients"))
    except ValueError as error:
        raise pytest.UsageError(f"isoclient_clients: {error}") from None
    marks = Marks(mode, _paths(config))
    config.pluginmanager.register(marks, "isoclient-marks")
    until_the_end = ExitStack()
    clients = Clients((*CLIENTS, *own), watch.keep)
    until_the_end.enter_context(clients.isolated())
    config.add_cleanup(until_the_end.close)
    _run_together(config, marks, clients, leaks)


def _run_together(config: pytest.Config, marks: Marks, clients: Clients, leaks: LeakWatch | None) -> None:
    """Where no test is marked so, and nor is the run, this imports next to nothing."""
    from isoclient.plugin.together import Together
    from isoclient.plugin.units import Units, unit_of

    def begin_unit() -> None:
        marks.begin_unit()
        clients.stands_aside = True
        if leaks is not None:
            leaks.begin_unit(config.pluginmanager)

    def unit_of_test(item: pytest.Item) -> Hashable | None:
        return unit_of(item, marks.said_by(item))

    limit = _seconds("isoclient_test_timeout", config.getini("isoclient_test_timeout"))
    config.pluginmanager.register(Together(config, Units(unit_of_test, limit, begin_unit)), "isoclient-together")


def _find_polluters(config: pytest.Config, mode: object, leaks: LeakWatch | None) -> None:
    from isoclient.plugin.polluters import Polluters
    from isoclient.plugin.together import Together
    from isoclient.plugin.units import Units

    if mode is not None:
        raise pytest.UsageError(
            "--isoclient-polluters runs the suite as it is: leave out --isolated and isoclient_isolated"
        )
    if leaks is not None:
        raise pytest.UsageError(
            "--isoclient-polluters tells by itself what a test leaves behind that changes others: leave out "
            "--isoclient-leaks, and give -o isoclient_leaks= where the settings have it"
        )
    if not config.pluginmanager.has_plugin("terminal"):
        raise pytest.UsageError(
            "--isoclient-polluters tells in the terminal what it has found: leave out -p no:terminal"
        )
    if hasattr(config, "workerinput") or getattr(config.option, "tx", None):
        raise pytest.UsageError("--isoclient-polluters runs in one process: leave out -n of pytest-xdist")
    limit = _seconds("isoclient_test_timeout", config.getini("isoclient_test_timeout"))
    polluters = Polluters(config, limit)
    config.pluginmanager.register(polluters, "isoclient-polluters")
    together = Together(config, Units(polluters.unit_of, limit, begin=lambda: None))
    config.pluginmanager.register(together, "isoclient-together")


def _hook(when: str, lines: list[str]) -> Any:
    """Have these called in each process of an app; return what ends that. They are imported there."""
    from isoclient.server.hooks import check_hook, hooks

    try:
        named = [check_hook(line) for line in lines]
    except ValueError as error:
        raise pytest.UsageError(f"isoclient_at_{when}: {error}") from None
    registered: list[Any] = getattr(hooks, when)
    before = registered.copy()
    registered += [name for name in named if name not in registered]

    def put_back() -> None:
        registered[:] = before

    return put_back


def _setter(default: Any, value: object) -> Any:
    def put_back() -> None:
        default.value = value

    return put_back


def _chosen(config: pytest.Config) -> dict[str, object]:
    chosen: dict[str, object] = {}
    lifetime = config.getoption("isolated") or _lifetime(config.getini("isoclient_isolated"))
    if lifetime:
        chosen["isolated"] = lifetime
    method = config.getoption("isolated_start_method") or config.getini("isoclient_start_method")
    if method:
        chosen["start_method"] = _start_method(method)
    timeout = config.getini("isoclient_timeout")
    if timeout:
        chosen["timeout"] = _seconds("isoclient_timeout", timeout)
    return chosen


def _lifetime(text: str) -> str | None:
    from isoclient.client.defaults import LIFETIMES
    from isoclient.plugin.units import MODES

    known = [*LIFETIMES, *MODES]
    word = text.strip().lower()
    if word in known:
        return word
    if word in ("true", "yes", "on", "1"):
        return _BARE
    if word not in ("false", "no", "off", "0", ""):
        raise pytest.UsageError(f"isoclient_isolated is {text!r}; it is true, false or one of {', '.join(known)}")
    return None


def _paths(config: pytest.Config) -> dict[os.PathLike[str], object]:
    """What is set for files and directories, which are as from where the settings are."""
    root = config.inipath.parent if config.inipath is not None else config.rootpath
    found: dict[os.PathLike[str], object] = {}
    for line in config.getini("isoclient_paths"):
        path, _, word = line.rpartition(" ")
        try:
            if not path.strip() or not word:
                raise pytest.UsageError("it is a file or directory, and how its tests are isolated")
            found[(root / path.strip()).resolve()] = _lifetime(word) or False
        except pytest.UsageError as error:
            reason = str(error).removeprefix("isoclient_isolated is ")
            raise pytest.UsageError(f"isoclient_paths: {line!r}: {reason}") from None
    return found


def _start_method(name: str) -> str:
    from isoclient.process.launchers import START_METHODS

    if name not in START_METHODS:
        known = ", ".join(START_METHODS)
        raise pytest.UsageError(f"--isolated-start-method or isoclient_start_method is {name!r}; it is one of {known}")
    return name


def _seconds(name: str, text: str) -> float | None:
    if text.strip().lower() == "none":
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not seconds > 0:
        raise pytest.UsageError(f"{name} is {text!r}; it is a number of seconds, or none")
    return seconds
