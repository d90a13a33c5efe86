"""Exceptions that behave: each arrives equal, in one process, which is what a fork's two processes look like."""

from __future__ import annotations

import builtins
import importlib.util
import io
import json
import pkgutil
import re
import subprocess
import sys
import tarfile
import traceback
import warnings
import weakref
import xml.sax.xmlreader
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from isoclient.transit import ExceptionStandIn, StandIn, pack_exception, unpack_exception
from isoclient.transit.state import read_state
from isoclient.transit.text import text_of

# One of these fits nearly every constructor.
ARGUMENTS: list[tuple[Any, ...]] = [
    (),
    ("text",),
    (None, "text"),
    (2, "no such file", "a", None, "b"),
    ("utf-8", b"\xff", 0, 1, "bad"),
    ("utf-8", "\xff", 0, 1, "bad"),
    ("\xff", 0, 1, "bad"),
    ("text", ("file.py", 1, 2, "source", 1, 3)),
    ("group", [ValueError("member")]),
    ("text", "document", 0),
    (1, ["command"]),
    ("command", 1.5),
    ("text", 1),
    ("text", 1, "more"),
]

# These need more than plain values, or misuse them when they are collected.
OWN_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "argparse.ArgumentError": (None, "text"),
    "py_compile.PyCompileError": (ValueError, ValueError("text"), "file.py"),
    "pydoc.ErrorDuringImport": (
        "file.py",
        ValueError("text") if sys.version_info >= (3, 12) else (ValueError, ValueError("text"), None),
    ),
    "tarfile.AbsoluteLinkError": (tarfile.TarInfo("name"),),
    "tarfile.AbsolutePathError": (tarfile.TarInfo("name"),),
    "tarfile.LinkFallbackError": (tarfile.TarInfo("name"), "path"),
    "tarfile.LinkOutsideDestinationError": (tarfile.TarInfo("name"), "path"),
    "tarfile.OutsideDestinationError": (tarfile.TarInfo("name"), "path"),
    "tarfile.SpecialFileError": (tarfile.TarInfo("name"),),
    "urllib.error.HTTPError": ("http://testserver/", 404, "not found", {}, io.BytesIO(b"body")),
    "xml.sax._exceptions.SAXParseException": ("text", None, xml.sax.xmlreader.Locator()),
}
# Nothing can make an instance of these: they are abstract, or their base class takes other arguments than they pass on.
NOT_CONSTRUCTIBLE = {"xml.dom.DOMException"}


def across(exc: BaseException) -> BaseException:
    return unpack_exception(pack_exception(exc))


def raised(exc: BaseException) -> BaseException:
    try:
        raise exc
    except BaseException as caught:
        return caught


def description(exc: BaseException) -> dict[str, Any]:
    """All that can be seen of an exception; its parts by repr, as exceptions have no equality."""
    texts = {how.__name__: text_of(exc, how, 10_000) for how in (str, repr)}
    return {"class": type(exc), "state": re.sub("0x[0-9a-f]+", "", repr(read_state(exc))), **texts}


def instances(cls: type[BaseException]) -> Iterator[BaseException]:
    own = OWN_ARGUMENTS.get(f"{cls.__module__}.{cls.__qualname__}")
    for arguments in ARGUMENTS if own is None else [own]:
        try:
            yield cls(*arguments)
        except Exception:  # not what this class takes
            continue


BUILTIN = [cls for cls in vars(builtins).values() if isinstance(cls, type) and issubclass(cls, BaseException)]


@pytest.mark.parametrize("cls", BUILTIN, ids=lambda cls: cls.__name__)
def test_every_builtin_exception_arrives_equal(cls: type[BaseException]) -> None:
    made = list(instances(cls))

    assert made
    assert [description(across(exc)) for exc in made] == [description(exc) for exc in made]


