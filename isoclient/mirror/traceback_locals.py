"""The local variables in tracebacks: read in the app's process, as their text, where the test shows them."""

from __future__ import annotations

from isoclient.mirror.mirrored import Mirrored, Reporter
from isoclient.mirror.run import run

__all__ = ["TracebackLocals"]


class TracebackLocals(Mirrored):
    """Whether they cross. To read them takes time, and runs ``__repr__`` methods of the app."""

    # -- in the test's process

    def first(self, *, fresh: bool) -> bool:
        """As the run wants it now."""
        self._told = run.locals
        return self._told

    def notice(self) -> bool | None:
        """What the run wants by now, if that is something else."""
        if run.locals is self._told:
            return None
        self._told = run.locals
        return self._told

    # -- in the app's process

    def begin(self, first: bool, reporter: Reporter) -> None:
        """All exceptions that cross go by this codec."""
        self._codec = reporter.codec
        self.apply(first)

    def apply(self, difference: bool) -> None:
        """From now on they are read, or are not."""
        self._codec.with_locals = difference
