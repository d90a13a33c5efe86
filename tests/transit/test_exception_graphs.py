"""Exceptions that behave: each arrives equal, in one process, which is what a fork's two processes look like."""

from __future__ import annotations

import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from isoclient.transit import ExceptionStandIn, StandIn, pack_exception, unpack_exception
from tests.transit.samples import across, pydantic_validation_error


def raised(exc: BaseException) -> BaseException:
    try:
        raise exc
    except BaseException as caught:
        return caught


class DatabaseError(Exception):
    """In the manner of SQLAlchemy: other arguments than ``args``, a ``__reduce__`` to match, a wrapped exception."""

    def __init__(self, statement: str, original: Exception, *, hide: bool = False) -> None:
        super().__init__(f"({type(original).__name__}) {original}")
        self.statement, self.original, self.hide = statement, original, hide

    def __reduce__(self) -> Any:
        return DatabaseError, (self.statement, self.original), {"hide": self.hide}


def test_an_exception_in_an_attribute_has_its_own_attributes_and_traceback() -> None:
    original = raised(FileNotFoundError(2, "no such file", "base.db"))
    assert isinstance(original, Exception)

    arrived = across(DatabaseError("SELECT 1", original, hide=True))

    assert isinstance(arrived, DatabaseError)
    assert (arrived.statement, arrived.hide) == ("SELECT 1", True)
    assert isinstance(arrived.original, FileNotFoundError)
    assert arrived.original.filename == "base.db"
    assert arrived.original.__traceback__ is not None


def test_what_two_attributes_share_they_still_share() -> None:
    exc = ValueError("text")
    exc.request = exc.last_request = requests.Request("GET", "http://testserver/")  # type: ignore[attr-defined]

    arrived = across(exc)

    assert vars(arrived)["request"] is vars(arrived)["last_request"]
    assert vars(arrived)["request"].url == "http://testserver/"


class Counted:
    """Says how often it has been given its state."""

    restored = 0

    def __init__(self) -> None:
        self.value = 7

    def __setstate__(self, state: dict[str, Any]) -> None:
        Counted.restored += 1
        self.__dict__.update(state)


def with_counted(exc: Any, *, also: BaseException | None = None) -> Any:
    exc.counted, exc.other = Counted(), also
    return exc


class Gone(ValueError): ...


