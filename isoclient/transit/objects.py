"""Objects in transit: functions with their arguments, apps for a fresh interpreter, what a test has changed.

Unlike an exception, an object arrives whole or not at all: half an argument is of no use to a function.
"""

from __future__ import annotations

import functools
import importlib
import sys
import types
from collections.abc import Callable, Mapping
from types import CellType, FunctionType
from typing import Any, TypeAlias

from isoclient.errors import ObjectNotLoadable, ObjectNotSendable
from isoclient.system.modules import io, pickle
from isoclient.transit.bounds import text_of
from isoclient.transit.classes import (
    ClassRef,
    live_class,
    look_up,
    qualified_name,
    remember,
)
from isoclient.transit.constructors import LOCKS
from isoclient.transit.parts import path_to
from isoclient.transit.places import Place, find_places, foreign_part, is_importable_there, module_of
from isoclient.transit.references import GLOBALS, LIVE, MOCK, MODULE, PLACE, Known, Names
from isoclient.transit.shared_mocks import HasMock, has_none, mocks, recalled
from isoclient.transit.tracebacks import without_machinery
from isoclient.transit.twins import reduced_mock

__all__ = ["PLAIN", "cause_to_show", "pack_object", "unpack_object"]

_Way: TypeAlias = "tuple[object, _Way | None]"

PLAIN, _DILL = b"p", b"d"

# dill copies these, but the copy of a lock guards nothing, and a file reopened is another file.
_NOT_COPIED = (*LOCKS, io.IOBase)
_COPIED = (io.BytesIO, io.StringIO)
_WITHOUT_PARTS = frozenset((str, bytes, int, float, bool, type(None)))
_ADVICE = "create it in the function that needs it, or pass what it is made from"
_MOST_BY_NAME = 100  # parts of one object


def pack_object(
    obj: object,
    live: Mapping[str, object],
    *,
    same_main: bool = True,
    by_name: Names | None = None,
    has_mock: HasMock = has_none,
    advice: str = _ADVICE,
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
        advice: what to do about a part that can't be pickled, for the text.
        has_mock: tells of a number whether the other process has the mock that is known by it. Any other mock is sent
            as a twin.

    Raises:
        ObjectNotSendable: part of it cannot be pickled; the text says which.

    Example:
        >>> app = object()
        >>> function = unpack_object(pack_object(lambda: app, {"app": app}), {"app": "the other side's app"})
        >>> function()
        "the other side's app"
    """
    while True:
        known = Known.of(live, by_name, has_mock)
        try:
            return PLAIN + _plain_dumps(obj, known)
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
                f"{path_to(obj, way)}: {text_of(error, str, 1000)}; {advice}{why_not}"
            ) from cause_to_show(error)


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
        return _plain_loads(pickled, live) if how == PLAIN else _dill_loads(pickled, live)
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


def cause_to_show(error: BaseException) -> BaseException | None:
    """What kept an object from crossing, if it says more than the text: where in somebody's own code that was."""
    link: BaseException | None = without_machinery(error)
    while link is not None:
        if link.__traceback__ is not None:
            return error
        link = link.__cause__ or link.__context__
    return None


# --- by name ---


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


def _plain_dumps(obj: object, known: Known) -> bytes:
    file = io.BytesIO()
    _PlainPickler(file, known).dump(obj)
    return file.getvalue()


class _PlainPickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, known: Known) -> None:
        super().__init__(file, protocol=5)
        self._known = known

    def persistent_id(self, obj: Any) -> tuple[str, Any] | None:
        if issubclass(type(obj), (FunctionType, type)) and obj.__module__ in ("__main__", "__mp_main__"):
            # The other process may have another main module: dill sends these by value.
            raise pickle.PicklingError("of the main module")
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


def _persistent_load(pid: tuple[str, Any], live: Mapping[str, object]) -> Any:
    what, name = pid
    if what == LIVE:
        return live[name]
    if what == PLACE:
        return Place(*name.split(":")).get()
    if what == MOCK:
        return recalled(name)
    module = sys.modules.get(name) or importlib.import_module(name)
    return module if what == MODULE else vars(module)


# --- by dill ---


class _Stopped(Exception):
    """What stopped a pickler, and what it was in the middle of then, the outermost first."""

    def __init__(self, error: BaseException, way: list[object]) -> None:
        super().__init__()
        self.error, self.way = error, way


def _dill_dumps(obj: object, known: Known, same_main: bool) -> bytes:
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
        def __init__(self, file: io.BytesIO, known: Known, same_main: bool) -> None:
            super().__init__(file, protocol=5, byref=False, fmode=0, recurse=False)
            self._known = known
            self._same_main = same_main
            # What it is in the middle of: the innermost object, and in the same form what that was come upon in.
            self._way: _Way | None = None
            self._ways_to_cells: dict[int, _Way | None] = {}
            self._as_of_home: dict[int, tuple[FunctionType, FunctionType]] = {}
            self.failed: BaseException | None = None
            self._way_to_failure: _Way | None = None

        def _module_of(self, namespace: dict[str, Any]) -> str | None:
            name = module_of(namespace)
            return name if self._same_main or name not in ("__main__", "__mp_main__") else None

        def persistent_id(self, obj: Any) -> tuple[str, Any] | None:
            if type(obj) in _WITHOUT_PARTS or id(obj) in self._known.names or mocks.number_of(obj):
                return self._known.persistent_id(obj)
            if isinstance(obj, _NOT_COPIED) and not isinstance(obj, _COPIED):
                raise TypeError(f"cannot pickle {qualified_name(type(obj))!r} object")
            # dill sends a module's globals by name, too, but first compares them to the main module's, value by value.
            if type(obj) is dict and (name := self._module_of(obj)):
                return GLOBALS, name
            return self._known.persistent_id(obj)

        def reducer_override(self, obj: Any) -> Any:
            return reduced_mock(obj) if self.dispatch.get(type(obj)) else self._known.reduced(obj)

        def save(self, obj: Any, save_persistent_id: bool = True) -> None:
            self.failed = None  # what had failed was caught, or this would not be called; it may even be raised again
            if type(obj) in _WITHOUT_PARTS:
                super().save(obj, save_persistent_id)
                return  # as most are, this is worth it
            outer = self._way
            self._way = obj, outer
            if type(obj) is FunctionType:
                # Where the globals are no module's (exec, a doctest), it takes along the ones that it names.
                home = self._module_of(obj.__globals__)
                self.send_of_globals(named_alone=home is None)
                if home is not None and obj.__module__ != home and look_up(obj.__module__, obj.__qualname__) is not obj:
                    obj = self._as_of(home, obj)
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

        def _as_of(self, home: str, function: FunctionType) -> FunctionType:
            """A function that says it is of another module, as ``functools.wraps`` makes it say, as one that does not.

            dill would take it for one whose globals are its own, and copy all of them.
            """
            if id(function) not in self._as_of_home:
                code, namespace, closure = function.__code__, function.__globals__, function.__closure__
                plain = FunctionType(code, namespace, function.__name__, function.__defaults__, closure)
                for name in ("__kwdefaults__", "__qualname__", "__doc__", "__annotations__"):
                    setattr(plain, name, getattr(function, name))
                vars(plain).update(vars(function))
                plain.__module__ = home
                self._as_of_home[id(function)] = function, plain
            return self._as_of_home[id(function)][1]

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
    return live_class(ClassRef(*ref), object) or remember(ClassRef(*ref), make(*args))
