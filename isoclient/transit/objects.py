"""Objects in transit: functions with their arguments, results, apps for a fresh interpreter.

Unlike an exception, an object arrives whole or not at all: half an argument is of no use to a function.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple, TypeAlias

from isoclient.errors import ObjectNotLoadable, ObjectNotSendable
from isoclient.system.modules import io, pickle, threading
from isoclient.transit.blame import without_machinery
from isoclient.transit.bounds import Allowance
from isoclient.transit.classes import ClassRef, NotHere, is_importable, live_class, look_up, refer_to, resolve
from isoclient.transit.constructors import Refused
from isoclient.transit.places import Place, find_places, foreign_part, is_importable_there, module_of
from isoclient.transit.reduction import reduced, reduced_in_place
from isoclient.transit.text import qualified_name, text_of
from isoclient.transit.unpickling import load

__all__ = ["Names", "pack_object", "pack_result", "unpack_object", "unpack_result"]

_Way: TypeAlias = "tuple[object, _Way | None]"
_Part: TypeAlias = tuple[str, object]

_LIVE, _MODULE, _GLOBALS, _PLACE, _CLASS = "live", "module", "globals", "place", "class"
_PLAIN, _DILL = b"p", b"d"

# dill copies these, but the copy of a lock guards nothing, and a file reopened is another file.
_NOT_COPIED = (type(threading.Lock()), type(threading.RLock()), io.IOBase)
_COPIED = (io.BytesIO, io.StringIO)
_WITHOUT_PARTS = frozenset((str, bytes, int, float, bool, type(None)))
_MOST_SHOWN = 6
_ADVICE = "create it in the function that needs it, or pass what it is made from"
_TRUST = "set client.trust_results = True, which lets results run any code here"
_NOT_PLAIN = f"return plain values instead, or {_TRUST}"
_MOST_BY_NAME = 100  # parts of one object


class Names(NamedTuple):
    """The names by which objects may cross, beside those of classes, functions and modules, which always do.

    Args:
        references: by the id of an object, where the other side has it: it is not copied. Parts that can't be copied
            are added.
        kept: an object, and where the other side has the same one: that gets the state that this one has.
    """

    references: dict[int, Place]
    kept: tuple[object, Place] | None = None


def pack_object(
    obj: object, live: Mapping[str, object], *, same_main: bool = True, by_name: Names | None = None
) -> bytes:
    """Put an object into bytes: by plain pickle if that can, else by dill (lambdas, local functions and classes).

    A function that has to be sent by value (a lambda, a local function) takes its code, defaults and closure along,
    but not the globals of its module: it will see those of the other process. A local class arrives as the very class
    where the other process has it, which is so for a class made before a fork, and else as a copy.

    Args:
        obj: what to send. If it is a triple of a function, a tuple and a dict, errors speak of a call.
        live: objects that both processes have, by name. A reference to one of them, anywhere inside ``obj``, arrives
            as a reference to the other side's object of that name.
        same_main: whether the other process has the same main module, as a fork has. If not, a function of it takes
            along the globals that it names.
        by_name: lets parts that can't be copied, but are attributes of modules, arrive as what the other side has
            there. Not for what comes from the app: the test's own object would pass for the app's.

    Raises:
        ObjectNotSendable: part of it cannot be pickled; the text says which.

    Example:
        >>> app = object()
        >>> function = unpack_object(pack_object(lambda: app, {"app": app}), {"app": "the other side's app"})
        >>> function()
        "the other side's app"
    """
    while True:
        known = _Known.of(live, by_name)
        try:
            return _PLAIN + _plain_dumps(obj, known)
        except KeyboardInterrupt:
            raise
        except BaseException:  # a __reduce__ may raise SystemExit
            pass  # what dill says of it is said below
        try:
            return _DILL + _dill_dumps(obj, known, same_main)
        except _Stopped as stopped:
            error, way = stopped.error, stopped.way
        why_not = _refer(way, by_name, same_main) if by_name is not None else ""
        if why_not is not None:
            raise ObjectNotSendable(
                f"{_path(obj, way)}: {text_of(error, str, 1000)}; {_ADVICE}{why_not}"
            ) from without_machinery(error)


def unpack_object(data: bytes, live: Mapping[str, object]) -> Any:
    """The object that :func:`pack_object` packed.

    Args:
        data: what :func:`pack_object` returned, in the other process.
        live: this process's objects of the names that the other one was given.

    Raises:
        ObjectNotLoadable: it cannot be rebuilt in this process, or the data are damaged.
    """
    try:
        how, pickled = data[:1], data[1:]
        return _plain_loads(pickled, live) if how == _PLAIN else _dill_loads(pickled, live)
    except KeyboardInterrupt:
        raise
    except ModuleNotFoundError as error:
        raise ObjectNotLoadable(
            f"it needs the module {error.name!r}, which cannot be imported in this process (sys.path differs, or it "
            "is no module that can be imported)"
        ) from error
    except BaseException as error:
        why = f"{qualified_name(type(error))}: {text_of(error, str, 1000)}"
        raise ObjectNotLoadable(f"it cannot be rebuilt in this process: {why}; {_ADVICE}") from without_machinery(error)


# --- what the app's process makes ---


def pack_result(obj: object, live: Mapping[str, object]) -> bytes:
    """Put an object into bytes for a process that will run none of the code in it, so by plain pickle alone.

    Raises:
        ObjectNotSendable: it can't be pickled, or not without code; the text says which part.
    """
    file = io.BytesIO()
    try:
        _ResultPickler(file, _Known.of(live, None)).dump(obj)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        pack_object(obj, live)  # says which part, if it can't cross at all
        raise ObjectNotSendable(f"{text_of(error, str, 1000)}; {_NOT_PLAIN}") from without_machinery(error)
    return _PLAIN + file.getvalue()


def unpack_result(data: bytes, live: Mapping[str, object], seconds: float | None) -> Any:
    """The object that :func:`pack_result` packed: nothing is imported, nor called but what makes objects.

    Args:
        data: what :func:`pack_result` returned, in the other process.
        live: this process's objects of the names that the other one was given.
        seconds: what the code of the user's that makes the objects may take; None for as long as it takes.

    Raises:
        ObjectNotLoadable: it cannot be rebuilt like that, or the data are damaged.

    Example:
        >>> unpack_result(pack_result({"paid": [True]}, {}), {}, 1.0)
        {'paid': [True]}
    """

    def persistent(pid: Any) -> Any:
        what, which = pid
        if what == _LIVE:
            return live[which]
        found = resolve(ClassRef(*which), object) if what == _CLASS else sys.modules.get(which)
        if found is None or what not in (_CLASS, _MODULE):
            raise NotHere(f"{ClassRef(*which) if what == _CLASS else which} is unknown to the test")
        return found

    try:
        return load(data[1:], persistent, Allowance(seconds))
    except KeyboardInterrupt:
        raise
    except NotHere as error:
        raise ObjectNotLoadable(f"{text_of(error, str, 1000)}; import it in the test, or {_TRUST}") from None
    except Refused as error:
        raise ObjectNotLoadable(f"{text_of(error, str, 1000)}; return what it is made from, or {_TRUST}") from None
    except BaseException as error:
        why = f"{qualified_name(type(error))}: {text_of(error, str, 1000)}"
        raise ObjectNotLoadable(f"it cannot be rebuilt in this process: {why}") from without_machinery(error)


# --- by name ---


class _Known(NamedTuple):
    """What is not copied, by its id: the persistent id that it has; and the one that gets its state in its place."""

    names: dict[int, tuple[str, str]]
    kept: tuple[object, Place] | None

    @classmethod
    def of(cls, live: Mapping[str, object], by_name: Names | None) -> _Known:
        names = {id(value): (_LIVE, name) for name, value in live.items()}
        if by_name is None:
            return cls(names, None)
        return cls({key: (_PLACE, str(place)) for key, place in by_name.references.items()} | names, by_name.kept)

    def persistent_id(self, obj: object) -> tuple[str, str] | None:
        known = self.names.get(id(obj))
        if known is not None:
            return known
        if type(obj) is ModuleType and sys.modules.get(obj.__name__) is obj:
            return _MODULE, obj.__name__
        return None

    def reduced(self, obj: Any) -> Any:
        if self.kept is not None and obj is self.kept[0]:
            return reduced_in_place(obj, self.kept[1])
        return reduced(obj)


def _refer(way: list[object], by_name: Names, same_main: bool) -> str | None:
    """Have the innermost part on the way to a failure sent by name, if it has one; else say why not."""
    places = find_places({id(step) for step in way if not isinstance(step, type | FunctionType)})
    why_not = ""
    for step in reversed(way):
        place = places.get(id(step))
        if place is None or id(step) in by_name.references:
            continue
        if not (same_main or is_importable_there(place.module)):
            why_not = why_not or f", or have {str(place)!r} where a fresh interpreter can import it (sys.path)"
        elif (foreign := foreign_part(step, place)) is not None:
            why_not = why_not or f" ({place} could be imported, but without {text_of(foreign, repr, 200)}, a test's)"
        elif len(by_name.references) < _MOST_BY_NAME:
            by_name.references[id(step)] = place
            return None
    return why_not


# --- by plain pickle ---


def _plain_dumps(obj: object, known: _Known) -> bytes:
    file = io.BytesIO()
    _PlainPickler(file, known).dump(obj)
    return file.getvalue()


class _PlainPickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, known: _Known) -> None:
        super().__init__(file, protocol=5)
        self._known = known

    def persistent_id(self, obj: Any) -> tuple[str, str] | None:
        if isinstance(obj, (FunctionType, type)) and obj.__module__ in ("__main__", "__mp_main__"):
            # The other process may have another main module: dill sends these by value.
            raise pickle.PicklingError("of the main module")
        return self._known.persistent_id(obj)

    def reducer_override(self, obj: Any) -> Any:
        return self._known.reduced(obj)


class _ResultPickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, known: _Known) -> None:
        super().__init__(file, protocol=5)
        self._known = known

    def persistent_id(self, obj: Any) -> tuple[str, Any] | None:
        if issubclass(type(obj), type) and not is_importable(obj):
            return _CLASS, tuple(refer_to(obj))
        return self._known.persistent_id(obj)

    def reducer_override(self, obj: Any) -> Any:
        return self._known.reduced(obj)


def _plain_loads(pickled: bytes, live: Mapping[str, object]) -> Any:
    return _PlainUnpickler(io.BytesIO(pickled), live).load()


class _PlainUnpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, live: Mapping[str, object]) -> None:
        super().__init__(file)
        self._live = live

    def persistent_load(self, pid: Any) -> Any:
        return _persistent_load(pid, self._live)


def _persistent_load(pid: tuple[str, str], live: Mapping[str, object]) -> Any:
    what, name = pid
    if what == _LIVE:
        return live[name]
    if what == _PLACE:
        return Place(*name.split(":")).get()
    module = sys.modules.get(name) or importlib.import_module(name)
    return module if what == _MODULE else vars(module)


# --- by dill ---


class _Stopped(Exception):
    """What stopped a pickler, and what it was in the middle of then, the outermost first."""

    def __init__(self, error: BaseException, way: list[object]) -> None:
        super().__init__()
        self.error, self.way = error, way


def _dill_dumps(obj: object, known: _Known, same_main: bool) -> bytes:
    file = io.BytesIO()
    pickler = _dill_classes()[0](file, known, same_main)
    try:
        pickler.dump(obj)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _Stopped(error, pickler.way_to(error)) from None
    finally:
        pickler.failed = None  # its traceback holds the pickler, and all that was to be sent
    return file.getvalue()


def _dill_loads(pickled: bytes, live: Mapping[str, object]) -> Any:
    return _dill_classes()[1](io.BytesIO(pickled), live).load()


@functools.cache
def _dill_classes() -> tuple[Any, Any]:
    """The pickler and the unpickler; made at the first use, as dill takes a while to import."""
    from dill import Unpickler

    from isoclient.compat.dill_ import MAKERS, Pickler

    makers = (*MAKERS, types.new_class)

    class DillPickler(Pickler):
        def __init__(self, file: io.BytesIO, known: _Known, same_main: bool) -> None:
            super().__init__(file, protocol=5, byref=False, fmode=0, recurse=False)
            self._known = known
            self._same_main = same_main
            # What it is in the middle of: the innermost object, and in the same form what that was come upon in.
            self._way: _Way | None = None
            self._ways_to_cells: dict[int, _Way | None] = {}
            self.failed: BaseException | None = None
            self._way_to_failure: _Way | None = None

        def _module_of(self, namespace: dict[str, Any]) -> str | None:
            name = module_of(namespace)
            return name if self._same_main or name not in ("__main__", "__mp_main__") else None

        def persistent_id(self, obj: Any) -> tuple[str, str] | None:
            if type(obj) in _WITHOUT_PARTS or id(obj) in self._known.names:
                return self._known.persistent_id(obj)
            if isinstance(obj, _NOT_COPIED) and not isinstance(obj, _COPIED):
                raise TypeError(f"cannot pickle {qualified_name(type(obj))!r} object")
            # dill sends a module's globals by name, too, but first compares them to the main module's, value by value.
            if type(obj) is dict and (name := self._module_of(obj)):
                return _GLOBALS, name
            return self._known.persistent_id(obj)

        def reducer_override(self, obj: Any) -> Any:
            return NotImplemented if self.dispatch.get(type(obj)) else self._known.reduced(obj)

        def save(self, obj: Any, save_persistent_id: bool = True) -> None:
            self.failed = None  # what had failed was caught, or this would not be called; it may even be raised again
            if type(obj) in _WITHOUT_PARTS:
                super().save(obj, save_persistent_id)
                return  # as most are, this is worth it
            if type(obj) is FunctionType:
                # Where the globals are no module's (exec, a doctest), it takes along the ones that it names.
                self.send_of_globals(named_alone=self._module_of(obj.__globals__) is None)
            outer = self._way
            self._way = obj, outer
            try:
                if self.is_within_itself(obj):
                    # A class or function within itself. dill does the same, but warns, and a filter may raise that.
                    self.save_global(obj)
                else:
                    super().save(obj, save_persistent_id)
            except BaseException as error:
                # Nothing is called here: the stack may be used up.
                if self.failed is not error:
                    self.failed, self._way_to_failure = error, self._way
                raise
            finally:
                self._way = outer

        def save_reduce(self, func: Any, args: Any, *rest: Any, obj: Any = None, **options: Any) -> None:
            # Here dill makes a class or a function of its parts. The other side first looks whether it has it.
            if func in makers and (isinstance(obj, type) or obj.__module__ == "__main__"):
                func, args = _find_or_make, ((obj.__module__, obj.__qualname__, id(obj)), func, args)
            # dill makes all cells empty, and puts off what is in them until the outermost function is done.
            if type(obj) is CellType:
                self._ways_to_cells[id(obj)] = self._way
            outer = self._way
            if type(args) is tuple and args and type(args[0]) is CellType:
                self._way = self._ways_to_cells.get(id(args[0]), outer)
            try:
                super().save_reduce(func, args, *rest, obj=obj, **options)
            finally:
                self._way = outer

        def way_to(self, error: BaseException) -> list[object]:
            """What it was in the middle of when ``error`` was raised, the outermost first."""
            way = self._way_to_failure if self.failed is error else None
            objects = []
            while way:
                objects.append(way[0])
                way = way[1]
            return objects[::-1]

    class DillUnpickler(Unpickler):  # type: ignore[misc]
        def __init__(self, file: io.BytesIO, live: Mapping[str, object]) -> None:
            super().__init__(file, ignore=True)
            self._live = live

        def persistent_load(self, pid: Any) -> Any:
            return _persistent_load(pid, self._live)

    return DillPickler, DillUnpickler


def _find_or_make(ref: tuple[str, str, int], make: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """What ``ref`` means in this process, if there is such a thing, or a copy made of its parts."""
    named = look_up("__main__", ref[1]) if ref[0] == "__main__" else None
    if isinstance(named, type) or getattr(named, "__code__", named) == args[0]:
        return named
    return live_class(ClassRef(*ref), object) or make(*args)


# --- what to say of an object that cannot be sent ---


def _path(obj: object, way: list[object]) -> str:
    """Where in ``obj`` the last thing on the way is that can be given a name.

    Not all that a pickler comes upon is part of what was before, as people see it: a dict of state is not, nor are the
    arguments of a ``__reduce__``. What is come upon again ends a way round.
    """
    path = [("", obj, _parts_of_call(obj) or _parts(obj))]
    for step in way:
        passed = next((index for index, (_, place, _) in enumerate(path) if place is step), None)
        label = next((label for label, part in path[-1][2] if part is step), None)
        if passed is not None:
            del path[passed + 1 :]
        elif label is not None:
            path.append((label, step, _parts(step)))
    labels = [label for label, _, _ in path[1:]]
    if len(labels) > _MOST_SHOWN:
        labels[2 : 2 - _MOST_SHOWN] = ["..."]
    return " -> ".join(labels) or text_of(obj, repr, 200)


def _parts_of_call(obj: object) -> list[_Part]:
    match obj:
        case (function, tuple(args), dict(kwargs)) if callable(function):
            by_position = [(f"argument {number}", arg) for number, arg in enumerate(args)]
            by_name = [(f"argument {name!r}", arg) for name, arg in kwargs.items()]
            return [("the function", function), *by_position, *by_name]
    return []


def _parts(obj: object) -> list[_Part]:
    parts: list[_Part] = []
    with contextlib.suppress(Exception):  # it is only to make an error clearer
        parts.extend(_iter_parts(obj))
    return parts


def _iter_parts(obj: object) -> Iterator[_Part]:
    match obj:
        case dict():
            yield from ((f"[{key!r}]", value) for key, value in obj.items())
        case list() | tuple():
            yield from ((f"[{index}]", value) for index, value in enumerate(obj))
        case set() | frozenset():
            yield from ((f"{{{value!r}}}", value) for value in obj)
        case MethodType():
            yield from ((".__self__", obj.__self__), (".__func__", obj.__func__))
        case functools.partial():
            yield from ((".func", obj.func), (".args", obj.args), (".keywords", obj.keywords))
        case FunctionType():
            yield from _parts_of_function(obj)
        case type():
            yield ".__bases__", obj.__bases__
    yield from ((f".{name}", value) for name, value in getattr(obj, "__dict__", {}).items())
    yield ".__class__", type(obj)


def _parts_of_function(function: FunctionType) -> Iterator[_Part]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # an empty cell
            yield f"closure variable {name!r}", cell.cell_contents
    arguments, defaults = function.__code__.co_varnames[: function.__code__.co_argcount], function.__defaults__ or ()
    with_default = [*zip(arguments[::-1], defaults[::-1], strict=False), *(function.__kwdefaults__ or {}).items()]
    yield from ((f"default of {name!r}", value) for name, value in with_default)
    yield from ((f"annotation of {name!r}", value) for name, value in function.__annotations__.items())
    names = [name for name in function.__code__.co_names if name in function.__globals__]
    yield from ((f"global {name!r}", function.__globals__[name]) for name in names)
