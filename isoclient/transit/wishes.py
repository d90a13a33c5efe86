"""What the test wants of the link in the app's process, beside what it is for."""

from __future__ import annotations

from typing import Final

__all__ = ["wishes"]


class _Wishes:
    """What it wants.

    Attributes:
        locals: whether tracebacks are to carry the text of local variables.
    """

    __slots__ = ("locals",)

    def __init__(self) -> None:
        self.locals = False


wishes: Final = _Wishes()
