"""The options and settings of a run, and what they change: the defaults of :class:`isoclient.TestClient`."""

from __future__ import annotations

from typing import Any, Final

import pytest

__all__ = ["pytest_addoption", "pytest_configure"]

_METHODS: Final = ("fork", "forkserver", "spawn")


def pytest_addoption(parser: pytest.Parser) -> None:
    """See pytest: tell it of the options."""
    group = parser.getgroup("isoclient")
    group.addoption(
        "--isolated",
        action="store_true",
        default=None,
        help="run the app of each isoclient.TestClient that does not say isolated= in a process of its own",
    )
    group.addoption(
        "--isolated-start-method",
        choices=_METHODS,
        help="how these processes start, where the client does not say start_method=",
    )
    parser.addini("isoclient_isolated", "the same as --isolated", type="bool", default=False)
    parser.addini("isoclient_start_method", f"the same as --isolated-start-method: {', '.join(_METHODS)}")
    parser.addini(
        "isoclient_timeout",
        "seconds that each wait of an isoclient.TestClient may take, where it does not say timeout=; or none",
    )


def pytest_configure(config: pytest.Config) -> None:
    """See pytest: set the defaults for this run, and watch its clients."""
    # Two modules that import nothing: not before a run begins, for `pytest --version` needs none of them.
    from isoclient.client import defaults
    from isoclient.plugin.watch import Watch

    values = _chosen(config)
    for name, value in values.items():
        default = defaults.ALL[name]
        config.add_cleanup(_setter(default, default.value))  # a run may be started within another, by pytester
        default.value = value
    watch = Watch(config)
    config.pluginmanager.register(watch, "isoclient-watch")
    config.add_cleanup(watch.begin())


def _setter(default: Any, value: object) -> Any:
    def put_back() -> None:
        default.value = value

    return put_back


def _chosen(config: pytest.Config) -> dict[str, object]:
    chosen: dict[str, object] = {}
    if config.getoption("isolated") or config.getini("isoclient_isolated"):
        chosen["isolated"] = True
    method = config.getoption("isolated_start_method") or config.getini("isoclient_start_method")
    if method:
        if method not in _METHODS:
            raise pytest.UsageError(f"isoclient_start_method is {method!r}; it is one of {', '.join(_METHODS)}")
        chosen["start_method"] = method
    timeout = config.getini("isoclient_timeout")
    if timeout:
        chosen["timeout"] = _seconds(timeout)
    return chosen


def _seconds(text: str) -> float | None:
    if text.strip().lower() == "none":
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not seconds > 0:
        raise pytest.UsageError(f"isoclient_timeout is {text!r}; it is a number of seconds, or none")
    return seconds
