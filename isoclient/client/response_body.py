"""What is under a response in the place of a socket: a body that comes from the app."""

from __future__ import annotations

from collections.abc import Callable
from errno import EINTR
from typing import Final

__all__ = ["READ", "Body"]


class Body:
    """The body of a response as a file that is read as it comes.

    Args:
        next_piece: returns the next piece, or None at the end; it may wait, and raise.
        on_close: called when the body is closed before its end; it may wait, and raise.
        on_drop: called when the body is collected before its end; it must not.
        insists: whether what ``next_piece`` has raised is raised by each further read, too. requests goes on after some
            exceptions, by their class, as if they were those of a socket; here they may be the app's.

    Attributes:
        closed: whether nothing more will come, no failure either: it has been read to its end, or was closed.
        failure: what ``next_piece`` has raised, where the body insists on it.

    Example:
        >>> pieces = iter([b"Hello, ", b"world"])
        >>> body = Body(lambda: next(pieces, None), on_close=int, on_drop=int, insists=True)
        >>> body.read(3), body.read1(), body.read(), body.closed
        (b'Hel', b'lo, ', b'world', True)
    """

    closed: bool = True  # where its making has been interrupted
    failure: BaseException | None = None

    def __init__(
        self,
        next_piece: Callable[[], bytes | None],
        on_close: Callable[[], object],
        on_drop: Callable[[], object],
        *,
        insists: bool,
    ) -> None:
        self._next_piece = next_piece
        self._on_close = on_close
        self._on_drop = on_drop
        self._insists = insists
        self._rest = b""
        self.closed = False

    @classmethod
    def of(cls, content: bytes) -> Body:
        """One that is all there."""
        pieces = iter((content,))
        return cls(lambda: next(pieces, None), _nothing, _nothing, insists=False)

    def read(self, amt: int | None = None) -> bytes:
        """Read ``amt`` bytes, fewer only at the end; all of it without ``amt``."""
        pieces = []
        size = 0
        while (amt is None or size < amt) and (piece := self.read1(None if amt is None else amt - size)):
            pieces.append(piece)
            size += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def read1(self, amt: int | None = None) -> bytes:
        """Read what has come in one piece, at most ``amt`` bytes of it; none only at the end."""
        piece = self._rest or self._pull()
        if amt is None or amt >= len(piece):
            self._rest = b""
            return piece
        self._rest = piece[amt:]
        return piece[:amt]

    def _pull(self) -> bytes:
        piece: bytes | None = b""
        while not self.closed and not piece:
            if self.failure is not None:
                raise _not_of_a_signal(self.failure)
            try:
                piece = self._next_piece()
            except BaseException as error:
                self.failure = error if self._insists else None
                self.closed = not self._insists
                raise
            self.closed = piece is None
        return piece or b""

    def close(self) -> None:
        """Let the app know that nobody reads on."""
        self._rest = b""
        if not self.closed:
            self.closed = True
            if self.failure is None:  # the app's call has ended with it
                self._on_close()

    def __del__(self) -> None:
        if not self.closed and self.failure is None:
            self.closed = True
            self._on_drop()


def _not_of_a_signal(error: BaseException) -> BaseException:
    """The same, told again: what io takes for the interruption by a signal it never tells, but reads on for ever."""
    if isinstance(error, OSError) and error.errno == EINTR:
        error.errno = None
    return error


def _nothing() -> None:
    return None


READ: Final = Body.of(b"")
"""One that has been read already."""
READ.read()
