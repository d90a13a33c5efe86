"""What a :class:`~isoclient.TestClient` does where its user does not say: one flag of pytest may change it for a run.

It imports nothing, so that the pytest plugin can set it in a run that makes no client. For the same reason the names of
the lifetimes are here.
"""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

__all__ = ["ALL", "LIFETIMES", "Default", "Isolated", "isolated", "leaks", "said", "start_method", "timeout"]

_Lifetime = Literal["client", "test", "request"]

LIFETIMES: Final[tuple[str, ...]] = get_args(_Lifetime)
"""How long an isolated app may live; what each is, :mod:`isoclient.client.lifetimes` knows."""

Isolated = bool | _Lifetime
"""What a client may be given as ``isolated``; True is the client's lifetime."""


class Default:
    """The value of a parameter that the user has not given. It looks like what is documented.

    Args:
        documented: the value, where nothing else has been set for the whole run.

    Attributes:
        value: the value now.

    Example:
        >>> default = Default(False)
        >>> default.value = True
        >>> default, said(default), said(False)
        (False, True, False)
    """

    __slots__ = ("_documented", "value")

    def __init__(self, documented: Any) -> None:
        self._documented = self.value = documented

    def __repr__(self) -> str:
        return repr(self._documented)


isolated: Final[Any] = Default(False)
start_method: Final[Any] = Default(None)
timeout: Final[Any] = Default(60.0)
leaks: Final[Any] = Default(False)

ALL: Final[dict[str, Default]] = {
    "isolated": isolated,
    "start_method": start_method,
    "timeout": timeout,
    "leaks": leaks,
}


def said(value: Any) -> Any:
    """What the user has said, or what holds where nothing was said."""
    return value.value if isinstance(value, Default) else value