@pytest.mark.parametrize(
    "make",
    [
        lambda: with_counted(ValueError("an attribute")),
        lambda: ValueError("an argument", Counted()),
        lambda: DatabaseError("in an attribute", ValueError(Counted())),
        lambda: with_counted(ValueError("beside another exception"), also=KeyError("k")),
        lambda: ExceptionGroup("a member", [with_counted(ValueError("in a group"))]),
        lambda: with_counted(ExceptionGroup("the group itself", [KeyError("k")])),
        lambda: with_counted(pydantic_validation_error()),
        lambda: with_counted(Gone("its stand-in")),
    ],
    ids=["attribute", "argument", "nested", "beside", "member", "group", "reduced", "stand-in"],
)
def test_what_an_exception_holds_is_given_its_state_once(
    make: Callable[[], BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    exc = make()
    packed = pack_exception(exc)
    if isinstance(exc, Gone):
        monkeypatch.delattr(sys.modules[__name__], "Gone")
    Counted.restored = 0

    unpack_exception(packed)

    assert Counted.restored == 1


def test_a_class_local_to_the_test_arrives_as_that_very_class() -> None:
    class LocalError(Exception):
        __slots__ = ("code",)
        code: int

    exc = LocalError("text")
    exc.code = 7

    with pytest.raises(LocalError) as caught:
        raise across(exc)
    assert type(caught.value) is LocalError
    assert caught.value.code == 7


def test_causes_contexts_and_their_suppression() -> None:
    def handler() -> None:
        try:
            int("one")
        except ValueError as error:
            try:
                raise KeyError("shown instead") from error
            except KeyError:
                raise RuntimeError("at last") from None

    with pytest.raises(RuntimeError) as caught:
        handler()
    arrived = across(caught.value)

    assert arrived.__cause__ is None
    assert arrived.__suppress_context__ is True
    assert isinstance(arrived.__context__, KeyError)
    assert isinstance(arrived.__context__.__cause__, ValueError)
    assert arrived.__context__.__cause__ is arrived.__context__.__context__
    assert arrived.__context__.__cause__.__traceback__ is not None


def test_an_implicit_context_is_not_suppressed() -> None:
    exc = ValueError()
    exc.__context__ = KeyError()

    assert across(exc).__suppress_context__ is False


def test_notes_arrive_in_order() -> None:
    exc = ValueError("text")
    exc.add_note("first")
    exc.add_note("second")

    assert across(exc).__notes__ == ["first", "second"]


def test_groups_arrive_with_their_members_their_notes_and_their_tracebacks() -> None:
    inner = raised(BaseExceptionGroup("inner", [raised(KeyError("k")), raised(OSError(2, "no such file", "f"))]))
    inner.add_note("a note")
    outer = BaseExceptionGroup("outer", (inner, KeyboardInterrupt()))

    arrived = across(outer)

    assert type(arrived) is BaseExceptionGroup
    assert (arrived.message, arrived.args[0], type(arrived.args[1])) == ("outer", "outer", tuple)
    first = arrived.exceptions[0]
    assert isinstance(first, ExceptionGroup)
    assert first.__notes__ == ["a note"]
    assert [repr(member) for member in first.exceptions] == ["KeyError('k')", repr(OSError(2, "no such file"))]
    assert all(member.__traceback__ for member in first.exceptions)
    assert arrived.subgroup(KeyError) is not None


def test_a_subclass_of_a_group_with_its_own_constructor() -> None:
    class Failures(ExceptionGroup[Exception]):
        def __new__(cls, errors: list[Exception]) -> Failures:
            return super().__new__(cls, f"{len(errors)} failures", errors)

        def __init__(self, errors: list[Exception]) -> None:
            self.count = len(errors)

    arrived = across(Failures([ValueError(1), ValueError(2)]))

    assert type(arrived) is Failures
    assert (arrived.message, arrived.count) == ("2 failures", 2)


def test_cycles_arrive_as_cycles() -> None:
    first, second = ValueError("first"), KeyError("second")
    first.__cause__, second.__cause__ = second, first
    first.args = ("first", first)
    first.all = {"both": [first, second]}  # type: ignore[attr-defined]

    arrived = across(first)

    assert arrived.__cause__ is not None
    assert arrived.__cause__.__cause__ is arrived
    assert arrived.args[1] is arrived
    assert vars(arrived)["all"]["both"] == [arrived, arrived.__cause__]


def test_a_group_in_the_cause_of_its_member() -> None:
    member = ValueError()
    group = ExceptionGroup("g", [member])
    member.__cause__ = group

    arrived = across(group)

    assert isinstance(arrived, ExceptionGroup)
    assert arrived.exceptions[0].__cause__ is arrived


def test_a_chain_without_end_is_cut() -> None:
    exc = root = ValueError(0)
    for number in range(1, 3_000):
        exc.__cause__ = ValueError(number)
        exc = exc.__cause__

    chain = list(causes(across(root)))

    assert len(chain) == 1_001
    assert str(chain[999]) == "999"
    assert isinstance(chain[1_000], ExceptionStandIn)
    assert "more than 1,000 exceptions" in str(chain[1_000])


def causes(exc: BaseException | None) -> Iterator[BaseException]:
    while exc is not None:
        yield exc
        exc = exc.__cause__


def test_a_wide_and_a_deep_group_are_cut() -> None:
    wide = across(ExceptionGroup("wide", [ValueError(number) for number in range(3_000)]))
    deep: Exception = ValueError("bottom")
    for number in range(900):
        deep = ExceptionGroup(str(number), [deep])

    assert isinstance(wide, ExceptionGroup)
    assert len(wide.exceptions) == 1_000
    assert isinstance(wide.exceptions[-1], ExceptionStandIn)
    arrived = across(deep)
    depth = 0
    while isinstance(arrived, BaseExceptionGroup):
        depth, arrived = depth + 1, arrived.exceptions[0]
    assert (depth, str(arrived)) == (900, "bottom")


def test_neither_side_keeps_an_exception_alive() -> None:
    class LocalError(Exception):
        pass

    exc = LocalError()
    exc.__cause__ = LocalError()
    arrived = across(exc)
    references = [weakref.ref(error) for error in (exc, exc.__cause__, arrived, arrived.__cause__)]
    del exc, arrived

    assert [reference() for reference in references] == [None] * 4


def test_large_attributes_are_left_out_and_small_ones_are_not() -> None:
    for body in (bytes(20 * 2**20), 1 << 8 * 20 * 2**20):
        exc = ValueError("text")
        exc.body = body  # type: ignore[attr-defined]
        exc.status = 500  # type: ignore[attr-defined]

        packed = pack_exception(exc)
        arrived = unpack_exception(packed)

        assert len(packed) < 2**20
        assert type(arrived) is ValueError
        assert isinstance(vars(arrived)["body"], StandIn)
        assert vars(arrived)["status"] == 500


def test_many_exceptions_with_many_small_attributes_share_the_bound() -> None:
    last = ValueError("text")
    for number in range(300):
        cause, last = last, ValueError(number)
        vars(last).update({f"part {part}": f"{number} {part} ".ljust(2_000) for part in range(45)})
        last.__cause__ = cause

    packed = pack_exception(last)
    arrived = unpack_exception(packed)

    assert len(packed) < 20 * 2**20
    assert arrived.args == (299,)
    assert vars(arrived)["part 44"] == "299 44 ".ljust(2_000)


def test_importing_the_package_imports_neither_tblib_nor_dill_nor_a_front() -> None:
    code = """if True:
        import sys, isoclient.transit as transit
        heavy = {"dill", "tblib", "multiprocess", "requests", "pytest"}
        before = heavy & set(sys.modules)
        transit.unpack_exception(transit.pack_exception(ValueError()))
        transit.unpack_object(transit.pack_object([1], {}), {})
        transit.unpack_debug(transit.pack_debug({}))
        print(sorted(before), sorted(heavy & set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[] []\n"
