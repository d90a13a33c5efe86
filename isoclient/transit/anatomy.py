"""What an exception is made of, read and written past everything that its class may have put in front.

No ``__init__``, ``__new__``, ``__reduce__``, ``__setattr__`` or property of the app runs: an exception is an instance
of a builtin class with a few fields in C, a ``__dict__`` and perhaps slots, and these can be copied.
"""

from __future__ import annotations

import contextlib
from types import BuiltinMethodType, GetSetDescriptorType, MemberDescriptorType, TracebackType
from typing import Any

__all__ = [
    "allocate",
    "chain_of",
    "errno_of",
    "has_state_of_its_own",
    "is_a",
    "members_of",
    "native_base",
    "read_state",
    "traceback_of",
    "write_chain",
    "write_state",
]

State = dict[str, Any]

_UNSET = object()
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: not one of the interpreter's own static classes
# These are written by name: args, the chain and the traceback of every exception, what a group is made of.
_NOT_FIELDS = (object, BaseException, BaseExceptionGroup)


def _raw(name: str) -> Any:
    return vars(BaseException)[name]


_DICT, _ARGS, _TRACEBACK = _raw("__dict__"), _raw("args"), _raw("__traceback__")
_CAUSE, _CONTEXT, _SUPPRESS = _raw("__cause__"), _raw("__context__"), _raw("__suppress_context__")


def native_base(cls: type) -> Any:
    """The builtin class whose C structure an instance of ``cls`` is.

    Example:
        >>> import json
        >>> native_base(json.JSONDecodeError)
        <class 'ValueError'>
    """
    while cls.__flags__ & _HEAP_TYPE and cls.__base__ is not None:
        cls = cls.__base__
    return cls


def has_state_of_its_own(cls: type) -> bool:
    """Whether an extension module gave ``cls`` a structure that only its own constructor can make."""
    native = native_base(cls)
    layers = cls.__mro__[: cls.__mro__.index(native)]
    constructors = [(layer, vars(layer).get("__new__")) for layer in layers]
    return any(isinstance(new, BuiltinMethodType) and new.__self__ is layer for layer, new in constructors)


def allocate(cls: type, args: tuple[Any, ...], group: tuple[str, list[BaseException]] | None) -> BaseException:
    """An instance of ``cls`` that only the builtin class's constructor has seen.

    Args:
        cls: the class, whose own ``__new__`` and ``__init__`` do not run.
        args: what OSError wants to know at once, as it may parse its arguments in ``__new__``.
        group: the message and members of an exception group, which cannot be changed later.
    """
    native = native_base(cls)
    exc = native.__new__(cls, *(args if group is None else group))
    assert isinstance(exc, BaseException)
    return exc


def read_state(exc: BaseException) -> State:
    """The arguments, the fields (C members and slots) and the ``__dict__`` of ``exc``."""
    fields = {}
    for name, field in _fields(type(exc)).items():
        with contextlib.suppress(AttributeError, TypeError):  # not set
            fields[name] = field.__get__(exc)
    return {"args": _ARGS.__get__(exc), "fields": fields, "attributes": dict(_DICT.__get__(exc))}


def write_state(exc: BaseException, state: State) -> None:
    """Give ``exc``, fresh from :func:`allocate`, the state that :func:`read_state` read."""
    with contextlib.suppress(Exception):  # arguments that were not meant for the builtin class: its fields follow
        native_base(type(exc)).__init__(exc, *state["args"])
    _ARGS.__set__(exc, state["args"])
    _DICT.__get__(exc).update(state["attributes"])
    for name, field in _fields(type(exc)).items():
        if name in state["fields"]:
            with contextlib.suppress(AttributeError, TypeError):  # read-only, or of a type that a stand-in is not
                _write_field(exc, field, state["fields"][name])


def _write_field(exc: BaseException, field: Any, value: Any) -> None:
    try:
        current = field.__get__(exc)
    except (AttributeError, TypeError):
        current = _UNSET
    if value is None and current is not None and current is not _UNSET:
        # In C it was never set, which reads as None but is not: an OSError would show a None.
        field.__delete__(exc)
    elif current is not value:
        field.__set__(exc, value)


def _fields(cls: type) -> dict[str, Any]:
    return {
        name: field
        for layer in reversed(cls.__mro__)
        if layer not in _NOT_FIELDS
        for name, field in vars(layer).items()
        if type(field) is MemberDescriptorType
        or (type(field) is GetSetDescriptorType and not layer.__flags__ & _HEAP_TYPE)
    }


def chain_of(exc: BaseException) -> tuple[BaseException | None, BaseException | None, bool]:
    """``__cause__``, ``__context__`` and ``__suppress_context__``."""
    return _CAUSE.__get__(exc), _CONTEXT.__get__(exc), bool(_SUPPRESS.__get__(exc))


def traceback_of(exc: BaseException) -> TracebackType | None:
    """``__traceback__``."""
    traceback: TracebackType | None = _TRACEBACK.__get__(exc)
    return traceback


def write_chain(exc: BaseException, cause: BaseException | None, context: BaseException | None, suppress: bool) -> None:
    """Set ``__cause__``, ``__context__`` and ``__suppress_context__``."""
    _CAUSE.__set__(exc, cause)  # sets __suppress_context__, too, so that comes after
    _CONTEXT.__set__(exc, context)
    _SUPPRESS.__set__(exc, suppress)


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
