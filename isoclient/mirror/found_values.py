"""What the test that runs has made for itself: what its variables and fixtures hold, as far as it can change.

A test makes a list, has a handler append to it, and looks at it when it has its answer; in-process that works. What is
found here exists in both processes from the fork on, and is kept alike: see :mod:`isoclient.mirror.shared_locals`.
What modules hold is not among it, be they of tests or not: to have that apart is what isolation is for. So of classes
those alone are that functions of tests define.
"""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from inspect import CO_OPTIMIZED
from types import BuiltinFunctionType, CellType, FrameType, FunctionType, ModuleType, SimpleNamespace
from typing import Any, Final

from isoclient.mirror.local_definitions import WRAPPED, is_local, is_of_what_stands_in_it, led_to_by_class, variables
from isoclient.mirror.module_values import ModuleValues
from isoclient.mirror.watched_values import CONTAINERS, MAPPINGS, PLAIN, contents, plain_attributes, slots_of, watch
from isoclient.system.modules import threading
from isoclient.system.running_loops import running_trio
from isoclient.system.thread_frames import nothing_collected
from isoclient.transit.places import is_of_tests
from isoclient.transit.synchronizers import primitive_of

__all__ = [
    "LARGEST",
    "Found",
    "attributes_of",
    "clean",
    "find",
    "has_stand_ins",
    "is_watchable",
    "of_modules",
    "parts_of",
]

_MOST: Final = 300  # values of one test
_MOST_ITEMS: Final = 10_000  # in all of them: to compare them takes some 100 µs
_MOST_STEPS: Final = 5_000
LARGEST: Final = 1_000  # items of one container
_MOST_THINGS: Final = 1_000
_DEPTH: Final = 5
_OF_FRAME_ALONE: Final = 3  # references to its variables: the frame's, one of a variable, and that of who counts


