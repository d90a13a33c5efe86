"""unittest.mock: who is told of new mocks and of what is set on them, how a call is recorded, what a mock is made of.

Each call of a mock sets its ``call_args``, and each await its ``await_args``: so whoever is told of all that is set
knows the calls, too, and no frame of ours comes between a mock and its ``side_effect``.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import unittest.mock
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, Final, NamedTuple, TypeAlias

from isoclient.compat.self_tests import self_test

__all__ = [
    "AWAITED",
    "CALLED",
    "RECORDED",
    "Ingredients",
    "add_attributes",
    "advance",
    "autospec_of",
    "calls_of",
    "can_be_shared",
    "children_of",
    "configured",
    "existing",
    "extra_attributes",
    "fill",
    "free_lock",
    "function_of",
    "has_attributes_of_others",
    "ingredients",
    "is_awaited",
    "is_filled",
    "is_mock",
    "is_sentinel",
    "is_without",
    "iterates",
    "link",
    "link_to",
    "make",
    "name_of",
    "name_of_attribute",
    "parent_of",
    "record_await",
    "record_call",
    "sentinel",
    "watch",
]

_mock: Any = unittest.mock
_Mock: Any = _mock.NonCallableMock
sentinel: Any = _mock.sentinel
_SENTINEL: Final = type(_mock.sentinel.DEFAULT)

CALLED: Final = "call_args"
AWAITED: Final = "await_args"
_OF_CALLS: Final = ("called", "call_count", CALLED, "call_args_list", "mock_calls", "method_calls")
_OF_AWAITS: Final = ("await_count", AWAITED, "await_args_list")
_RECORDS: Final = frozenset((*_OF_CALLS, *_OF_AWAITS))
RECORDED: Final = (CALLED, AWAITED)
_UNTOLD: Final = frozenset(("_mock_parent", "_mock_new_parent", "_mock_name", "_mock_new_name")) | (
    _RECORDS - {CALLED, AWAITED}
)
_UNSENT: Final = (
    frozenset(f"_mock_{name}" for name in _RECORDS)
    | {"method_calls", "_mock_parent", "_mock_new_parent", "_mock_delegate"}
    # What the constructor makes anew, and what no copy can be made of.
    | {"_is_coroutine", "__code__", "__name__", "__defaults__", "__kwdefaults__", "__annotations__"}
    | {"_mock_event", "_mock_calls_events", "_mock_calls_events_lock"}
)
_OF_SPIES: Final = "spy_"
_OF_EACH_CLASS: Final = frozenset(
    ("__doc__", "__module__", "__dict__", "__weakref__", "__firstlineno__", "__static_attributes__")
)


@self_test("Recording the app's calls of a test's mocks", project="Python")
def can_be_shared() -> None:
    root = _mock.MagicMock()
    child = root.child
    assert parent_of(child) is root
    assert name_of(child) == "child"
    assert name_of(root()) == "()"
    record_call(child, (1,), {"two": 2})
    assert root.mock_calls == [_mock.call(), _mock.call.child(1, two=2)]
    assert root.method_calls == [_mock.call.child(1, two=2)]
    assert calls_of(child) == [((1,), {"two": 2})]
    awaited = _mock.AsyncMock()
    record_await(awaited, (1,), {})
    awaited.assert_awaited_once_with(1)
    assert children_of(root)["child"] is child
    function = _mock.create_autospec(is_mock)
    assert autospec_of(function) is function.mock
    assert all(map(callable, (_mock._setup_func, _mock._setup_async_mock, _mock.MagicMixin._mock_set_magics)))


# -- what there is


def is_mock(obj: object) -> bool:
    """Whether this is a mock of any kind; its class may say otherwise."""
    return issubclass(type(obj), _Mock)


def is_sentinel(obj: object) -> bool:
    """Whether this is ``mock.sentinel.something``."""
    return type(obj) is _SENTINEL


def existing() -> list[Any]:
    """All mocks that there are. Each has a class of its own, so it is known at once that there are none."""
    classes = {id(cls) for cls in _subclasses(_Mock) if _is_of_one_mock(cls)}
    return [obj for obj in gc.get_objects() if id(type(obj)) in classes] if classes else []


def _subclasses(cls: type) -> Iterator[type]:
    sub: type
    for sub in type.__subclasses__(cls):
        yield sub
        yield from _subclasses(sub)


def _is_of_one_mock(cls: type) -> bool:
    return vars(cls).get("__module__") == _mock.__name__ and getattr(_mock, cls.__name__, None) is not cls


def parent_of(mock: Any) -> Any:
    """Which mock records the calls of this one, too; or None."""
    return mock.__dict__.get("_mock_new_parent")


def name_of(mock: Any) -> str:
    """By which name its parent has it: that of an attribute, or ``"()"`` for what that returns; empty without one."""
    return mock.__dict__.get("_mock_new_name") or ""


def children_of(mock: Any) -> dict[str, Any]:
    """Its attributes that are mocks, as far as they have been made."""
    return {name: child for name, child in mock.__dict__.get("_mock_children", {}).items() if is_mock(child)}


def autospec_of(obj: object) -> Any:
    """The mock behind a function that ``create_autospec`` has made; None for anything else."""
    if type(obj) is not FunctionType:
        return None
    found = obj.__dict__.get("mock")
    return found if is_mock(found) and found.__dict__.get("_mock_delegate") is obj else None


def function_of(mock: Any) -> Any:
    """The function that such a mock is behind, or None."""
    return mock.__dict__.get("_mock_delegate")


def free_lock() -> None:
    """In a fork: if the lock of all mocks is held, then by a thread that is not here."""
    # Not a new one: whatever is set on the class touches those of all mocks, and a fork would have to copy them.
    lock = getattr(_Mock, "_lock", None)
    if lock is not None and not repr(lock).startswith("<unlocked ") and hasattr(lock, "_at_fork_reinit"):
        lock._at_fork_reinit()


# -- who is told


def watch(
    made: Callable[[Any, bool], object],
    changed: Callable[[Any, str, Any], object],
    put_behind: Callable[[Any], object],
    read: Callable[[], object],
) -> None:
    """From now on, have functions called. Each call of a mock sets its ``call_args``, each await its ``await_args``.

    Args:
        made: with each new mock, and whether it was made as a part of another.
        changed: with a mock, and the name and value of what has been set on it; None for what was deleted. Of what it
            records, this tells ``call_args`` and ``await_args`` alone.
        put_behind: with a mock that is now behind a function.
        read: before anybody reads what a mock has recorded.
    """
    new, assign, delete = _Mock.__new__, _Mock.__setattr__, _Mock.__delattr__

    @functools.wraps(new)
    def __new__(cls: type, /, *args: Any, **options: Any) -> Any:
        mock = new(cls, *args, **options)
        made(mock, options.get("_new_parent") is not None or options.get("parent") is not None)
        return mock

    @functools.wraps(assign)
    def __setattr__(self: Any, name: str, value: Any) -> None:
        # What a new mock begins with is no change.
        is_change = value is not None or name != "_mock_side_effect" or name in self.__dict__
        assign(self, name, value)
        if name == "_mock_delegate":
            put_behind(self)
        elif is_change and name not in _UNTOLD:
            changed(self, name, value)

    @functools.wraps(delete)
    def __delattr__(self: Any, name: str) -> None:
        delete(self, name)
        changed(self, name, None)

    _Mock.__new__, _Mock.__setattr__, _Mock.__delattr__ = __new__, __setattr__, __delattr__
    for cls, names in ((_Mock, _OF_CALLS), (_mock.AsyncMockMixin, _OF_AWAITS)):
        for name in names:
            if isinstance(found := vars(cls).get(name), property):
                setattr(cls, name, _with_look(found, read))


def _with_look(record: property, look: Callable[[], object]) -> property:
    get: Any = record.fget

    def read(self: Any) -> Any:
        look()
        return get(self)

    return property(read, record.fset, record.fdel, record.__doc__)


def name_of_attribute(name: str) -> str:
    """The name that users know an attribute by: two of them are kept under others."""
    return name.removeprefix("_mock_") if name in ("_mock_return_value", "_mock_side_effect") else name


# -- calls


def record_call(mock: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Note a call, as if this mock had been called: in its parents, too, but without any of its effects."""
    mock._increment_mock_call(*args, **kwargs)


