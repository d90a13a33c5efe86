"""A leak, as a user has it and as a process finds it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, NamedTuple

from isoclient.leaks.origins import Origin

__all__ = ["KINDS_OF_LEAKS", "Found", "Leak", "deed", "short"]

_VERBS: Final = {
    "thread": "starts thread",
    "task": "creates task",
    "file": "opens",
    "socket": "opens socket",
    "process": "starts process",
    "environ": "changes the environment:",
    "cwd": "changes the current directory:",
    "umask": "changes the umask:",
    "locale": "changes the locale:",
    "sys.path": "changes sys.path:",
    "sys.modules": "changes sys.modules:",
    "signal": "sets the handler of",
    "global": "changes",
    "logging": "changes logging:",
    "warnings": "adds a filter of warnings:",
    "random": "seeds random:",
    "decimal": "changes the decimal context:",
    "asyncio": "leaves in asyncio:",
    "temporary file": "makes",
}
KINDS_OF_LEAKS: Final = tuple(_VERBS)
"""All that a leak can be."""
_LONGEST: Final = 80


@dataclass(frozen=True, slots=True)
class Leak:
    """Something that an app has left behind in its process.

    Attributes:
        kind: ``"thread"``, ``"task"``, ``"file"``, ``"socket"``, ``"process"``, ``"environ"``, ``"cwd"``, ``"umask"``,
            ``"locale"``, ``"sys.path"``, ``"sys.modules"``, ``"signal"``, ``"global"``, ``"logging"``, ``"warnings"``,
            ``"random"``, ``"decimal"``, ``"asyncio"`` or ``"temporary file"``.
        what: which one, in words.
        where: the file and line that it comes from, such as ``"/srv/shop/mail.py:41"``; empty where that is not known.

    Example:
        >>> print(Leak("thread", "'mailer', runs shop.mail.deliver", "/srv/shop/mail.py:41"))
        /srv/shop/mail.py:41 starts thread 'mailer', runs shop.mail.deliver
    """

    __module__ = "isoclient"  # where it is to be imported from, and what a failure shows

    kind: str
    what: str
    where: str

    def __str__(self) -> str:
        return f"{self.where or 'something'} {deed(self)}"


def deed(leak: Leak) -> str:
    """What the line does that it comes from.

    Example:
        >>> deed(Leak("cwd", "'/srv', now '/tmp'", ""))
        "changes the current directory: '/srv', now '/tmp'"
    """
    return f"{_VERBS[leak.kind]} {leak.what}"


class Found(NamedTuple):
    """The same within the process.

    Attributes:
        kind: see :class:`Leak`.
        what: likewise.
        origin: where it comes from, as far as that is known.
        key: what it is known by when it is found again.
    """

    kind: str
    what: str
    origin: Origin | None
    key: Hashable


def short(thing: object) -> str:
    """What it is, in a few words of one line. Never raises.

    Example:
        >>> short([1, 2]), len(short("x" * 1000))
        ('[1, 2]', 80)
    """
    try:
        text = " ".join(repr(thing).split())
    except Exception:
        text = object.__repr__(thing)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