def standard_library_classes() -> list[type[BaseException]]:
    """Every exception class of every public module of the standard library that can be imported here."""
    apart = {"antigravity", "idlelib", "lib2to3", "test", "this", "tkinter", "turtle", "turtledemo"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in sorted(name for name in sys.stdlib_module_names - apart if not name.startswith("_")):
            for module in (name, *submodules(name)):
                try:
                    importlib.import_module(module)
                except Exception:  # of another platform
                    continue
    # The classes of stand-ins are named after what they stand for, and those of other tests may still be there.
    found = {cls for cls in subclasses(BaseException) if not issubclass(cls, ExceptionStandIn)}
    return sorted(
        (cls for cls in found if str(cls.__module__).partition(".")[0] in sys.stdlib_module_names),
        key=lambda cls: (cls.__module__, cls.__qualname__),
    )


def submodules(name: str) -> list[str]:
    spec = importlib.util.find_spec(name)
    paths = spec.submodule_search_locations if spec is not None else None
    names = [info.name for info in pkgutil.iter_modules(paths or [], f"{name}.")]
    return [name for name in names if "test" not in name and not name.endswith("__main__")]


def subclasses(cls: type[BaseException]) -> set[type[BaseException]]:
    direct = set(type.__subclasses__(cls))
    return direct.union(*map(subclasses, direct))


def test_every_exception_of_the_standard_library_arrives_equal() -> None:
    outcomes: dict[str, set[str]] = {"equal": set(), "lossy": set(), "stand-in": set(), "never made": set()}
    for cls in standard_library_classes():
        name = f"{cls.__module__}.{cls.__qualname__}"
        made = [(exc, across(exc)) for exc in instances(cls)]
        for outcome in {outcome_of(exc, arrived) for exc, arrived in made} or {"never made"}:
            outcomes[outcome].add(name)

    assert outcomes["stand-in"] == set()
    assert outcomes["lossy"] == {"urllib.error.HTTPError"}  # it owns a file, and so do two of its attributes
    assert outcomes["never made"] == NOT_CONSTRUCTIBLE
    assert len(outcomes["equal"]) > 250


def outcome_of(exc: BaseException, arrived: BaseException) -> str:
    if isinstance(arrived, ExceptionStandIn):
        return "stand-in"
    state = read_state(arrived)
    values = [*state["args"], *state["fields"].values(), *state["attributes"].values()]
    lossy = any(isinstance(value, StandIn) for value in values) or description(arrived) != description(exc)
    return "lossy" if lossy else "equal"


def httpx_status_error() -> BaseException:
    httpx = pytest.importorskip("httpx")
    request = httpx.Request("GET", "http://testserver/")
    response = httpx.Response(500, request=request)
    error: BaseException = httpx.HTTPStatusError("500", request=request, response=response)
    return error


def pydantic_validation_error() -> BaseException:
    pydantic = pytest.importorskip("pydantic")
    with pytest.raises(pydantic.ValidationError) as caught:
        pydantic.TypeAdapter(list[int]).validate_python(["one", 2])
    error: BaseException = caught.value
    return error


def fastapi_http_exception() -> BaseException:
    error: BaseException = pytest.importorskip("fastapi").HTTPException(418, {"short": True}, {"x-pot": "tea"})
    return error


def starlette_websocket_exception() -> BaseException:
    error: BaseException = pytest.importorskip("starlette.exceptions").WebSocketException(1008, "policy")
    return error


LIBRARIES: list[Callable[[], BaseException]] = [
    httpx_status_error,
    pydantic_validation_error,
    fastapi_http_exception,
    starlette_websocket_exception,
    lambda: requests.HTTPError("500", response=requests.Response()),
    lambda: json.JSONDecodeError("expecting value", "{", 1),
    lambda: subprocess.CalledProcessError(3, ["false"], b"out", b"err"),
]


@pytest.mark.parametrize("make", LIBRARIES)
def test_exceptions_of_libraries_arrive_as_what_they_are(make: Callable[[], BaseException]) -> None:
    exc = make()

    arrived = across(exc)

    assert type(arrived) is type(exc)
    assert str(arrived) == str(exc)
    assert arrived.args == exc.args
    assert {name: type(value) for name, value in vars(arrived).items()} == {
        name: type(value) for name, value in vars(exc).items()
    }


def test_a_pydantic_error_has_its_details() -> None:
    exc: Any = pydantic_validation_error()

    arrived: Any = across(exc)

    assert arrived.errors() == exc.errors()


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


def app_code() -> None:
    raise LookupError("nothing there")  # the line a traceback shows


def test_the_traceback_shows_file_line_function_and_source() -> None:
    with pytest.raises(LookupError) as caught:
        app_code()

    shown = "".join(traceback.format_exception(across(caught.value)))

    assert f'File "{__file__}", line {app_code.__code__.co_firstlineno + 1}, in app_code' in shown
    assert 'raise LookupError("nothing there")  # the line a traceback shows' in shown
    assert shown.endswith("LookupError: nothing there\n")


def test_it_marks_the_failing_expression_as_the_original_does() -> None:
    def over_two_lines(found: dict[str, int]) -> int:
        return sum([found["there"],
                    found["missing"]]) + len(str(found))  # fmt: skip

    def far_to_the_right(found: dict[str, int]) -> int:
        return max(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, over_two_lines(found)) + 1

    with pytest.raises(KeyError) as caught:
        far_to_the_right({"there": 1})
    original = "".join(traceback.format_exception(caught.value))

    assert "^^^^^^" in original
    assert "".join(traceback.format_exception(across(caught.value))) == original


def test_it_marks_nothing_where_the_columns_are_not_known() -> None:
    code = compile("\n\n1 / 0", "shop.py", "exec")
    lines = bytes([0x80 | 13 << 3 | 7, 4])  # eight units of code on the third line, without columns
    with pytest.raises(ZeroDivisionError) as caught:
        exec(code.replace(co_linetable=lines))
    *_, last = traceback.extract_tb(across(caught.value).__traceback__)

    assert (last.filename, last.lineno, last.colno) == ("shop.py", 3, None)


def test_the_frames_know_where_their_function_begins_and_what_pytest_hides() -> None:
    def helper() -> None:
        __tracebackhide__ = True
        app_code()

    with pytest.raises(LookupError) as caught:
        helper()
    frames = [frame for frame, _ in traceback.walk_tb(across(caught.value).__traceback__)]

    assert [frame.f_code.co_name for frame in frames][-2:] == ["helper", "app_code"]
    assert frames[-1].f_code.co_firstlineno == app_code.__code__.co_firstlineno
    assert frames[-1].f_globals["__name__"] == __name__
    assert [bool(frame.f_locals.get("__tracebackhide__")) for frame in frames][-2:] == [True, False]


def test_the_frames_of_the_host_before_the_app_s_first_are_left_out() -> None:
    host = exec_in_file("isoclient/server/tasks.py", "def run(app):\n    app()")
    library = exec_in_file("framework.py", "def run(app):\n    app()")

    with pytest.raises(LookupError) as caught:
        host(lambda: library(lambda: host(app_code)))
    traceback_of_the_app = caught.value.__traceback__.tb_next if caught.value.__traceback__ else None
    frames = traceback.extract_tb(across(caught.value.with_traceback(traceback_of_the_app)).__traceback__)

    assert [frame.name for frame in frames] == ["<lambda>", "run", "<lambda>", "run", "app_code"]


def exec_in_file(path: str, source: str) -> Any:
    import isoclient

    folder = isoclient.__path__[0].removesuffix("isoclient")
    namespace: dict[str, Any] = {}
    exec(compile(source, f"{folder}{path}", "exec"), namespace)
    return namespace["run"]


def recurse(depth: int) -> None:
    if depth == 0:
        raise ValueError("at the bottom")
    recurse(depth - 1)


def test_a_recursion_error_keeps_its_first_and_last_frames() -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(4_000)
    try:
        with pytest.raises(ValueError, match="at the bottom") as caught:
            recurse(2_000)
    finally:
        sys.setrecursionlimit(limit)

    arrived = across(caught.value)

    frames = traceback.extract_tb(arrived.__traceback__)
    assert len(frames) == 1_001
    assert frames[0].name == "test_a_recursion_error_keeps_its_first_and_last_frames"
    assert frames[500].name == "(1,002 frames left out)"
    assert frames[-1].line == 'raise ValueError("at the bottom")'


def test_infinite_recursion() -> None:
    def forever() -> None:
        forever()

    with pytest.raises(RecursionError) as caught:
        forever()
    arrived = across(caught.value)

    assert type(arrived) is RecursionError
    assert str(arrived) == str(caught.value)
    assert len(traceback.extract_tb(arrived.__traceback__)) > 500


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
    exc = ValueError("text")
    exc.body = bytes(20 * 2**20)  # type: ignore[attr-defined]
    exc.status = 500  # type: ignore[attr-defined]

    packed = pack_exception(exc)
    arrived = unpack_exception(packed)

    assert len(packed) < 2**20
    assert type(arrived) is ValueError
    assert isinstance(vars(arrived)["body"], StandIn)
    assert vars(arrived)["status"] == 500


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
