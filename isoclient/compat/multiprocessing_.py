"""multiprocessing, and its twin multiprocess, in a fork that they have not made: a child of theirs, as they have it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, Final, NamedTuple

from isoclient.compat.python_imports import is_loaded
from isoclient.compat.self_tests import self_test
from isoclient.system.modules import os

__all__ = ["be_a_child", "exit_handlers", "know_twins"]

_HELPERS: Final = (("resource_tracker", "_resource_tracker"), ("forkserver", "_forkserver"))


class _Twin(NamedTuple):
    package: str
    is_known: Callable[[], bool]


def _twin(package: str, project: str) -> _Twin:
    @self_test(f"The use of {package} in an app that is a fork", project=project)
    def is_known() -> None:
        process: Any = sys.modules[f"{package}.process"]
        assert {"_current_process", "_parent_process", "_process_counter", "_children"} <= vars(process).keys()
        assert {"_parent_pid", "_config"} <= set(process.BaseProcess.__init__.__code__.co_names)
        process._ParentProcess("test", 1, 0)
        for util in _utils(package):
            assert type(util._finalizer_registry) is dict
            assert all(map(callable, (util._exit_function, util._run_after_forkers)))
            assert hasattr(util, "_afterfork_registry")
        for helper in _helpers(package):
            assert callable(helper._lock._at_fork_reinit)

    return _Twin(package, is_known)


_TWINS: Final = (_twin("multiprocessing", "Python"), _twin("multiprocess", "multiprocess"))


def know_twins() -> list[str]:
    """Which of both are in use, and as they were; to be asked before the fork, too."""
    return [twin.package for twin in _TWINS if is_loaded(f"{twin.package}.process") and twin.is_known()]


def exit_handlers() -> list[Callable[[], object]]:
    """What ends their children at the end of an interpreter."""
    return [util._exit_function for package in know_twins() for util in _utils(package)]


def be_a_child(parent: int, sentinel: int) -> None:
    """In a fork: have no children, the test's process as the parent, and a name.

    The hooks that are run for that may do anything, such as talk to a manager.

    Args:
        parent: the number of the test's process.
        sentinel: a descriptor that becomes readable when that has died.
    """
    for package in know_twins():
        _forget_children(sys.modules[f"{package}.process"], parent, sentinel)
        for helper in _helpers(package):
            _free(helper)
        for util in _utils(package):
            _run_hooks(util)


def _utils(package: str) -> list[Any]:
    """What comes with its first child, if that has been."""
    return [sys.modules[f"{package}.util"]] if is_loaded(f"{package}.util") else []


def _helpers(package: str) -> Iterator[Any]:
    """What helps to start children."""
    for module, name in _HELPERS:
        if is_loaded(f"{package}.{module}"):
            yield getattr(sys.modules[f"{package}.{module}"], name)


def _forget_children(process: Any, parent: int, sentinel: int) -> None:
    """And be no daemon, which may not have children."""
    before = process._current_process
    process._parent_process = process._ParentProcess(before.name, parent, sentinel)
    process._process_counter = count(1)
    process._children = set()
    process._current_process = own = process.BaseProcess(name="isoclient-app")
    own._parent_pid = parent
    own._config.pop("daemon", None)


def _free(helper: Any) -> None:
    """Its lock may be held by a thread that is not here.

    And a fork server is waited for as a child, which the test's is not.
    """
    helper._lock._at_fork_reinit()
    if getattr(helper, "_forkserver_pid", None) is not None:
        descriptor = helper._forkserver_alive_fd
        helper._forkserver_pid = helper._forkserver_alive_fd = helper._forkserver_address = None
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _run_hooks(util: Any) -> None:
    """Queues get threads of their own by that, and proxies connections; what was to be done at the end is forgotten."""
    util._finalizer_registry.clear()
    if util._afterfork_registry:
        util._run_after_forkers()
