"""What arrives in place of what cannot."""

from __future__ import annotations

from types import MemberDescriptorType
from typing import Any

from isoclient.transit.bounds import text_of
from isoclient.transit.classes import ClassRef, qualified_name

__all__ = ["REPR_LIMIT", "ExceptionStandIn", "StandIn", "stand_in_class"]

REPR_LIMIT = 2_000
_ATTRIBUTE_LIMIT = 100
_SIMPLE = (type(None), bool, int, float, str, bytes)


class StandIn:
    """An object in place of one that cannot leave the app's process.

    It has the original's ``repr()`` (up to 2,000 characters) and those of its attributes that are None, bool, int,
    float, str or bytes. Properties are not among them: reading one may do anything.

    Example:
        >>> StandIn.of(open)
        <built-in function open>
    """

    def __init__(self, text: str, attributes: dict[str, Any]) -> None:
        self.__dict__.update(attributes)
        self.__dict__[_TEXT] = text

    @classmethod
    def of(cls, obj: object) -> StandIn:
        """A stand-in for ``obj``. Never raises."""
        return cls(text_of(obj, repr, REPR_LIMIT), _simple_attributes(obj))

    @classmethod
    def named(cls, kind: type) -> StandIn:
        """A stand-in for an object of which no more than its class is known."""
        return cls(f"<{qualified_name(kind)} object>", {})

    def parts(self) -> tuple[str, dict[str, Any]]:
        """Its text and its attributes, of which another can be made."""
        return repr(self), {name: value for name, value in self.__dict__.items() if name != _TEXT}

    def __repr__(self) -> str:
        return str(self.__dict__.get(_TEXT, "<StandIn>"))


_TEXT = "_StandIn__text"


def _simple_attributes(obj: object) -> dict[str, Any]:
    try:
        found = {name: value for name, value in _attributes(obj).items() if _is_plain(name) and _is_simple(value)}
    except BaseException:  # even a __dict__ may be a property
        return {}
    return dict(list(found.items())[:_ATTRIBUTE_LIMIT])


def _attributes(obj: object) -> dict[Any, Any]:
    slots = {
        name: slot.__get__(obj)
        for cls in type(obj).__mro__
        for name, slot in vars(cls).items()
        if type(slot) is MemberDescriptorType and hasattr(obj, name)
    }
    return slots | dict(getattr(obj, "__dict__", {}))


def _is_plain(name: object) -> bool:
    # A special name in an object's own attributes could change what pickle makes of the stand-in.
    return type(name) is str and not name.startswith("__")


def _is_simple(value: object) -> bool:
    return type(value) in _SIMPLE and (not isinstance(value, (str, bytes)) or len(value) <= REPR_LIMIT)


class ExceptionStandIn:
    """Marks an exception in place of one that could not be rebuilt in the test's process.

    The stand-in is an instance of the nearest class of the original that could be, so ``except ValueError`` catches
    the stand-in of an unknown subclass of ValueError. Its class bears the original's name, its text and its traceback
    are the original's, its attributes are as far as they could be sent, and a note (PEP 678) says what is missing.

    Attributes:
        stand_in_for: the module and qualified name of the original's class.
        stand_in_reason: why it is not the original's class.

    Example:
        >>> from isoclient.transit import pack_exception, unpack_exception
        >>> class Unknown(ValueError): ...
        >>> packed = pack_exception(Unknown("what it said"))
        >>> del Unknown
        >>> import gc; _ = gc.collect()  # as if in a process that never had the class
        >>> error = unpack_exception(packed)
        >>> isinstance(error, ExceptionStandIn), isinstance(error, ValueError), type(error).__name__, str(error)
        (True, True, 'Unknown', 'what it said')
    """

    stand_in_for: str
    stand_in_reason: str


def stand_in_class(base: type[BaseException], ref: ClassRef, text: str, reason: str) -> type[BaseException]:
    """A class for one stand-in: looks like the class ``ref`` means, is a ``base``, and says ``text``."""
    namespace = {
        "__module__": ref.module,
        "__qualname__": ref.qualname,
        "__doc__": None,
        "__str__": lambda self: text,
        "stand_in_for": str(ref),
        "stand_in_reason": reason,
    }
    return type(ref.qualname.rpartition(".")[2], (ExceptionStandIn, base), namespace)
