"""Values that always arrive: as themselves where plain pickle can, piece by piece where it cannot.

A value is written as a tree. A leaf is a pickle; a container that cannot cross in one piece is a branch, so that one
lock in a list costs the lock and not the list. So do the attributes of exceptions cross, and the debug information that
a framework gives to its test client (``http.response.debug``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from isoclient.system.modules import io, pickle
from isoclient.transit.bounds import Allowance
from isoclient.transit.classes import ClassRef, is_importable, refer_to, resolve
from isoclient.transit.constructors import is_known_everywhere
from isoclient.transit.reduction import reduced
from isoclient.transit.shared_mocks import is_sentinel, mocks, recalled, reference_to, sentinel
from isoclient.transit.standins import StandIn
from isoclient.transit.unpickling import load, load_plain, load_reduction

__all__ = ["MAX_SECONDS", "Tree", "ValueReader", "ValueWriter", "pack_debug", "plain_tree", "unpack_debug"]

_MAX_BYTES = 16 * 2**20
_MAX_OBJECTS = 500_000  # in one pickle: a small one may take a long time
_MAX_PIECES, _MIN_PIECES = 10_000, 100
_MAX_DEPTH = 30
MAX_SECONDS = 1.0  # for code of the user's, such as a __setstate__
_EXCEPTION, _CLASS, _MOCK, _SENTINEL, _KNOWN = "exception", "class", "mock", "sentinel", "known"

# What these make of a pickle needs no trial: loading runs no code but pickle's.
_INERT = frozenset({type(None), bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset})
_CHANGING = frozenset({list, dict, set})


Reference: TypeAlias = int | str
ReferenceTo: TypeAlias = Callable[[object], "Reference | None"]
Known: TypeAlias = Callable[[Reference], Any]


class Tree(NamedTuple):
    """A value on its way. With both a pickle and branches, the branches are for a pickle that does not load."""

    whole: bytes | None
    container: str  # "dict", "list", "tuple"; empty: no branches
    branches: list[Any]  # of trees; keys and values in turns for a dict
    stand_in: tuple[str, dict[str, Any]] | None  # for a leaf that does not load, or that can't cross at all


def plain_tree(tree: Tree) -> tuple[Any, ...]:
    """The same without the class of the tuples, so that a pickle of it names nothing."""
    whole, container, branches, stand_in = tree
    return whole, container, [plain_tree(branch) for branch in branches], stand_in


class ValueWriter:
    """Writes the values of one message, within the size that all of them share.

    Args:
        refer: gives a number to an exception inside a value, which then crosses as a node of its own. Without it,
            exceptions are pickled like everything else.
        recall: the exception with that number, for the trial of what was pickled.
        reference_to: gives the reference by which the reader has an object itself; None for others.

    Attributes:
        known: what has been referred to, for trials.
    """

    def __init__(
        self,
        refer: Callable[[BaseException], int] | None = None,
        recall: Callable[[int], BaseException] | None = None,
        reference_to: ReferenceTo | None = None,
    ) -> None:
        self.refer = refer
        self._reference_to = reference_to
        referred: dict[Reference, object] = {}
        self._referred = referred
        self.known = referred.get
        self.bytes_left = _MAX_BYTES
        self.pieces_left = _MAX_PIECES
        self.substituted = 0  # values that became stand-ins
        self._trial = ValueReader(recall, known=self.known)

    def write(self, value: object) -> Tree:
        """``value`` as a tree. Never raises."""
        self.pieces_left = max(self.pieces_left, _MIN_PIECES)  # one value may not starve the next
        return self._write(value, (), trial=True)

    def write_whole(self, value: object) -> bytes:
        """``value`` as one pickle that loads, or whatever exception keeps it from being one."""
        return self._pickle(value, trial=True)[0]

    def _write(self, value: object, path: tuple[int, ...], trial: bool) -> Tree:
        self.pieces_left -= 1
        try:
            whole, inert = self._pickle(value, trial)
        except BaseException:  # a __reduce__ may raise SystemExit, and must not end the app
            return self._branches(None, value, path) or self._stand_in(value)
        if not inert:
            # It loads here, but may not there. The whole keeps what its parts share; the parts survive each other.
            parts = self._branches(whole if trial else None, value, path, trial=False)
            if parts is not None:
                return parts
        self.bytes_left -= len(whole)
        return Tree(whole, "", [], None if inert else self._parts_of_stand_in(value))

    def _branches(self, whole: bytes | None, value: object, path: tuple[int, ...], trial: bool = True) -> Tree | None:
        parts: list[object]
        if type(value) is dict:
            parts = [part for item in value.items() for part in item]
        elif type(value) is list or type(value) is tuple:
            parts = list(value)
        else:
            return None
        if id(value) in path or len(path) > _MAX_DEPTH or len(parts) > self.pieces_left:
            return None
        self.bytes_left -= len(whole or b"")
        branches = [self._write(part, (*path, id(value)), trial) for part in parts]
        return Tree(whole, type(value).__name__, branches, None)

    def _stand_in(self, value: object) -> Tree:
        self.substituted += 1
        return Tree(None, "", [], self._parts_of_stand_in(value))

    def _parts_of_stand_in(self, value: object) -> tuple[str, dict[str, Any]]:
        known = self.bytes_left <= 0 or is_known_everywhere(type(value))
        text, attributes = (StandIn.named(type(value)) if known else StandIn.of(value)).parts()
        sizes = (len(part) for part in attributes.values() if isinstance(part, str | bytes))
        self.bytes_left -= len(text) + sum(sizes)
        return text, attributes

    def _pickle(self, value: object, trial: bool) -> tuple[bytes, bool]:
        file = _BoundedFile(self.bytes_left)
        pickler = _ValuePickler(file, self.refer, self._reference_to, self._referred)
        pickler.dump(value)
        whole = file.getvalue()
        if trial and not pickler.inert:
            self._trial.load(whole)
        return whole, pickler.inert


class ValueReader:
    """Reads what :class:`ValueWriter` wrote, and imports and calls nothing but what makes objects of known classes.

    Args:
        recall: gives the exception with a number.
        allowance: for code of the user's that has to run.
        known: gives the object of this process that is referred to; None if it is gone.
    """

    def __init__(
        self,
        recall: Callable[[int], BaseException] | None = None,
        allowance: Allowance | None = None,
        known: Known | None = None,
    ) -> None:
        self._recall = recall
        self._known = known
        self._allowance = allowance or Allowance(MAX_SECONDS)

    def read(self, tree: tuple[Any, ...]) -> Any:
        """The value; what of it cannot be rebuilt here is a :class:`StandIn`. Never raises for what was written."""
        whole, container, branches, stand_in = tree
        if whole is not None:
            try:
                return self.load(whole)
            except BaseException:  # a __setstate__ may raise SystemExit, and must not end the test run
                if not container:
                    return StandIn(*(stand_in or ("<an object that is damaged>", {})))
        elif stand_in is not None:
            return StandIn(*stand_in)
        parts = [self.read(branch) for branch in branches]
        if container == "dict":
            return dict(zip(parts[::2], parts[1::2], strict=True))
        return parts if container == "list" else tuple(parts)

    def load(self, whole: bytes) -> Any:
        """The value of one pickle, or whatever exception keeps it from being loaded."""
        return load(whole, self._persistent_load, self._allowance)

    def load_reduction(self, whole: bytes) -> Any:
        """What is made by the reduction that is the value of one pickle, or an exception likewise."""
        return load_reduction(whole, self._persistent_load, self._allowance)

    def _persistent_load(self, pid: Any) -> Any:
        what, which = pid
        if what == _EXCEPTION and self._recall is not None:
            return self._recall(which)
        if what == _MOCK:
            return recalled(which)
        if what == _SENTINEL:
            return sentinel(which)
        if what == _KNOWN:
            if self._known is None or (thing := self._known(which)) is None:
                raise pickle.UnpicklingError("an object of the test's that is gone")
            return thing
        cls = resolve(ClassRef(*which), object)
        if cls is None:
            raise pickle.UnpicklingError(f"the class {ClassRef(*which)} does not exist in this process")
        return cls


class _BoundedFile(io.BytesIO):
    """A file that ends a pickle that gets too long."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._left = limit

    def write(self, data: Any, /) -> int:
        self._left -= memoryview(data).nbytes
        if self._left < 0:
            raise pickle.PicklingError("too large to be sent along")
        return super().write(data)


