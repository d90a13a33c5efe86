"""The traceback of an exception that has crossed: where the app failed, as if it had not."""

from __future__ import annotations

import sys
import traceback
from typing import Any

import pytest

from tests.transit.samples import across


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
