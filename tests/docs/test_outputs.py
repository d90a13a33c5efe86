"""What the pages show of runs is what such runs show: ``python -m tests.docs.outputs --write`` makes it afresh."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.outputs import made_anew, with_outputs
from tests.docs.pages import ROOT
from tests.docs.shown import as_shown, lines_of, plain


@pytest.mark.parametrize("page", with_outputs(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_outputs_are_those_of_a_run(page: Path) -> None:
    remedy = f"python -m tests.docs.outputs --write {page.relative_to(ROOT)}"
    for path, text in made_anew(page):
        assert path.read_text(encoding="utf-8") == text, remedy


def test_what_differs_from_run_to_run_is_the_same() -> None:
    text = (
        "--- isoclient: shop:app (pid 123456) ---\n"
        'E     File "/here/shop.py", line 17 in thumbnail\n'
        'E     File "/usr/lib/python3.11/asyncio/events.py", line 80 in _run\n'
        'E     File "/venv/lib/python3.11/site-packages/fastapi/routing.py", line 381 in app\n'
        "1 failed in 12.34s"
    )
    lines = as_shown(lines_of(text), Path("/here"), 40)
    assert [plain(line) for line in lines] == [
        "---- isoclient: shop:app (pid 4711) ----",
        'E     File "shop.py", line 17 in thumbnail',
        "E     ...",
        "1 failed in 0.31s",
    ]


def test_what_is_left_out_keeps_the_colours_of_the_rest() -> None:
    [line] = as_shown(lines_of("\x1b[31mdied (pid 1)\x1b[0m now"), Path("/here"), 40)
    assert plain(line) == "died (pid 4711) now"
    assert [style for _, style in line] == [frozenset({31})] * 15 + [frozenset()] * 4
