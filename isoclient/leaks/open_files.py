"""Descriptors that stay open: of files, pipes and sockets."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator
from typing import Any

from isoclient.leaks.found import Found
from isoclient.leaks.kind import Subject
from isoclient.leaks.origins import ISOCLIENT, Origin
from isoclient.system.descriptors import Identity, identity
from isoclient.system.modules import os, socket

__all__ = ["OpenFiles"]


class OpenFiles:
    """What the process has open, by number. What a number stands for may be another file by now."""

    def __init__(self, subject: Subject) -> None:
        self._origins = subject.origins

    def before(self) -> dict[int, Identity]:
        return {number: identity(status) for number, status in _open()}

    def after(self, before: dict[int, Identity]) -> Iterator[Found]:
        new = [(number, status) for number, status in _open() if before.get(number) != identity(status)]
        sockets = self._sockets() if any(stat.S_ISSOCK(status.st_mode) for _, status in new) else {}
        for number, status in new:
            if stat.S_ISSOCK(status.st_mode):
                kind, what, origin = "socket", _addresses(number), sockets.get(number)
            else:
                path = _path(number)
                if path.startswith("anon_inode:"):
                    continue  # what an event loop waits with: what waits is found by itself
                kind, what, origin = "file", path or "a pipe", self._of_path(path)
            if origin is not ISOCLIENT:
                yield Found(kind, what, origin, (kind, identity(status)))

    def _sockets(self) -> dict[int, Origin | None]:
        found: dict[int, Origin | None] = {}
        for sock in self._origins.objects(object):
            number = getattr(sock, "fileno", None)
            if number is not None:
                with contextlib.suppress(Exception):
                    found[number()] = self._origins.of_object(sock)
        return found

    def _of_path(self, path: str) -> Origin | None:
        path = path.removesuffix(" (deleted)")
        origin = self._origins.of("file", path)
        if origin is None:
            for key in self._origins.keys("file"):
                if isinstance(key, str) and os.path.realpath(key) == path:
                    return self._origins.of("file", key)
        return origin


def _open() -> Iterator[tuple[int, os.stat_result]]:
    directory = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    for name in os.listdir(directory):
        number = int(name)
        if number > 2:  # what the standard streams are is for who captures them
            with contextlib.suppress(OSError):  # that of the directory itself is closed by now
                yield number, os.fstat(number)


def _path(number: int) -> str:
    """Empty where the system tells none, or there is none."""
    try:
        found = os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        return ""
    return "" if found.startswith("pipe:") else found


def _addresses(number: int) -> str:
    """What a socket is bound and connected to."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as sock:
        ours, theirs = _address(sock.getsockname), _address(sock.getpeername)
        if theirs:
            return f"{ours or 'unnamed'} -> {theirs}"
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return f"listening on {ours}"
        return ours or "unnamed"
    return "unnamed"


def _address(ask: Any) -> str:
    try:
        found = ask()
    except OSError:
        return ""
    if isinstance(found, tuple):
        host, port = found[:2]
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    return found.decode(errors="replace") if isinstance(found, bytes) else str(found)
