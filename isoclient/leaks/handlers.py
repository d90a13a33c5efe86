"""Handlers of signals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from isoclient.leaks.found import Found, short
from isoclient.leaks.kind import Subject
from isoclient.leaks.origins import ISOCLIENT, Origin, place
from isoclient.system.modules import signal

__all__ = ["Handlers"]


class Handlers:
    """Those of Python, of each signal."""

    def __init__(self, subject: Subject) -> None:
        self._origins = subject.origins

    def before(self) -> dict[int, Any]:
        return {int(number): signal.getsignal(number) for number in signal.valid_signals()}

    def after(self, before: dict[int, Any]) -> Iterator[Found]:
        for number, now in self.before().items():
            then, origin = before.get(number), self._origins.of("signal", number)
            if now != then and origin is not ISOCLIENT:
                what = f"{_name(number)}: {_described(now)} (was {_described(then)})"
                yield Found("signal", what, origin or _definition(now), number)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _described(handler: Any) -> str:
    names = {signal.SIG_DFL: "the default", signal.SIG_IGN: "ignored", None: "not Python's"}
    try:
        return names[handler]
    except (KeyError, TypeError):
        return str(getattr(handler, "__qualname__", short(handler)))


def _definition(handler: Any) -> Origin | None:
    code = getattr(handler, "__code__", None)
    return None if code is None else place(code)
