"""Objects: whole or not at all, and if not, with an error that says where and why."""

from __future__ import annotations

import contextlib
import functools
import gc
import io
import math
import pickle
import sys
import threading
import warnings
import weakref
from types import ModuleType
from typing import Any

import dill
import pytest

from isoclient.errors import ObjectNotLoadable, ObjectNotSendable
from isoclient.transit import pack_object, unpack_object

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
    assert pickle.loads(pack_object({"key": [1, 2]}, {})[1:]) == {"key": [1, 2]}


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


def test_a_function_that_says_it_is_another_modules_has_the_globals_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``functools.wraps`` makes it say. Not all of these globals could be copied."""
    module = ModuleType("a_shop")
    module.lock, module.size = threading.Lock(), 1  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_shop", module)
    exec("def size_of(further): return size if further is None else further()", vars(module))
    function = functools.wraps(math.sqrt)(module.size_of)
    copy = unpack_object(pack_object([function, function], {}), {})
    assert copy[0] is copy[1]
    module.size = 7  # type: ignore[attr-defined]
    assert copy[0](None) == 7
    assert copy[0].__doc__ == math.sqrt.__doc__


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
    ((lambda x=UNSENDABLE: x, (), {}), "the function -> default of 'x' -> .items -> [0]: "),
    ((lambda a, x=UNSENDABLE, y=1: x, (), {}), "the function -> default of 'x' -> .items -> [0]: "),
    ((lambda *, x=UNSENDABLE: x, (), {}), "the function -> default of 'x' -> .items -> [0]: "),
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


def error_of(obj: object) -> str:
    with pytest.raises(ObjectNotSendable) as caught:
        pack_object(obj, {})
    return str(caught.value)


def test_an_error_names_a_variable_of_a_closure() -> None:
    connection = threading.Lock()

    with pytest.raises(ObjectNotSendable, match=r"^the function -> closure variable 'connection': cannot pickle"):
        pack_object((lambda: connection, (), {}), {})


def test_an_error_names_the_variables_of_a_closure_in_a_closure() -> None:
    connection = threading.Lock()

    def inner() -> object:
        return connection

    def middle() -> object:
        return inner

    def outer() -> object:
        return middle

    way = "closure variable 'middle' -> closure variable 'inner' -> closure variable 'connection': cannot pickle"
    assert error_of([1, outer]).startswith(f"[1] -> {way}")


def test_an_error_names_a_global_of_a_function_that_takes_it_along() -> None:
    namespace: dict[str, Any] = {"__name__": "no_module", "lock": threading.Lock()}
    exec("def function():\n    return lock", namespace)

    assert error_of([namespace["function"]]).startswith("[0] -> global 'lock': cannot pickle")


def test_an_error_names_what_is_in_a_local_class() -> None:
    class Base:
        lock = threading.Lock()

    class Derived(Base):
        def method(self) -> None: ...

    assert error_of([Derived()]).startswith("[0] -> .__class__ -> .__bases__ -> [0] -> .lock: cannot pickle")
    assert error_of({"k": Derived().method}).startswith(
        "['k'] -> .__self__ -> .__class__ -> .__bases__ -> [0] -> .lock"
    )


class Router:
    def __init__(self) -> None:
        self.lifespan_context = Lifespan(self)
        self.routes: list[Plain] = []


class Lifespan:
    def __init__(self, router: Router) -> None:
        self._router = router


def routed(*endpoints: Any) -> Plain:
    """In the shape of an app of a framework, whose parts know each other."""
    router = Router()
    router.routes = [Plain(endpoint) for endpoint in endpoints]
    return Plain(router)


def local_class(*parts: object) -> type:
    """A class that cannot be sent, because it has itself as a part."""

    class Item:
        known: tuple[object, ...]

    Item.known = (*parts, {"class": Item})
    return Item


def test_the_way_to_a_part_of_an_app_does_not_go_round_in_circles() -> None:
    def endpoint(item: object) -> None: ...

    endpoint.__annotations__["item"] = local_class()
    app = routed(lambda: counter, endpoint)

    assert error_of((print, (), {"app": app})).startswith(
        "argument 'app' -> .value -> .routes -> [1] -> .value -> annotation of 'item': Can't pickle <class '"
    )


def test_the_way_to_what_an_endpoint_of_an_app_depends_on() -> None:
    lock = threading.Lock()

    def dependency() -> object:
        return lock

    def endpoint(given: object = dependency) -> None: ...

    way = ".value -> .routes -> [0] -> .value -> default of 'given' -> closure variable 'lock'"
    assert error_of(routed(endpoint)).startswith(f"{way}: cannot pickle '_thread.lock'")


class Endless:
    other: object

    def __reduce__(self) -> Any:
        return Endless, (self.other,)


def test_the_way_through_what_never_ends_is_no_longer_than_once_round() -> None:
    one, two = Endless(), Endless()
    one.other, two.other = two, one

    error = error_of([one])

    assert "maximum recursion depth" in error
    assert error.count("[0]") == 1
    assert error.count(".other") <= 1


def test_no_part_is_pickled_again_to_find_the_one_that_cannot_be_sent() -> None:
    asked = []

    class Counts:
        def __reduce__(self) -> Any:
            asked.append(self)
            return str, ()

    assert error_of([[Counts(), [Counts(), threading.Lock()]]]).startswith("[0] -> [1] -> [1]: cannot pickle")
    assert len(asked) == 4  # both by pickle, which cannot send the lock, and both by dill


@pytest.mark.parametrize("action", ["always", "error"])
def test_no_warning_of_dill_comes_through_whatever_the_filters(action: Any) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter(action)
        error = error_of(local_class())

    assert "Can't pickle <class '" in error
    assert not caught


def test_no_warning_of_dill_is_raised_even_if_the_filters_are_replaced_meanwhile() -> None:
    class Replaces:
        def __reduce__(self) -> Any:
            warnings.filters = [("error", None, Warning, None, 0)]
            warnings._filters_mutated()  # type: ignore[attr-defined]
            return str, ()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert "Can't pickle <class '" in error_of(local_class(Replaces()))


def test_a_function_of_the_main_module_that_has_itself_as_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    main = vars(sys.modules["__main__"])
    monkeypatch.setitem(main, "function", None)
    exec("def function(itself=None): ...\nfunction.__defaults__ = (function,)", main)

    assert across(main["function"]) is main["function"]


class Tries:
    """What a pickler of dill's could do: try one way, and then another."""

    def __init__(self, first: object, then: object) -> None:
        self.first, self.then = first, then

    def __reduce__(self) -> Any:
        raise TypeError("not by plain pickle")


