"""Files that the app's process writes and this one reads: without a name, and in memory where the platform can."""

from __future__ import annotations

import contextlib
from typing import Any, Final

from isoclient.system.bounded_files import KEPT, MOST, punch
from isoclient.system.descriptors import Belongings, identity, is_still
from isoclient.system.modules import os, tempfile

__all__ = ["SharedFile"]

_WASTE: Final = 4 * 2**20  # bytes that have been read may stay in memory
_PIECE: Final = 256 * 1024

_fcntl: Any
try:
    from isoclient.system.modules import fcntl as _fcntl
except ImportError:  # pragma: no cover  # Windows
    _fcntl = None


class SharedFile:
    """A file that many append to, and how far it has been read here.

    Whoever writes, writes at its end, however many they are: the threads of the app, its child processes, and who opens
    ``/dev/stdout`` anew to append. Who opens that anew to write (``> /dev/stderr``) truncates it, as it would the file
    of a shell's redirection: what had not been read by then is lost, and it is read from its beginning again.

    Args:
        name: for those who look into ``/proc``.
        belongings: what is to own the descriptor.

    Attributes:
        descriptor: its descriptor.
        position: how much of it has been read, in bytes.
        mark: what is there right before that, at most a byte, unless the file has been truncated.
        left_out: how many bytes have been given back unread, since somebody has taken notice and set it to 0.
    """

    def __init__(self, name: str, belongings: Belongings) -> None:
        self._belongings = belongings  # which closes what it owns with whoever has it last
        self.descriptor = _make_file(name, belongings)
        self.position = 0
        self.left_out = 0
        self._file = identity(os.fstat(self.descriptor))
        self._given_back = 0
        self.mark = b""

    @property
    def size(self) -> int:
        """How much there is by now, in bytes."""
        try:
            status = os.fstat(self.descriptor)
        except OSError:  # closed
            return self.position
        return status.st_size if identity(status) == self._file else self.position

    def read(self, end: int) -> bytes:
        """The next bytes, up to this place in the file; none if there are none, or the file is closed."""
        if not is_still(self.descriptor, self._file):  # it has been closed, maybe by the test
            return b""
        if self._at(self.position - len(self.mark), len(self.mark)) != self.mark:
            self.position = self._given_back = 0  # it has been truncated, and is written anew
            self.mark = b""
        if self.size - self.position > KEPT:  # else nobody has given back anything of it
            self._skip_hole()
        piece = self._at(self.position, min(_PIECE, end - self.position)) if end > self.position else b""
        if self.size - self.position > KEPT and self._skip_hole():
            return self.read(end)  # it has been given back meanwhile
        if piece:
            self._go_to(self.position + len(piece), piece[-1:])
        return piece

    def _go_to(self, position: int, last: bytes) -> None:
        """Read on from there, and leave a mark: the byte before it becomes a zero, which a text does not have.

        So it shows if the file has been truncated, whatever its size has become since.
        """
        self.position = position
        self.mark = b"\0" if punch(self.descriptor, self._file, position - 1, position) else last

    def _at(self, place: int, size: int) -> bytes:
        try:
            return os.pread(self.descriptor, size, place)
        except OSError:  # closed
            return b""

    def _skip_hole(self) -> bool:
        """Go on behind the hole that is here, if one is; return whether there was one."""
        data = self.position
        belongings = Belongings()
        with contextlib.suppress(OSError):  # it has been closed
            # To look for a hole would move the offset of whatever has its number later.
            ours = belongings.make(os.dup, self.descriptor)
            if is_still(ours, self._file):
                data = os.lseek(ours, self.position, os.SEEK_DATA)
        belongings.close()
        skipped = data > self.position
        self.skip_to(data)
        return skipped

    def skip_to(self, place: int) -> None:
        """Leave out what comes before this place."""
        if place > self.position:
            self.left_out += place - self.position
            self._go_to(place, self._at(place - 1, 1))

    def keep_newest(self) -> None:
        """Called by who waits, now and then: give back the oldest of what has not been read, if it is too much."""
        size = self.size
        if size - self.position > MOST:
            self.skip_to(size - KEPT)
            self._give_back()

    def give_back(self) -> None:
        """Give back the memory of what has been read, now and then."""
        if self.position - self._given_back > _WASTE:
            self._give_back()

    def _give_back(self) -> None:
        punch(self.descriptor, self._file, self._given_back, self.position)
        self._given_back = self.position

    def unread(self, size: int) -> bytes:
        """The end of what has not been read, at most so many bytes."""
        return self._at(max(self.position, self.size - size), size)

    def since(self, start: int) -> bytes:
        """What has been written from this place on."""
        return self._at(start, max(0, self.size - start))


def _make_file(name: str, belongings: Belongings) -> int:
    """A new file without a name in any directory, to be appended to; return its descriptor."""
    if hasattr(os, "memfd_create"):
        descriptor = belongings.make(os.memfd_create, name, os.MFD_CLOEXEC)
    else:  # pragma: no cover  # not Linux
        made, path = tempfile.mkstemp(prefix=name)
        descriptor = belongings.make(int, made)
        os.unlink(path)
    if _fcntl is not None:
        # All that share the descriptor share this flag. Without it, each write would take its place in the file from
        # an offset that others may be about to use too.
        _fcntl.fcntl(descriptor, _fcntl.F_SETFL, _fcntl.fcntl(descriptor, _fcntl.F_GETFL) | os.O_APPEND)
    return descriptor
