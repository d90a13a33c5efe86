"""What is left of asyncio: its policy, and what has been dropped on the way."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from isoclient.compat.python_asyncio import policy
from isoclient.leaks.found import Found, short
from isoclient.leaks.kind import Subject
from isoclient.leaks.origins import ISOCLIENT

__all__ = ["Faults", "Policy"]


class Policy:
    """That of event loops."""

    def __init__(self, subject: Subject) -> None:
        self._origins = subject.origins

    def before(self) -> Any:
        return policy() if "asyncio" in sys.modules else None

    def after(self, before: Any) -> Iterator[Found]:
        now, origin = self.before(), self._origins.of("asyncio", "policy")
        if now is not before and origin is not None and origin is not ISOCLIENT:
            yield Found("asyncio", f"the policy {short(now)}", origin, "policy")


class Faults:
    """Coroutines that nobody has awaited, and exceptions of tasks that nobody has retrieved."""

    def __init__(self, subject: Subject) -> None:
        self._faults = subject.faults

    def before(self) -> int:
        return len(self._faults)

    def after(self, before: int) -> Iterator[Found]:
        yield from self._faults[before:]