class Found:
    """What has been found, each once, and first of all what was come upon first: so both processes count alike.

    Args:
        of_others: what is not to be taken, by its id; nor is a container that a module has.

    Attributes:
        values: containers, cells, the attributes of functions that the test defines and of objects of its classes, such
            objects themselves for their slots, and the classes that its functions define.
        in_functions: the places of those values that are variables of functions, or are in them: so the app, which
            some of these functions are of, has to do with them, most likely.
        attributes: the places of those that are attributes.
        others: what else may be in them, or be raised, and is the same on both sides: functions, exceptions.
        primitives: events, cancel scopes and queues.
        things: weak references to what is equal to nothing but itself: as an argument of a mock's, for one, a copy
            of it would not be what the test expects.
        made: objects of classes that are not the test's, which may be kept alike as a whole.
        stained: containers with stand-ins in them, which an earlier copy of the app has left: the next one is to have
            neither, and nothing more is shared of them.
    """

    def __init__(self, of_others: frozenset[int] | set[int] = frozenset()) -> None:
        self.of_others = of_others
        self.values: list[Any] = []
        self.in_functions: set[int] = set()
        self.attributes: set[int] = set()
        self.others: list[Any] = []
        self.primitives: list[Any] = []
        self.things: list[weakref.ref[Any]] = []
        self.made: list[Any] = []
        self.stained: list[Any] = []
        self._seen: dict[int, Any] = {}  # with the object, whose number is not to become that of another one
        self._items = 0
        self._of_modules: ModuleValues | None = None

    def look_at(self, value: object, *, in_function: bool = False, depth: int = _DEPTH) -> None:
        """Take what this is and leads to, if it is the test's."""
        kind = type(value)
        if kind in PLAIN or depth == 0 or len(self.values) >= _MOST or len(self._seen) >= _MOST_STEPS:
            return
        if id(value) in self._seen or id(value) in self.of_others or self._is_of_a_module(value):
            return
        self._seen[id(value)] = value
        self.know(value)
        if primitive_of(kind) is not None:
            self.primitives.append(value)
            return
        in_function = in_function or kind is CellType
        if kind is CellType or is_watchable(value):
            self._take(value, in_function)
        for part in self._led_to(value, kind, in_function):
            self.look_at(part, in_function=in_function, depth=depth - 1)

    def _is_of_a_module(self, value: object) -> bool:
        if type(value) not in CONTAINERS:
            return False
        if self._of_modules is None:
            self._of_modules = of_modules()
        return value in self._of_modules

    def know(self, value: object) -> None:
        """Take it for itself, whoever has it, if it is equal to nothing else."""
        kind = type(value)
        if kind not in PLAIN and _is_itself_alone(kind) and len(self.things) < _MOST_THINGS:
            with contextlib.suppress(TypeError):  # of a class whose objects have no weak references
                self.things.append(weakref.ref(value))

    def forget_the_way(self) -> None:
        """Let what was come upon, and not taken, be collected: a client ends its app then."""
        self._seen.clear()

    def _take(self, value: Any, in_function: bool, *, are_attributes: bool = False) -> None:
        items = () if type(value) is CellType else parts_of(value)
        if has_stand_ins(items):
            self.stained.append(value)
            return
        self._items += len(items)
        if self._items > _MOST_ITEMS:
            return
        if in_function:
            self.in_functions.add(len(self.values))
        if are_attributes:
            self.attributes.add(len(self.values))
        self.values.append(value)

    def _led_to(self, value: Any, kind: type, in_function: bool) -> Sequence[object]:
        if kind is CellType:
            return contents(value)
        if kind is FunctionType:
            self.others.append(value)
            return *variables(value), *self._attributes_of_function(value, in_function)
        if kind in WRAPPED:
            return WRAPPED[kind](value)
        if issubclass(kind, type):
            return self._led_to_by_class(value)
        if issubclass(kind, BaseException):
            self.others.append(value)
            return ()
        if kind is not SimpleNamespace and not _is_of_tests(kind):
            if attributes_of(value) is not None:
                self.made.append(value)
            return parts_of(value)
        of_class = [kind] if is_local(kind) else []
        return *self._attributes_of(value, kind, in_function), *parts_of(value), *of_class

    def _attributes_of(self, value: object, kind: type, in_function: bool) -> Sequence[object]:
        """Those of an object whose class a test defines, and its slots."""
        attributes = attributes_of(value)
        has_slots = not issubclass(kind, (tuple, dict, *CONTAINERS)) and bool(slots_of(kind))
        if attributes is None and not has_slots:
            return ()
        self.others.append(value)
        parts: list[object] = []
        if has_slots:
            self._take(value, in_function, are_attributes=True)
            parts += watch(value).known.values()
        if attributes is not None:
            parts += self._taken(attributes, in_function)
        return parts

    def _attributes_of_function(self, function: FunctionType, in_function: bool) -> Sequence[object]:
        """Those of one that a function of a test defines; if it has none yet, it is not to have a dict for them."""
        has_some = is_local(function) and bool(vars(function))
        return self._taken(vars(function), in_function) if has_some else ()

    def _taken(self, attributes: dict[str, Any], in_function: bool) -> Sequence[object]:
        self._seen[id(attributes)] = attributes
        self._take(attributes, in_function, are_attributes=True)
        return list(attributes.values())

    def _led_to_by_class(self, value: Any) -> Sequence[object]:
        if not is_local(value):
            return ()
        if is_of_what_stands_in_it(value) and plain_attributes(value):
            self._take(value, in_function=False)  # what is patched in it is carried over by itself
        return led_to_by_class(value)


def attributes_of(value: object) -> dict[str, Any] | None:
    """Those that it has in a dict, whatever its class says of them."""
    try:
        found = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None
    return found if type(found) is dict else None


def _is_itself_alone(kind: type) -> bool:
    """Whether objects of a class are compared by identity; and are no mocks, which cross by their numbers."""
    layers = type.__dict__["__mro__"].__get__(kind)
    is_by_identity = next(layer for layer in layers if "__eq__" in vars(layer)) is object
    is_mock = any("assert_any_call" in vars(layer) for layer in layers)
    return is_by_identity and not is_mock and not issubclass(kind, type | ModuleType)


def is_watchable(value: object) -> bool:
    """Whether something can change in it, in a way that is cheap to see."""
    return type(value) in CONTAINERS and len(value) <= LARGEST  # type: ignore[arg-type]


def parts_of(value: Any) -> Sequence[object]:
    """What is in a container, or a tuple, also one with names."""
    kind = type(value)
    if kind in MAPPINGS:
        return [*value.keys(), *value.values()]
    if kind in CONTAINERS:
        return list(value)
    return list(tuple.__iter__(value)) if issubclass(kind, tuple) else ()


def has_stand_ins(values: Iterable[object]) -> bool:
    """Whether there is one for something that could not cross."""
    standins = sys.modules.get("isoclient.transit.standins")
    if standins is None:
        return False
    kinds = standins.StandIn, standins.ExceptionStandIn
    return any(issubclass(type(value), kinds) for value in values)


def clean(value: Any) -> None:
    """Take the stand-ins out of a container."""
    if type(value) in MAPPINGS:
        for key in [key for key, item in value.items() if has_stand_ins((key, item))]:
            del value[key]
    elif type(value) is set:
        value.difference_update([item for item in value if has_stand_ins((item,))])
    else:
        left = [item for item in value if not has_stand_ins((item,))]
        value.clear()
        value.extend(left)