class _ValuePickler(pickle.Pickler):
    def __init__(
        self,
        file: io.BytesIO,
        refer: Callable[[BaseException], int] | None,
        reference_to: ReferenceTo | None,
        referred: dict[Reference, object],
    ) -> None:
        super().__init__(file, protocol=5)
        self._reference_to = reference_to
        self._referred = referred
        self.inert = True
        self._refer = refer
        self._objects_left = _MAX_OBJECTS

    def persistent_id(self, obj: Any) -> tuple[str, Any] | None:
        # It is called for every object, which makes it the place to look at each, and to count.
        self._objects_left -= 1
        if self._objects_left < 0:
            raise pickle.PicklingError("too many objects to be sent along")
        kind = type(obj)
        if kind in _INERT:
            return self._known(obj) if kind in _CHANGING else None
        if self._refer is not None and issubclass(kind, BaseException):
            return _EXCEPTION, self._refer(obj)
        self.inert = False
        if mocks.number_of(obj):
            if (reference := reference_to(obj, mocks.is_shared)) is None:
                raise pickle.PicklingError("a mock that the test does not have")
            return _MOCK, reference
        if is_sentinel(obj):
            return _SENTINEL, obj.name
        if (known := self._known(obj)) is not None:
            return known
        if issubclass(kind, type) and not is_importable(obj):
            return _CLASS, tuple(refer_to(obj))
        if getattr(kind, "__del__", None) is not None:
            # It owns something: its copy would close the file, or remove the directory, of the original.
            raise pickle.PicklingError(f"a copy of this {kind.__name__} would be finalized like the original")
        return None

    def _known(self, obj: object) -> tuple[str, Reference] | None:
        if self._reference_to is None or (reference := self._reference_to(obj)) is None:
            return None
        self.inert = False
        self._referred[reference] = obj
        return _KNOWN, reference

    def reducer_override(self, obj: Any) -> Any:
        return reduced(obj)


