"""The connections that a test's process and an app that is a fork of it have in common, and whose they are."""

from __future__ import annotations

from typing import Any

from isoclient.plugin.holders import held_by_debugger, held_things
from isoclient.system.modules import os, socket
from isoclient.transit.looks import is_of_library

__all__ = ["shared_connections"]


def shared_connections(pid: int) -> list[str]:
    """Each with the address that it leads to, and where it is held here, as far as that is to be found.

    Args:
        pid: the app's process.
    """
    theirs = set(_sockets(f"/proc/{pid}/fd").values())
    if not theirs:
        return []
    ours = {descriptor: peer for descriptor, found in _sockets("/proc/self/fd").items()
            if found in theirs and (peer := _peer(descriptor))}  # fmt: skip
    if not ours:
        return []
    owners = _owners(set(ours))
    return [f"{peer}{owners.get(descriptor, '')}" for descriptor, peer in ours.items() if owners.get(descriptor) != "-"]


def _sockets(directory: str) -> dict[int, str]:
    """The sockets of a process, by descriptor."""
    found = {}
    try:
        for name in os.listdir(directory):
            try:
                target = os.readlink(f"{directory}/{name}")
            except OSError:  # it has been closed meanwhile
                continue
            if target.startswith("socket:"):
                found[int(name)] = target
    except OSError:  # there is no such process any more, or no such directory
        return {}
    return found


def _peer(descriptor: int) -> str:
    """Where a connection leads to; empty for a socket that is none, and for pairs without a name."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as found:
            address = found.getpeername()
    except OSError:
        return ""
    if isinstance(address, tuple):
        host = f"[{address[0]}]" if ":" in str(address[0]) else str(address[0])
        return f"{host}:{address[1]}" if len(address) > 1 else host
    return address.decode(errors="replace") if isinstance(address, bytes) else str(address)


def _owners(descriptors: set[int]) -> dict[int, str]:
    """Whose the sockets are: the name in a module that leads to them; ``-`` for those of a debugger."""
    owners: dict[int, str] = {}
    kinds: dict[type, bool] = {}
    for things, word in ((held_by_debugger(), "-"), (held_things(), "")):
        for thing, name in things:
            if (descriptor := _descriptor_of(thing, kinds)) in descriptors:
                owners.setdefault(descriptor, word or f" ({name})")
                if len(owners) == len(descriptors):
                    return owners
    return owners


def _descriptor_of(thing: Any, kinds: dict[type, bool]) -> int:
    """That of a socket, or of a library's object that has one; -1 for all else."""
    cls = type(thing)
    if issubclass(cls, socket.SocketType):  # which all classes of sockets have as a base
        return int(socket.SocketType.fileno(thing))
    if cls not in kinds:
        kinds[cls] = _may_have_one(cls)
    if not kinds[cls]:
        return -1
    try:
        found = cls.fileno(thing)
    except Exception:  # it is closed, or in some other way not to be asked
        return -1
    return found if type(found) is int else -1


def _may_have_one(cls: type) -> bool:
    """Whether it has what asks for it, as the connections of PostgreSQL's C library do; nobody's own code is asked."""
    return any("fileno" in vars(base) for base in type.__dict__["__mro__"].__get__(cls)) and is_of_library(cls)
