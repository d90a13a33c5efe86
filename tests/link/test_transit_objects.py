"""Objects: whole or not at all, and if not, with an error that says where and why."""

from __future__ import annotations

import functools
import io
import math
import pickle
import sys
import threading
from types import ModuleType
from typing import Any

import pytest

from isoclient.link.transit import ObjectNotLoadable, ObjectNotSendable, pack_object, unpack_object

counter = 0


def across(obj: object, **live: object) -> Any:
    return unpack_object(pack_object(obj, live), live)


class Plain:
    def __init__(self, value: object) -> None:
        self.value = value

    def method(self) -> object:
        return self.value


@pytest.mark.parametrize(
    "obj", [None, 1, "text", [1, {"k": (2, 3)}], math.sin, Plain, str.upper, io.BytesIO(b"x").getvalue()]
)
def test_what_pickle_can_send_arrives_equal(obj: object) -> None:
    assert across(obj) == obj


def test_plain_pickle_is_tried_first() -> None:
    assert pickle.loads(pack_object({"key": [1, 2]}, {})[5:]) == {"key": [1, 2]}


def test_a_lambda_sees_the_globals_of_the_process_it_arrives_in(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pack_object(lambda: counter, {})
    monkeypatch.setitem(globals(), "counter", 7)

    function = unpack_object(packed, {})

    assert function() == 7
    assert function.__globals__ is globals()


def test_a_local_function_changes_the_globals_of_the_process_it_arrives_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "counter", 1)

    def count() -> None:
        global counter
        counter += 1

    across(count)()

    assert counter == 2


def test_closures_defaults_and_recursion() -> None:
    def factorial(n: int, start: int = 1, *, scale: int = 2) -> int:
        return start * scale if n == 0 else n * factorial(n - 1, start, scale=scale)

    function = across(factorial)

    assert function is not factorial
    assert function(5) == factorial(5) == 240


def test_a_function_whose_globals_are_no_module_s_takes_those_that_it_names_along() -> None:
    namespace: dict[str, Any] = {"__name__": "no_module", "number": 7, "lock": threading.Lock()}
    exec("def outer():\n    return inner()\ndef inner():\n    return number", namespace)

    assert across(namespace["outer"])() == 7


def test_a_module_in_a_closure_is_the_receiver_s_module() -> None:
    module = sys.modules[__name__]

    assert across(lambda: module)() is module


def test_a_live_object_is_found_by_identity_wherever_it_is() -> None:
    class App:
        lock = threading.Lock()

        def handler(self) -> None: ...

    app, other = App(), App()

    def function(default: object = app) -> object:
        return (app, default)

    sent = (function, (app, [app]), {"method": app.handler, "partial": functools.partial(print, app)})
    function, args, kwargs = unpack_object(pack_object(sent, {"app": app}), {"app": other})

    assert function() == (other, other)
    assert args == (other, [other])
    assert kwargs["method"].__self__ is other
    assert kwargs["partial"].args == (other,)


def test_a_local_class_that_this_process_has_arrives_as_it_is() -> None:
    class Local:
        def __init__(self) -> None:
            super().__init__()
            self.value = 7

    arrived = across(lambda: Local)

    assert arrived() is Local
    assert type(across(Local())) is Local


class Unsendable:
    def __init__(self) -> None:
        self.items = [threading.Lock()]


UNSENDABLE = Unsendable()
WHAT_AND_WHERE: list[tuple[object, str]] = [
    (threading.Lock(), "<unlocked _thread.lock"),
    ([1, threading.Lock()], "[1]: "),
    ({"k": {"l": threading.RLock()}}, "['k'] -> ['l']: "),
    (UNSENDABLE, ".items -> [0]: "),
    ((print, (1, UNSENDABLE), {}), "argument 1 -> .items -> [0]: "),
    ((print, (), {"x": UNSENDABLE}), "argument 'x' -> .items -> [0]: "),
    ((lambda: UNSENDABLE, (threading.Lock(),), {}), "argument 0: "),
    ((lambda x=UNSENDABLE: x, (), {}), "the function -> default"),
    (functools.partial(print, UNSENDABLE), ".args -> [0] -> .items -> [0]: "),
    (Plain(UNSENDABLE).method, ".__self__ -> .value -> .items -> [0]: "),
]


