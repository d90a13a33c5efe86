"""What the test run wants of every app."""

from __future__ import annotations

from typing import Final

__all__ = ["Run", "run"]


class Run:
    """What the pytest plugin sets for all apps of this process.

    Attributes:
        locals: whether tracebacks carry the text of local variables.
        epoch: to be changed whenever everything should be looked at anew, such as at the beginning of a test.
    """

    def __init__(self) -> None:
        self.locals = False
        self.epoch = 0


run: Final = Run()
"""One for the process, for there is one run in it; whoever makes a client, wherever that is, is a part of that."""