def _is_of_tests(kind: type) -> bool:
    """Whether a class is one that tests define."""
    module = type.__getattribute__(kind, "__module__")
    return type(module) is str and is_of_tests(module)


def find(fixtures: Mapping[str, object], wide: Mapping[str, object], app: object) -> Found:
    """What the test that runs now has, whichever of its threads or tasks asks.

    Args:
        fixtures: what its fixtures have provided, as far as it is of this test alone.
        wide: what else the test has been given: it is of other tests, too, which are not to find what the app of this
            one has left there.
        app: if it is an object, what that has is its own: it is to begin as the test has made it, at each start.
    """
    with nothing_collected():  # the test may go on meanwhile
        frames = list(_frames_of_test())
        values = [value for frame in frames for value in _variables_of(frame)]
    values += fixtures.values()
    of_wide = [value for name, value in wide.items() if name not in fixtures]
    of_others = {id(value) for value in (*of_wide, *filter(is_local, map(type, of_wide)))}
    if type(app) is not FunctionType:
        of_others.add(id(app))
    found = Found(of_others)
    for value in values:
        if type(value) is FunctionType or type(value) in WRAPPED or issubclass(type(value), type):
            found.look_at(value)
    for value in values:
        found.look_at(value)
    for value in (app, *wide.values(), *_globals_of(frames)):
        found.know(value)
    found.forget_the_way()
    return found


def _variables_of(frame: FrameType) -> list[object]:
    """Its local ones, without those that pytest has for parts of an assertion."""
    variables = frame.f_locals
    values = [value for name, value in list(variables.items()) if not name.startswith("@")]
    # Before Python 3.13 it is a copy that stays with the frame, and would keep what the test deletes; unless the test
    # has asked for it, too, by locals().
    if sys.version_info < (3, 13) and sys.getrefcount(variables) <= _OF_FRAME_ALONE:
        variables.clear()
    return values


def of_modules() -> ModuleValues:
    """What modules have by now, as far as it can change."""
    _module_values.look()
    return _module_values


_module_values: Final = ModuleValues((*PLAIN, tuple, type, ModuleType, FunctionType, BuiltinFunctionType))


def _globals_of(frames: list[FrameType]) -> Iterator[object]:
    """What the modules of the test have, but for what crosses by its name."""
    modules = {id(frame.f_globals): frame.f_globals for frame in frames}
    for names in modules.values():
        for value in list(names.values()):
            if type(value) is not FunctionType:
                yield value


def _frames_of_test() -> Iterator[FrameType]:
    """Those of functions of tests that are under way, in this thread, the main one, and the tasks of this loop."""
    main, this = threading.main_thread().ident, threading.get_ident()
    other = None if main == this else sys._current_frames().get(main or 0)
    for top in (sys._getframe(1), other):
        frame: FrameType | None = top
        while frame is not None:
            if _is_of_test(frame):
                yield frame
            frame = frame.f_back
    for awaited in (*_tasks_of_asyncio(), *_tasks_of_trio()):
        while awaited is not None:
            frame = getattr(awaited, "cr_frame", None)
            if frame is not None and _is_of_test(frame):
                yield frame
            awaited = getattr(awaited, "cr_await", None)


def _tasks_of_asyncio() -> list[Any]:
    """Tests that are coroutines: what they await runs in other tasks, or other threads, as often as not."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return []
    loops = {_loop_of_main_thread(asyncio)}
    with contextlib.suppress(RuntimeError):  # none runs here
        loops.add(asyncio.get_running_loop())
    return [task.get_coro() for loop in loops if loop is not None for task in asyncio.all_tasks(loop)]


def _loop_of_main_thread(asyncio: Any) -> Any:
    """The one that runs there, if that can be seen."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None:
        if frame.f_code.co_name in ("run", "run_until_complete"):
            runner = frame.f_locals.get("self")
            if isinstance(runner, asyncio.Runner):
                return runner.get_loop()
            if isinstance(runner, asyncio.AbstractEventLoop):
                return runner
        frame = frame.f_back
    return None


def _tasks_of_trio() -> list[Any]:
    trio = running_trio()
    if trio is None:
        return []
    found, waiting = [], [trio.lowlevel.current_root_task()]
    while waiting:
        task = waiting.pop()
        found.append(task.coro)
        waiting += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return found


def _is_of_test(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__")
    return type(name) is str and is_of_tests(name) and bool(frame.f_code.co_flags & CO_OPTIMIZED)
