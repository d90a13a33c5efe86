"""Pickles of the app's process, loaded in the test's: nothing is imported, nor called but what makes objects.

What a pickle names is looked for in the modules that have been imported already; what is called is up to
:mod:`isoclient.transit.constructors`. Most pickles name nothing at all, and these are loaded by pickle in C: there
nothing that could be called is ever at hand. The others are read in Python, where each step that calls can be judged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final, NoReturn

from isoclient.compat.python_pickle import EXTENSIONS, Steps, can_go_step_by_step
from isoclient.system.modules import io, pickle
from isoclient.transit import constructors
from isoclient.transit.bounds import Allowance
from isoclient.transit.classes import loaded
from isoclient.transit.constructors import Refused
from isoclient.transit.reduction import set_items, set_state

__all__ = ["load", "load_plain", "load_reduction"]

Persistent = Callable[[Any], Any]

_CONTAINERS: Final = (list, dict, set, bytearray)

# In C, and unchangeable: whatever a pickle has done with these, it makes values of them, or fails.
_HEAP_TYPE: Final = 1 << 9  # Py_TPFLAGS_HEAPTYPE
_VALUES: Final = {("datetime", name) for name in ("date", "time", "datetime", "timedelta", "timezone")}


def load(pickled: bytes, persistent: Persistent, allowance: Allowance) -> Any:
    """What a pickle tells of.

    Args:
        pickled: it.
        persistent: what is meant by a persistent id.
        allowance: for the user's own code, such as a ``__setstate__``.

    Raises:
        NotHere: it names something of a module that has not been imported.
        Refused: something would have to be called that does more than to make an object.
        BaseException: it is damaged, or the user's code raises.

    Example:
        >>> import os, pickle
        >>> class Hostile:
        ...     def __reduce__(self):
        ...         return os.system, ("echo no",)
        >>> load(pickle.dumps([1, Hostile()]), id, Allowance(1.0))
        Traceback (most recent call last):
            ...
        isoclient.transit.constructors.Refused: posix.system would have to be called here to make it
    """
    try:
        return load_plain(pickled)
    except _NotPlain:
        return _Unpickler(pickled, persistent, allowance).load()


def load_plain(pickled: bytes) -> Any:
    """The same for plain values, dates and times: a pickle that names anything else is a pickle.UnpicklingError."""
    # What has been registered with copyreg is at hand without being named.
    if EXTENSIONS:
        return _Unpickler(pickled, _refuse, Allowance(0)).load()
    return _PlainUnpickler(io.BytesIO(pickled)).load()


def load_reduction(pickled: bytes, persistent: Persistent, allowance: Allowance) -> Any:
    """What the first parts of a reduction make: a callable, its arguments, and perhaps a state."""
    unpickler = _Unpickler(pickled, persistent, allowance)
    function, args, *state = unpickler.load()
    made = unpickler.call(function, args)
    if state and state[0] is not None:
        unpickler.restore(made, state[0])
    return made


class _NotPlain(pickle.UnpicklingError):
    """A pickle names something."""


def _refuse(pid: object) -> NoReturn:
    raise _NotPlain("something is named where plain values are expected")


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = loaded(module, name) if (module, name) in _VALUES else None
        return found if type(found) is type and not found.__flags__ & _HEAP_TYPE else _refuse(name)

    def persistent_load(self, pid: Any) -> NoReturn:
        _refuse(pid)


class _Unpickler(Steps):  # type: ignore[misc]
    """pickle's own in Python, with the steps that call something replaced."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(getattr(Steps, "dispatch", {}))

    def __init__(self, pickled: bytes, persistent: Persistent, allowance: Allowance) -> None:
        if not can_go_step_by_step():
            raise Refused("this version of Python cannot be kept from calling what it names")
        self._file = io.BytesIO(pickled)
        super().__init__(self._file)
        self.persistent_load = persistent
        self._allowance = allowance
        # By id, and kept so that no other gets it. What was here before is never changed.
        self._made: dict[int, object] = {}
        self._methods: dict[int, object] = {}

    def load(self) -> Any:
        """As pickle's, without what that needs to read from files."""
        self.read, self.readinto, self.readline = self._file.read, self._file.readinto, self._file.readline
        self.metastack: list[Any] = []
        self.stack: list[Any] = []
        self.append = self.stack.append
        self.proto = 0
        read, steps = self._file.read, self.dispatch
        while (step := read(1)) and step != pickle.STOP:
            steps[step[0]](self)
        if not step:
            raise EOFError("it has no end")
        return self.stack.pop()

    def find_class(self, module: str, name: str) -> Any:
        found = loaded(module, name)
        if type(found) in _CONTAINERS:
            raise Refused(f"{module}.{name} is this process's own")
        return found

    def get_extension(self, code: int) -> NoReturn:
        raise Refused("codes of copyreg are not resolved here")

    def call(self, function: Any, args: Any) -> Any:
        """What this call makes."""
        if function is set_state:
            self.restore(*args)
            return None
        if function is set_items:
            self._check_made(args[0])
            set_items(*args)
            return None
        if function is getattr:
            method = constructors.method_of(*args)
            if constructors.stands_for_a_call(method):
                self._methods[id(method)] = method
            return method
        if id(function) in self._methods:
            return self._noted(self._allowance.run(function, *args))
        return self._noted(constructors.call(function, args, self._allowance))

    def restore(self, obj: Any, state: Any) -> None:
        """Give it its state."""
        self._check_made(obj)
        constructors.restore(obj, state, self._allowance)

    def _noted(self, made: Any) -> Any:
        self._made[id(made)] = made
        return made

    def _check_made(self, obj: object) -> None:
        if id(obj) not in self._made:
            raise Refused("it would change something that has not come with it")

    def _fill(self, obj: Any, method: str, *args: Any) -> None:
        if type(obj) not in _CONTAINERS:
            self._check_made(obj)
        constructors.fill(obj, method, args, self._allowance)

    # -- the steps

    def load_reduce(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self.call(self.stack[-1], args)

    def load_newobj(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self._noted(constructors.make(self.stack[-1], args, {}, self._allowance))

    def load_newobj_ex(self) -> None:
        kwargs = self.stack.pop()
        args = self.stack.pop()
        self.stack[-1] = self._noted(constructors.make(self.stack[-1], args, kwargs, self._allowance))

    def load_build(self) -> None:
        state = self.stack.pop()
        self.restore(self.stack[-1], state)

    def load_append(self) -> None:
        item = self.stack.pop()
        self._fill(self.stack[-1], "append", item)

    def load_appends(self) -> None:
        items = self.pop_mark()
        self._fill(self.stack[-1], "extend", items)

    def load_setitem(self) -> None:
        value = self.stack.pop()
        key = self.stack.pop()
        self._fill(self.stack[-1], "__setitem__", key, value)

    def load_setitems(self) -> None:
        items = self.pop_mark()
        target = self.stack[-1]
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(target) is dict:
                target[key] = value
            else:
                self._fill(target, "__setitem__", key, value)

    def load_additems(self) -> None:
        items = self.pop_mark()
        for item in items:
            self._fill(self.stack[-1], "add", item)

    def load_frame(self) -> None:
        self.read(8)  # its length

    def load_of_old(self) -> None:  # protocols, which nothing here writes; some call, one imports a codec
        raise Refused("it is of an old protocol")

    dispatch |= {
        pickle.REDUCE[0]: load_reduce,
        pickle.NEWOBJ[0]: load_newobj,
        pickle.NEWOBJ_EX[0]: load_newobj_ex,
        pickle.BUILD[0]: load_build,
        pickle.APPEND[0]: load_append,
        pickle.APPENDS[0]: load_appends,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.ADDITEMS[0]: load_additems,
        pickle.FRAME[0]: load_frame,
        pickle.UNICODE[0]: load_of_old,
        pickle.STRING[0]: load_of_old,
        pickle.INST[0]: load_of_old,
        pickle.OBJ[0]: load_of_old,
    }
