"""What the processes that are forked from a template take over from the one that imported the app."""

from __future__ import annotations

from typing import Final, NoReturn

from isoclient.server import child
from isoclient.server.child import Descriptors
from isoclient.server.setup import Setup
from isoclient.server.side_channel import SideChannel
from isoclient.system.modules import os, pickle
from isoclient.transit import unpack_object

__all__ = ["CURRENT_TEST", "Heir", "Said", "request"]

CURRENT_TEST: Final = "PYTEST_CURRENT_TEST"
"""Other in each test, and set for whoever wants to know of it."""

_MOST: Final = 4 * 2**20  # bytes; of more, the beginning may be gone when it has been read

Said = tuple[bytes, bytes, bytes]
"""What has been printed to stdout and to stderr, and what is in the journal."""


class Heir:
    """Each process says again what importing the app has said, and has its hooks in place.

    Args:
        side: the side channel, whose hooks are in place.
        descriptors: those of the process that imports the app.
        sentinel: its sentinel.
    """

    def __init__(self, side: SideChannel, descriptors: Descriptors, sentinel: int) -> None:
        self._side = side
        self._descriptors = descriptors
        self._sentinel = sentinel
        self._directory = os.getcwd()
        self._has_moved = False
        self._said: Said = b"", b"", b""

    def gather(self) -> bool:
        """The app has been imported: see what that has said. False if it is too much to be said again."""
        self._has_moved = os.getcwd() != self._directory
        self._said = _content(1), _content(2), _content(self._descriptors.journal)
        return max(map(len, self._said)) <= _MOST

    def descriptors(self) -> list[int]:
        """What of that process the template must not keep."""
        return [self._descriptors.journal, self._descriptors.crash, self._sentinel]

    def begin(self, descriptors: list[int], request: bytes) -> NoReturn:
        """Be a new process of the app.

        Args:
            descriptors: the sentinel, the directory, and those of :class:`Descriptors`.
            request: see :func:`request`.
        """
        sentinel, directory, *own = descriptors
        setup, current_test = pickle.loads(request)
        if not self._has_moved:
            os.fchdir(directory)  # it has the same name, but may be another one
        os.close(directory)
        if current_test is not None:
            os.environ[CURRENT_TEST] = current_test
        child.take_over(Descriptors(*own), self._side, self._said, lambda: Setup(**unpack_object(setup, {})), sentinel)


def request(setup: bytes) -> bytes:
    """What a template is to be asked for.

    Args:
        setup: what to run, packed.
    """
    return pickle.dumps((setup, os.environ.get(CURRENT_TEST)))


def _content(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)