@pytest.mark.parametrize(("obj", "where"), WHAT_AND_WHERE, ids=lambda value: value if isinstance(value, str) else "")
def test_an_error_says_which_part_cannot_be_sent(obj: object, where: str) -> None:
    with pytest.raises(ObjectNotSendable) as caught:
        pack_object(obj, {})

    assert str(caught.value).startswith(where)
    assert "cannot pickle '_thread." in str(caught.value)
    assert str(caught.value).endswith("create it in the function that needs it, or pass what it is made from")
    assert isinstance(caught.value, TypeError)


def test_an_error_names_a_variable_of_a_closure() -> None:
    connection = threading.Lock()

    with pytest.raises(ObjectNotSendable, match=r"^the function -> closure variable 'connection': cannot pickle"):
        pack_object((lambda: connection, (), {}), {})


def test_an_open_file_is_not_opened_again(tmp_path: Any) -> None:
    with open(tmp_path / "file", "w") as file, pytest.raises(ObjectNotSendable, match="TextIOWrapper"):
        pack_object(lambda: file, {})


def test_a_pickle_hook_that_raises() -> None:
    class Raises:
        def __reduce__(self) -> Any:
            raise SystemExit("in __reduce__")

    with pytest.raises(ObjectNotSendable, match="in __reduce__") as caught:
        pack_object((print, (Raises(),), {}), {})
    assert str(caught.value).startswith("argument 0: ")


class Interrupts:
    def __init__(self, how: str) -> None:
        self.how = how

    def __getstate__(self) -> object:
        if self.how == "pack":
            raise KeyboardInterrupt
        return {"how": self.how}

    def __setstate__(self, state: object) -> None:
        raise KeyboardInterrupt


def test_an_interrupt_is_nobody_s_error() -> None:
    with pytest.raises(KeyboardInterrupt):
        pack_object(Interrupts("pack"), {})
    packed = pack_object(Interrupts("unpack"), {})
    with pytest.raises(KeyboardInterrupt):
        unpack_object(packed, {})


def test_the_search_for_the_part_ends_at_some_depth_and_shows_both_ends_of_the_way() -> None:
    deep: Any = threading.Lock()
    for _ in range(50):
        deep = [deep]

    with pytest.raises(ObjectNotSendable) as caught:
        pack_object(deep, {})
    assert str(caught.value).startswith("[0] -> [0] -> ... -> [0] -> [0] -> [0] -> [0]: cannot pickle")


def test_a_part_that_cannot_be_looked_into() -> None:
    class Closed:
        @property
        def __dict__(self) -> Any:  # type: ignore[override]
            raise ValueError("closed")

        def __reduce__(self) -> Any:
            raise TypeError("stays here")

    with pytest.raises(ObjectNotSendable, match=r"^\{.*Closed object at .*\}: stays here"):
        pack_object({Closed()}, {})


def test_a_module_that_the_receiver_cannot_import(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("sender_only")
    exec("function = lambda: 1\ndef named(): ...", module.__dict__)
    with monkeypatch.context() as sender:
        sender.setitem(sys.modules, "sender_only", module)
        packed = [pack_object(module.function, {}), pack_object(module.named, {}), pack_object([module], {})]

    for data in packed:
        with pytest.raises(ObjectNotLoadable, match="needs the module 'sender_only', which cannot be imported"):
            unpack_object(data, {})


def test_a_state_that_cannot_be_set() -> None:
    packed = pack_object(LoadsBadly(), {})

    with pytest.raises(ObjectNotLoadable, match=r"rebuilt in this process: SystemExit: not again") as caught:
        unpack_object(packed, {})
    assert isinstance(caught.value.__cause__, SystemExit)


class LoadsBadly:
    def __init__(self) -> None:
        self.value = 1

    def __setstate__(self, state: object) -> None:
        raise SystemExit("not again")


def test_a_live_object_that_the_receiver_does_not_have() -> None:
    app = object()

    with pytest.raises(ObjectNotLoadable, match="KeyError: 'app'"):
        unpack_object(pack_object([app], {"app": app}), {})
