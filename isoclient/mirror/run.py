"""What the test run wants of every app."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["Run", "run"]


class Run:
    """What the pytest plugin sets for all apps of this process.

    Attributes:
        locals: whether tracebacks carry the text of local variables.
        fixtures: what the fixtures of the present test have provided for it alone, by their names.
        given: all that the present test has been given, by name.
        epoch: to be changed whenever everything should be looked at anew, such as at the beginning of a test.
    """

    def __init__(self) -> None:
        self.locals = False
        self.epoch = 0
        self.fixtures: Mapping[str, object] = {}
        self.given: Mapping[str, object] = {}


run: Final = Run()
"""One for the process, for there is one run in it; whoever makes a client, wherever that is, is a part of that."""