def pack_debug(info: Mapping[str, Any], reference_to: ReferenceTo | None = None) -> bytes:
    """Put the ``info`` of an ASGI ``http.response.debug`` message into bytes. Never raises.

    A value that pickles arrives as itself; else, in dicts, lists and tuples, the ones that do not arrive as
    :class:`StandIn`: with the original's ``repr()`` and its simple attributes, such as a template's ``name``.

    Args:
        info: what is to be packed.
        reference_to: as of :class:`ValueWriter`.

    Example:
        >>> unpack_debug(pack_debug({"template": open, "context": {"user": "me"}}))
        {'template': <built-in function open>, 'context': {'user': 'me'}}
    """
    try:
        tree = ValueWriter(reference_to=reference_to).write(dict(info))
    except BaseException:  # a mapping of the app may raise anything
        tree = ValueWriter().write({})
    return pickle.dumps(plain_tree(tree), protocol=5)


def unpack_debug(data: bytes, known: Known | None = None) -> dict[str, Any]:
    """What :func:`pack_debug` packed; nothing (an empty dict) if the data are damaged. Never raises.

    Args:
        data: it.
        known: as of :class:`ValueReader`.
    """
    try:
        read = ValueReader(known=known).read(load_plain(data))
    except BaseException:  # it must not fail the request it comes with
        return {}
    return read if isinstance(read, dict) else {}