def record_await(mock: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """The same for the await of a call."""
    noted = _mock._Call((args, kwargs), two=True)
    mock.await_count += 1
    mock.await_args = noted
    mock.await_args_list.append(noted)


def calls_of(mock: Any) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """The arguments of each call that this mock has recorded."""
    calls = getattr(mock, "call_args_list", None)  # which one that can't be called has not
    return [(call.args, call.kwargs) for call in calls] if isinstance(calls, list) else []


def is_awaited(mock: Any) -> bool:
    """Whether it takes effect when what it returns is awaited."""
    return issubclass(type(mock), _mock.AsyncMockMixin)


def iterates(mock: Any) -> bool:
    """Whether its ``side_effect`` is an iterator, of which each call takes one item."""
    effect = mock.side_effect
    return effect is not None and not callable(effect) and hasattr(type(effect), "__next__")


def advance(mock: Any) -> None:
    """Take that item."""
    if iterates(mock):
        with contextlib.suppress(Exception):  # its end, or whatever a generator raises, which has been raised already
            next(mock.side_effect)


# -- configuration


def configured(mock: Any, name: str) -> Any:
    """What this attribute of a mock is now; nothing is made for it.

    Raises:
        LookupError: it has none, or none that was set.
    """
    if name in ("return_value", "_mock_return_value"):
        function = function_of(mock)
        return mock.__dict__["_mock_return_value"] if function is None else function.return_value
    return mock.side_effect if name in ("side_effect", "_mock_side_effect") else mock.__dict__[name]


def is_without(mock: Any, name: str) -> bool:
    """Whether this attribute has been deleted."""
    return mock.__dict__.get("_mock_children", {}).get(name) is _mock._deleted


def has_attributes_of_others(mock: Any) -> bool:
    """Whether others may put something beside its own attributes, and tell nobody: as pytest-mock does for a spy."""
    return function_of(mock) is not None or any(name.startswith(_OF_SPIES) for name in mock.__dict__)


def extra_attributes(mock: Any) -> dict[str, Any]:
    """What they have put there: ``spy_return``, for one."""
    function = function_of(mock)
    if function is not None:
        return {name: value for name, value in vars(function).items() if name not in _of_functions()}
    return {name: value for name, value in mock.__dict__.items() if name.startswith(_OF_SPIES)}


def add_attributes(mock: Any, attributes: dict[str, Any]) -> None:
    """Put the same there."""
    vars(function_of(mock) or mock).update(attributes)


@functools.cache
def _of_functions() -> frozenset[str]:
    """The attributes of each function that ``create_autospec`` makes."""

    async def function() -> None: ...

    return frozenset(vars(_mock.create_autospec(function))) | {"__wrapped__"}


# -- what a mock is made of


Link: TypeAlias = tuple[str, bool, bool]
"""The name of a part, and whether the mock is its parent for ``method_calls``, and for ``mock_calls``."""


class Ingredients(NamedTuple):
    """All that another one is made of.

    Attributes:
        name: of its class.
        bases: likewise.
        function: of one that ``create_autospec`` has put behind a function, the name of that, its signature, and
            whether it is a coroutine function; else None.
        attributes: of the mock itself, those of the function included, under ``None``.
        of_class: those of its class, which it has for itself.
        links: how it is tied to its parts.
    """

    name: str
    bases: tuple[type, ...]
    function: tuple[str, Any, bool] | None
    attributes: dict[str | None, Any]
    of_class: dict[str, Any]
    links: list[Link]


def ingredients(mock: Any) -> Ingredients:
    """What this mock is made of, without what it has recorded."""
    cls, own = type(mock), mock.__dict__
    attributes: dict[str | None, Any] = {name: value for name, value in own.items() if name not in _UNSENT}
    of_class = {
        name: value
        for name, value in vars(cls).items()
        if name not in _OF_EACH_CLASS and type(value) is not _mock.MagicProxy
    }
    of_class.pop("_mock_check_sig", None)  # which is made of __signature__
    parts: dict[str, Any] = {**children_of(mock), "()": own.get("_mock_return_value")}
    function, made_of = function_of(mock), None
    if function is not None:
        made_of = function.__name__, function.__signature__, bool(function.__code__.co_flags & 0x80)
        attributes[None] = {"return_value": function.return_value, "side_effect": function.side_effect}
        attributes[None] |= extra_attributes(mock)
        parts["()"] = function.return_value
    links = [link_to(mock, name, part) for name, part in parts.items() if is_mock(part)]
    return Ingredients(cls.__name__, cls.__bases__, made_of, attributes, of_class, links)


def make(name: str, bases: tuple[type, ...], function: tuple[str, Any, bool] | None) -> Any:
    """A mock that has nothing yet; see :class:`Ingredients`."""
    mock: Any = object.__new__(type(name, bases, {"__module__": _mock.__name__, "__doc__": bases[-1].__doc__}))
    if function is not None:
        mock.__dict__["_mock_delegate"] = _bare_function(mock, *function)
    return mock


def _bare_function(mock: Any, name: str, signature: Any, is_coroutine: bool) -> Any:
    def check(*args: Any, **kwargs: Any) -> None:
        signature.bind(*args, **kwargs)

    namespace = {"_checksig_": check, "mock": mock}
    name = name if name.isidentifier() else "funcopy"
    begin, wait = ("async def", "await ") if is_coroutine else ("def", "")
    text = f"{begin} {name}(*args, **kwargs):\n    _checksig_(*args, **kwargs)\n    return {wait}mock(*args, **kwargs)"
    exec(text, namespace)
    function: Any = namespace[name]
    function.__signature__ = signature
    return function


def is_filled(mock: Any) -> bool:
    """Whether it has what :func:`fill` gives it."""
    return "_mock_children" in mock.__dict__


def fill(mock: Any, attributes: dict[str | None, Any], of_class: dict[str, Any], links: list[Link]) -> None:
    """Give a mock that :func:`make` made what else it is made of."""
    own = mock.__dict__
    function, of_function = own.pop("_mock_delegate", None), attributes.pop(None, None)
    own.update(_beginnings(type(mock)) | own | attributes)
    cls: Any = type(mock)
    for name, value in of_class.items():
        setattr(cls, name, value)
    if "__signature__" in of_class:
        signature = of_class["__signature__"]

        def check(self: Any, /, *args: Any, **kwargs: Any) -> None:
            signature.bind(*args, **kwargs)

        cls._mock_check_sig = check
    if issubclass(cls, _mock.MagicMixin):
        mock._mock_set_magics()
    if function is not None:
        _mock._setup_func(function, mock, function.__signature__)
        if is_awaited(mock):
            _mock._setup_async_mock(function)
        vars(function).update(of_function)
    for link_of in links:
        link(mock, *link_of)


def link_to(mock: Any, name: str, part: Any) -> Link:
    """How a mock is tied to what it has by this name."""
    if not is_mock(part):
        return name, False, False
    return name, part.__dict__["_mock_parent"] is mock, part.__dict__["_mock_new_parent"] is mock


def link(mock: Any, name: str, is_parent: bool, is_new_parent: bool) -> None:
    """Tie it likewise."""
    if not (is_parent or is_new_parent):
        return
    children = mock.__dict__["_mock_children"]
    is_returned = name in ("()", "return_value")
    part = configured(mock, "return_value") if is_returned else mock.__dict__.get(name) or children.get(name)
    if is_mock(part):
        if not is_returned:
            children[name] = part
        part.__dict__.update({"_mock_parent": mock} if is_parent else {})
        part.__dict__.update({"_mock_new_parent": mock} if is_new_parent else {})


def _beginnings(cls: Any) -> dict[str, Any]:
    """The attributes that a new mock of that class has."""
    known = (base for base in cls.__mro__ if vars(_mock).get(base.__name__) is base)
    return dict(vars(_mock.AsyncMock() if issubclass(cls, _mock.AsyncMockMixin) else next(known)()))