def nested(depth: int) -> list[Any]:
    return [nested(depth - 1)] if depth else []


@pytest.mark.parametrize("first", [Plain(Plain(threading.Lock())), nested(500)], ids=["lock", "deep"])
def test_an_exception_that_was_caught_on_the_way_says_nothing_of_a_later_one(
    first: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gives_up(pickler: Any, obj: Tries) -> None:
        with contextlib.suppress(TypeError, RecursionError):
            pickler.save(obj.first)
        raise TypeError("gave up")

    monkeypatch.setitem(dill.Pickler.dispatch, Tries, gives_up)

    assert error_of([1, Tries(first, None)]).startswith("[1]: gave up")


def test_an_exception_that_is_caught_and_raised_again_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    errors: list[TypeError] = []

    def keeps(pickler: Any, obj: Tries) -> None:
        try:
            pickler.save(obj.first)
        except TypeError as error:
            errors.append(error)
        pickler.save(obj.then)

    class RaisesAgain:
        def __reduce__(self) -> Any:
            raise errors.pop() if errors else TypeError("not by plain pickle")

    monkeypatch.setitem(dill.Pickler.dispatch, Tries, keeps)

    assert error_of([Tries([[[threading.Lock()]]], RaisesAgain())]).startswith(
        "[0] -> .then: cannot pickle '_thread.lock"
    )
    assert not errors


def test_an_error_leaves_nothing_behind_that_waits_for_the_collector(collector_off: None) -> None:
    def fail() -> tuple[str, weakref.ref[Plain]]:
        app = Plain(threading.Lock())
        try:  # what pytest.raises returns is in a cycle with its frame
            pack_object((lambda: app, (app,), {}), {})
        except ObjectNotSendable as error:
            return str(error), weakref.ref(app)
        return "no error", weakref.ref(app)

    text, app = fail()

    assert "cannot pickle '_thread.lock'" in text
    assert app() is None


@pytest.fixture
def collector_off() -> Any:
    gc.disable()
    yield
    gc.enable()


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


def test_of_a_long_way_to_the_part_both_ends_are_shown() -> None:
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
