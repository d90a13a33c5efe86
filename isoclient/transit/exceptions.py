"""Exceptions in transit: the graph of an exception, flat.

An exception with its causes, contexts, group members and the exceptions in its attributes is a graph that may have
cycles. It is sent as a list of nodes that refer to each other by number; the first is the exception itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

from isoclient.system.modules import pickle
from isoclient.transit.anatomy import (
    State,
    allocate,
    chain_of,
    has_state_of_its_own,
    read_state,
    traceback_of,
    write_chain,
    write_state,
)
from isoclient.transit.bounds import Allowance, text_of
from isoclient.transit.classes import ClassRef, NotHere, class_name, refer_to, resolve
from isoclient.transit.standins import ExceptionStandIn, stand_in_class
from isoclient.transit.tracebacks import FrameRecord, LocalsReader, is_plain, read_frames, rebuild_traceback
from isoclient.transit.trees import MAX_SECONDS, Known, ReferenceTo, ValueReader, ValueWriter, plain_tree
from isoclient.transit.unpickling import load_plain

__all__ = ["pack_exception", "unpack_exception"]

_MAX_NODES = 1_000
_MAX_FRAMES = 1_000  # of one traceback
_MANY_FRAMES = 20_000  # of all tracebacks together: from there on, only a few of each
_FEW_FRAMES = 20
_MAX_TEXT = 100_000
_BEYOND = -1  # the number of all nodes after the last
_MOST_PLAIN = 8  # exceptions whose attributes cross as they are, where these are plain: up to 0.5 MiB of each


NameOf: TypeAlias = Callable[[object], "str | None"]
Named: TypeAlias = Callable[[str], object]


def _no_name(exc: object) -> None:
    return None


class _Node(NamedTuple):
    classes: list[ClassRef]  # of the MRO, the exception's own first
    text: str
    stand_in_reason: str = ""  # not empty: the class itself will not do
    frames: list[FrameRecord] = []  # noqa: RUF012 - a NamedTuple's default, never changed
    cause: int | None = None
    context: int | None = None
    suppress: bool = False
    group: tuple[str, list[int]] | None = None
    reduced: bytes | None = None  # what __reduce_ex__ gave, for a class that only its own constructor can make
    state: State | tuple[Any, ...] | None = None  # as it is, or of a Tree
    alone: bool = True  # no other exception in its state
    twin: str | None = None  # the name of the one that this is in the other process, if there is one


def pack_exception(
    exc: BaseException,
    *,
    with_locals: bool = False,
    name_of: NameOf = _no_name,
    reference_to: ReferenceTo | None = None,
) -> bytes:
    """Put an exception, with all that hangs on it, into bytes. Runs in the app's process.

    Never raises, whatever the exception's class or attributes do, and is bounded: up to 1,000 exceptions, of each
    traceback up to 1,000 frames (the first and the last), 20 MiB of attributes, 100,000 characters of text.

    An exception is copied rather than constructed, so its ``__init__``, ``__new__`` and ``__reduce__`` do not matter.
    An attribute that cannot be pickled is replaced with a :class:`StandIn`, alone.

    Args:
        exc: the exception.
        with_locals: whether its frames carry the text of their local variables.
        name_of: the name of an exception by which the other process knows its own, that this is a copy of; None for
            most.
        reference_to: gives the reference by which the other process has what an exception refers to itself; None for
            most.

    Example:
        >>> unpack_exception(pack_exception(KeyError("name")))
        KeyError('name')
    """
    try:
        return _dumps(_Packer(exc, LocalsReader(reads_all=with_locals), name_of, reference_to).pack())
    except BaseException as error:  # KeyboardInterrupt included: an exception may raise it when looked at
        return _dumps([_bare_node(exc, f"packing it failed: {class_name(type(error))[1]}")])


def unpack_exception(data: bytes, *, named: Named = _no_name, known: Known | None = None) -> BaseException:
    """The exception that :func:`pack_exception` packed. Runs in the test's process.

    Args:
        data: what that has returned.
        named: what this process has under a name that was told, if anything; an exception of that is taken for what it
            is, and becomes what its copy over there has become by being raised.
        known: what this process has itself, by the references that were told.

    Never raises. What cannot be rebuilt here is an :class:`ExceptionStandIn`; so is an exception out of data that
    are damaged.

    Example:
        >>> print(unpack_exception(b"damaged"))
        an exception of the app could not be read: UnpicklingError: could not find MARK
        >>> ours = KeyError("name")
        >>> group = ExceptionGroup("several", [KeyError("name")])
        >>> packed = pack_exception(group, name_of={group.exceptions[0]: "it"}.get)
        >>> unpack_exception(packed, named={"it": ours}.get).exceptions[0] is ours
        True
    """
    try:
        return _Builder([_Node(*node) for node in load_plain(data)], named, known).build()
    except BaseException as error:  # it fails the request it belongs to, and no other
        text = f"an exception of the app could not be read: {class_name(type(error))[1]}: {text_of(error, str, 1000)}"
        return _lone_stand_in("UnreadableException", text, "its data are damaged")


def _dumps(nodes: list[_Node]) -> bytes:
    # Without the classes of the tuples: fewer bytes, and nothing that names anything.
    plain = [
        ([tuple(ref) for ref in node.classes], *node[1:3], [tuple(frame) for frame in node.frames], *node[4:])
        for node in nodes
    ]
    return pickle.dumps(plain, protocol=5)


def _bare_node(exc: BaseException, reason: str) -> _Node:
    classes = [ClassRef(*class_name(cls), 0) for cls in type.mro(type(exc))]
    frames: list[FrameRecord] = []
    with contextlib.suppress(BaseException):
        frames = read_frames(traceback_of(exc), _FEW_FRAMES)
    return _Node(classes, text_of(exc, str, _MAX_TEXT), reason, frames)


class _Graph:
    """The exceptions found so far, numbered."""

    def __init__(self) -> None:
        self.found: list[BaseException] = []
        self.references = 0
        self._numbers: dict[int, int] = {}

    def number(self, exc: BaseException) -> int:
        self.references += 1
        number = self._numbers.get(id(exc))
        if number is None:
            if len(self.found) >= _MAX_NODES:
                return _BEYOND
            number = self._numbers[id(exc)] = len(self.found)
            self.found.append(exc)
        return number

    def recall(self, number: int) -> BaseException:
        return self.found[number]


class _Packer:
    """Turns a graph of exceptions into nodes, breadth first."""

    def __init__(
        self, root: BaseException, reader: LocalsReader, name_of: NameOf, reference_to: ReferenceTo | None
    ) -> None:
        # Apart from the packer: in a cycle of references with it, the app's exception would outlive its request.
        self._graph = _Graph()
        self._locals = reader
        self._name_of = name_of
        self._reference_to = reference_to
        self._frames = 0
        self._plain_left = _MOST_PLAIN
        self._graph.number(root)

    @cached_property
    def _values(self) -> ValueWriter:
        return ValueWriter(self._graph.number, self._graph.recall, self._reference_to)

    def _reader(self) -> ValueReader:
        return ValueReader(self._graph.recall, known=self._values.known)

    def pack(self) -> list[_Node]:
        nodes: list[_Node] = []
        while len(nodes) < len(self._graph.found):
            exc = self._graph.found[len(nodes)]
            try:
                nodes.append(self._node(exc))
            except BaseException as error:  # see pack_exception; here it costs only this node
                nodes.append(_bare_node(exc, f"packing it failed: {class_name(type(error))[1]}"))
        return nodes

    def _node(self, exc: BaseException) -> _Node:
        cause, context, suppress = chain_of(exc)
        node = _Node(
            classes=[refer_to(cls) for cls in type(exc).__mro__],
            text=text_of(exc, str, _MAX_TEXT),
            frames=self._read_frames(exc),
            cause=None if cause is None else self._graph.number(cause),
            context=None if context is None else self._graph.number(context),
            suppress=suppress,
            group=self._group(exc),
            twin=self._name_of(exc),
        )
        own = has_state_of_its_own(type(exc))
        return self._with_reduction(node, exc) if own else self._with_state(node, exc)

    def _read_frames(self, exc: BaseException) -> list[FrameRecord]:
        limit = _MAX_FRAMES if self._frames < _MANY_FRAMES else _FEW_FRAMES
        frames = read_frames(traceback_of(exc), limit, self._locals)
        self._frames += len(frames)
        return frames

    def _group(self, exc: BaseException) -> tuple[str, list[int]] | None:
        if not issubclass(type(exc), BaseExceptionGroup):
            return None
        message, members = (vars(BaseExceptionGroup)[name].__get__(exc) for name in ("message", "exceptions"))
        numbers = [self._graph.number(member) for member in members]
        known = [number for number in numbers if number != _BEYOND]
        return message, known if len(known) == len(numbers) else [*known, _BEYOND]

    def _with_state(self, node: _Node, exc: BaseException) -> _Node:
        state = read_state(exc)
        if self._plain_left and is_plain(state, 2):
            self._plain_left -= 1
            return node._replace(state=state)
        references, substituted = self._graph.references, self._values.substituted
        tree = plain_tree(self._values.write(state))
        node = node._replace(state=tree, alone=self._graph.references == references)
        if self._values.substituted == substituted:
            return node
        # Its __str__ may need what is now a stand-in. A trial shows whether its class can still speak for itself.
        try:
            copy = _rebuilt(type(exc), self._reader().read(tree), _native_group(exc))
            speaks = not hasattr(type(exc), "__del__") and text_of(copy, str, _MAX_TEXT) == node.text
        except BaseException:
            speaks = False
        return node if speaks else node._replace(stand_in_reason="its text needs an attribute that cannot be sent")

    def _with_reduction(self, node: _Node, exc: BaseException) -> _Node:
        node = node._replace(state=plain_tree(self._values.write(read_state(exc))), alone=False)
        try:
            reduced = self._values.write_whole(exc.__reduce_ex__(5)[:3])
            copy = self._reader().load_reduction(reduced)
            if type(copy) is type(exc) and text_of(copy, str, _MAX_TEXT) == node.text:
                return node._replace(reduced=reduced)
            reason = "its __reduce__ makes another exception"
        except BaseException as error:
            reason = f"it cannot be pickled: {text_of(error, str, 200)}"
        return node._replace(stand_in_reason=reason)


def _native_group(exc: BaseException) -> tuple[str, list[BaseException]] | None:
    return (exc.message, list(exc.exceptions)) if isinstance(exc, BaseExceptionGroup) else None


def _rebuilt(
    cls: type[BaseException], state: State, group: tuple[str, list[BaseException]] | None = None
) -> BaseException:
    exc = allocate(cls, state["args"], group)
    write_state(exc, state)
    return exc


def _lone_stand_in(name: str, text: str, reason: str) -> BaseException:
    return stand_in_class(Exception, ClassRef(ExceptionStandIn.__module__, name, 0), text, reason)(text)


class _Builder:
    """Turns nodes into exceptions: first all of them, then what they contain, as that may be any of them."""

    def __init__(self, nodes: list[_Node], named: Named, known: Known | None) -> None:
        self._nodes = nodes
        self._named = named
        self._known = known
        self._built: dict[int, BaseException] = {}
        self._states: dict[int, State] = {}  # by the id of the node: what is read runs the user's code, and only once

    def build(self) -> BaseException:
        for number in reversed(range(len(self._nodes))):
            self._build(number)
        for number, node in enumerate(self._nodes):
            with contextlib.suppress(BaseException):
                self._complete(self._built[number], node)
        return self._built[0]

    @cached_property
    def _allowance(self) -> Allowance:
        return Allowance(MAX_SECONDS)

    def _reader(self) -> ValueReader:
        # Not kept: in a cycle of references with it, the exceptions would outlive their test.
        return ValueReader(self._get, self._allowance, self._known)

    def _get(self, number: int) -> BaseException:
        """The exception, built now if it was not yet."""
        if number not in self._built and number != _BEYOND:
            self._build(number)
        if number not in self._built:
            text = f"more than {_MAX_NODES:,} exceptions hang together; the others were not sent"
            self._built[number] = _lone_stand_in("MoreExceptions", text, text)
        return self._built[number]

    def _build(self, number: int) -> None:
        # Groups need their members first. They may be nested too deep for recursion.
        waiting = [number]
        while waiting:
            number = waiting[-1]
            _, members = self._nodes[number].group or ("", [])
            missing = [member for member in members if member not in self._built and member != _BEYOND]
            if missing and len(waiting) <= len(self._nodes):
                waiting += missing
            else:
                waiting.pop()
                if number not in self._built:
                    self._built[number] = self._allocate(self._nodes[number])

    def _twin(self, node: _Node) -> BaseException | None:
        twin = None if node.twin is None else self._named(node.twin)
        return twin if isinstance(twin, BaseException) else None

    def _allocate(self, node: _Node) -> BaseException:
        if (twin := self._twin(node)) is not None:
            return twin
        reason = node.stand_in_reason
        if not reason:
            try:
                return self._original(node)
            except NotHere as error:
                reason = text_of(error, str, 200)
            except BaseException as error:  # so may a class of the user's, when it is called
                reason = f"{class_name(type(error))[1]}: {text_of(error, str, 200)}"
        for ref in [*node.classes, refer_to(Exception), refer_to(BaseException)]:
            with contextlib.suppress(BaseException):
                return self._stand_in(ref, node, reason)
        return _lone_stand_in("UnknownException", node.text, reason)

    def _original(self, node: _Node) -> BaseException:
        ref = ClassRef(*node.classes[0])
        cls = resolve(ref, BaseException)
        if cls is None:
            raise LookupError(f"the class {ref} does not exist in this process")
        if node.reduced is not None:
            made = self._reader().load_reduction(node.reduced)
            if not isinstance(made, BaseException):
                raise TypeError(f"{type(made).__name__} is not an exception")
            return made
        return self._instance(cls, node)

    def _stand_in(self, ref: ClassRef, node: _Node, reason: str) -> BaseException:
        base = resolve(ClassRef(*ref), BaseException)
        if base is None:
            raise LookupError(ref)
        cls = stand_in_class(base, ClassRef(*node.classes[0]), node.text, reason)
        return self._instance(cls, node)

    def _instance(self, cls: type[BaseException], node: _Node) -> BaseException:
        if node.group is not None:
            message, members = node.group
            return allocate(cls, (), (message, [self._get(member) for member in members]))
        return allocate(cls, self._state(node)["args"] if node.alone else (), None)

    def _state(self, node: _Node) -> State:
        if id(node) not in self._states:
            self._states[id(node)] = self._read_state(node)
        return self._states[id(node)]

    def _read_state(self, node: _Node) -> State:
        state: State = {"args": (node.text,), "fields": {}, "attributes": {}}
        if node.state is not None:
            sent = node.state if isinstance(node.state, dict) else self._reader().read(node.state)
            # Each part may have become a stand-in, and so may the whole.
            state |= {key: sent[key] for key in state if isinstance(sent, dict) and type(sent[key]) is type(state[key])}
        return state

    def _complete(self, exc: BaseException, node: _Node) -> None:
        if self._twin(node) is None:
            with contextlib.suppress(BaseException):
                write_state(exc, self._state(node))
        if isinstance(exc, ExceptionStandIn):
            with contextlib.suppress(BaseException):  # the original's notes may be anything
                BaseException.add_note(exc, f"[isoclient] This stands in for {exc.stand_in_for}: {exc.stand_in_reason}")
        cause = None if node.cause is None else self._get(node.cause)
        context = None if node.context is None else self._get(node.context)
        write_chain(exc, cause, context, node.suppress)
        exc.__traceback__ = rebuild_traceback([FrameRecord(*frame) for frame in node.frames])
