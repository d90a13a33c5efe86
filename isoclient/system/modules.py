"""The system as it was when this package was imported, out of reach of what a test puts in the place of its parts.

Tests patch the names of :mod:`os`, :mod:`socket` or :mod:`time`, one by one or by a plugin (pytest-socket, pyfakefs,
freezegun), and mean the app by that. What carries requests to the app must not break by it. So no other module of this
package imports those modules; each has from here what stands for them::

    from isoclient.system.modules import os, time

What is kept is no module. That would be found: freezegun goes through the modules for functions of :mod:`time`, and
pyfakefs for modules that have the name of one that it replaces. What has been imported before the package is as it was
then, and the rest as it is when something here first needs it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final

import isoclient

if TYPE_CHECKING:
    import fcntl as fcntl
    import io as io
    import json as json
    import os as os
    import pickle as pickle
    import select as select
    import signal as signal
    import socket as socket
    import tempfile as tempfile
    import threading as threading
    import time as time

__all__ = ["fcntl", "io", "json", "os", "pickle", "select", "signal", "socket", "tempfile", "threading", "time"]


def names_of(name: str) -> dict[str, Any]:
    """The names of a module, as early as they are known."""
    module = import_module(name)
    return isoclient._FOUND.get(name) or vars(module).copy()


_BUILTINS: Final = names_of("builtins")


class Kept:
    """What stands for a module.

    The functions that the module itself defines find in it what they call, and not what a test has put into the module:
    else ``socket.socketpair`` would make sockets of whatever class ``socket.socket`` is by then.

    It has no ``__getattr__`` for the sake of its speed: Python looks attributes up by a shortcut where there is none.

    Args:
        name: the module's.
        others: what some of its names are to stand for instead.
    """

    def __init__(self, name: str, **others: object) -> None:
        found = names_of(name)
        names = {**found, "__builtins__": _BUILTINS, **others}
        its_own = vars(sys.modules[name])
        for key, value in found.items():
            if isinstance(value, FunctionType) and value.__globals__ is its_own and key not in others:
                names[key] = over(names, value)
        self.__dict__ = names

    def __repr__(self) -> str:
        return f"<{vars(self)['__name__']}, as it was when isoclient was imported>"


def over(names: dict[str, Any], function: FunctionType) -> FunctionType:
    """The same function, with these for its global names."""
    copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


class _KeptOS(Kept):
    """:mod:`os`: the environment alone is what the test has made of it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        generic = Kept("genericpath", os=self)
        shared = {key: vars(generic)[key] for key in vars(generic)["__all__"]}
        vars(self)["path"] = Kept("os.path", os=self, genericpath=generic, **shared)

    @property
    def environ(self) -> object:
        return sys.modules["os"].environ


class _KeptThreading(Kept):
    """:mod:`threading`, whose functions stay what they are: what they look up changes as threads come and go."""

    def __init__(self, name: str) -> None:
        names = names_of(name)
        its_own = names["Thread"]
        methods = {key: value for key, value in vars(its_own).items() if isinstance(value, FunctionType | property)}
        self.__dict__ = {**names, "Thread": type("Thread", (its_own,), {**methods, "__module__": "threading"})}


def _keep_socket(name: str) -> Kept:
    import _socket

    default_timeout, get_blocking = names_of("_socket")["getdefaulttimeout"], names_of("os")["get_blocking"]

    class socket(_socket.socket):  # the name of what it stands for
        """A socket that has its methods from C alone: those of ``socket.socket`` are patched, too."""

        __slots__ = ("__weakref__",)

        def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
            """A default timeout that the test has set is for its own sockets.

            By it, a descriptor would be made non-blocking, for all who have the same file: those of others stay as
            they are.
            """
            blocks = fileno is None or get_blocking(fileno)
            super().__init__(family, type, proto, fileno)
            if default_timeout() is not None:
                self.setblocking(blocks)

        def __enter__(self) -> socket:
            return self

        def __exit__(self, *args: object) -> None:
            self.close()

        def __del__(self) -> None:
            self.close()  # without a warning: only one that an interruption has left without an owner is open still

    kept: Any = Kept(name, socket=socket)
    make_pair = kept.socketpair

    def socketpair(*args: Any) -> tuple[socket, socket]:
        """Both wait as long as it takes, which the descriptors that they are made of would not by a default timeout."""
        pair: tuple[socket, socket] = make_pair(*args)
        for each in pair:
            each.setblocking(True)
        return pair

    kept.socketpair = socketpair
    return kept  # type: ignore[no-any-return]


def _keep_signal(name: str) -> Kept:
    # In Python, the same functions make members of enumerations of all that they return. Each of those is memory that a
    # fork has to copy when it looks at it, and a fork looks at all signals as it begins.
    numeric, found = ("SIG_DFL", "SIG_IGN", "getsignal", "pthread_sigmask", "signal"), names_of("_signal")
    return Kept(name, **{key: found[key] for key in numeric})


def _keep_tempfile(name: str) -> Kept:
    return Kept(name, _os=_kept("os"), _io=_kept("io"))


_KEEPERS: Final[dict[str, Any]] = {
    "os": _KeptOS,
    "signal": _keep_signal,
    "socket": _keep_socket,
    "tempfile": _keep_tempfile,
    "threading": _KeptThreading,
}


def _kept(name: str) -> Kept:
    if name not in globals():
        globals()[name] = _KEEPERS.get(name, Kept)(name)
    kept: Kept = globals()[name]
    return kept


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Kept:
        """Keep a module when it is first needed, for not every process needs each."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return _kept(name)


def bind(module: ModuleType) -> None:
    """Let a module of another package find the system as it was, too: one that has a part in starting processes."""
    for name in ("os", "select", "signal", "socket", "tempfile", "threading", "time"):
        if name in vars(module):
            setattr(module, name, _kept(name))
