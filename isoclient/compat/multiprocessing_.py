"""multiprocessing, and its twin multiprocess, in a fork that they have not made: a child of theirs, as they have it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from itertools import count
from typing import Any, Final, NamedTuple

from isoclient.compat.python_imports import is_loaded
from isoclient.compat.self_tests import self_test
from isoclient.system.modules import os

__all__ = ["Twin", "be_a_child", "exit_handlers", "helpers", "know_twins"]

_HELPERS: Final = (("resource_tracker", "_resource_tracker"), ("forkserver", "_forkserver"))


class Twin(NamedTuple):
    """One of both, as it is in use.

    Attributes:
        process: its module of this name.
        utils: likewise, if there is one, for it comes with the first child.
        helpers: what helps to start children.
    """

    process: Any
    utils: list[Any]
    helpers: list[Any]


def _knows(package: str, project: str) -> Callable[[], bool]:
    @self_test(f"The use of {package} in an app that is a fork", project=project)
    def is_known() -> None:
        twin = _twin(package)
        assert {"_current_process", "_parent_process", "_process_counter", "_children"} <= vars(twin.process).keys()
        assert {"_parent_pid", "_config"} <= set(twin.process.BaseProcess.__init__.__code__.co_names)
        twin.process._ParentProcess("test", 1, 0)
        for util in twin.utils:
            assert type(util._finalizer_registry) is dict
            assert all(map(callable, (util._exit_function, util._run_after_forkers)))
            assert hasattr(util, "_afterfork_registry")
        for helper in twin.helpers:
            assert callable(helper._lock._at_fork_reinit)

    return is_known


_PACKAGES: Final = {"multiprocessing": "Python", "multiprocess": "multiprocess"}
_KNOWS: Final = tuple(_knows(package, project) for package, project in _PACKAGES.items())


def know_twins() -> list[Twin]:
    """Those of both that are in use, and as they were; before the fork, which so has not to look for them."""
    return [
        _twin(package)
        for package, is_known in zip(_PACKAGES, _KNOWS, strict=True)
        if is_loaded(f"{package}.process") and is_known()
    ]


def _twin(package: str) -> Twin:
    return Twin(
        sys.modules[f"{package}.process"],
        [sys.modules[f"{package}.util"]] if is_loaded(f"{package}.util") else [],
        [
            getattr(sys.modules[f"{package}.{module}"], name)
            for module, name in _HELPERS
            if is_loaded(f"{package}.{module}")
        ],
    )


def exit_handlers(twins: list[Twin]) -> list[Callable[[], object]]:
    """What ends their children at the end of an interpreter."""
    return [util._exit_function for twin in twins for util in twin.utils]


def be_a_child(twins: list[Twin], parent: int, sentinel: int) -> None:
    """In a fork: have no children, the test's process as the parent, and a name.

    The hooks that are run for that may do anything, such as talk to a manager.

    Args:
        twins: see :func:`know_twins`.
        parent: the number of the test's process.
        sentinel: a descriptor that becomes readable when that has died.
    """
    for process, utils, helpers in twins:
        _forget_children(process, parent, sentinel)
        for helper in helpers:
            _free(helper)
        for util in utils:
            _run_hooks(util)


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


def helpers() -> set[int]:
    """The numbers of the processes that both have for their own use."""
    names = ("_pid", "_forkserver_pid")
    found = (getattr(helper, name, None) for twin in know_twins() for helper in twin.helpers for name in names)
    return {pid for pid in found if pid is not None}
