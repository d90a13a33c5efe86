"""What an exception is made of, as the interpreter has it: what its class makes of that may raise, lie or recurse."""

from __future__ import annotations

from isoclient.transit.state import chain_of

__all__ = ["chain_of", "errno_of", "is_a", "members_of"]


def is_a(error: BaseException, *classes: type[BaseException]) -> bool:
    """Whether it is an instance. ``isinstance`` asks its ``__class__``, too, where its type is none of them.

    Example:
        >>> is_a(KeyError(), ValueError, LookupError)
        True
    """
    return issubclass(type(error), classes)


def members_of(error: BaseException) -> tuple[BaseException, ...]:
    """Those of a group; none if it is no group.

    Example:
        >>> members_of(ExceptionGroup("one", [KeyError("of it")]))
        (KeyError('of it'),)
    """
    members: tuple[BaseException, ...] = ()
    if is_a(error, BaseExceptionGroup):
        members = vars(BaseExceptionGroup)["exceptions"].__get__(error)
    return members


def errno_of(error: BaseException) -> object:
    """That of an OSError; None if it has none.

    Example:
        >>> errno_of(FileNotFoundError(2, "no such file"))
        2
    """
    return vars(OSError)["errno"].__get__(error) if is_a(error, OSError) else None
