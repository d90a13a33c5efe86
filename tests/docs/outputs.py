"""The outputs and terminal pictures that the pages show, made by running what the pages have.

Usage::

    python -m tests.docs.outputs            # says which pages are stale; so does test_outputs.py
    python -m tests.docs.outputs --write    # writes what is shown anew, in all pages or in those that are named

A comment in a page says what the block of text, or the picture, behind it comes from. The files are the code blocks of
that page whose first line is their name::

    <!-- output of: pytest --isolated test_shop.py -->
    <!-- output of: pytest test_shop.py -- from "== FAILURES" until "== short test summary" -->
    <!-- picture of: pytest test_shop.py -- width 60 cut "-- isoclient" to "== short test summary" -->

A further file is another one with a change, a block that shows what is taken out and what comes in its place::

    <!-- file test_after.py: test_before.py with this change -->

What differs from one run, machine or version to the next is made the same: see ``shown.py``.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import isoclient
from tests.docs.pages import PAGES, ROOT, blocks_of
from tests.docs.shown import Line, as_shown, lines_of, plain
from tests.docs.terminal_picture import draw

MARK = re.compile(
    r"^<!-- (?P<kind>output|picture) of: (?P<command>.+?)(?: -- (?P<how>.+?))? -->\n"
    r"(?:(?P<open>```\w*\n)(?P<text>.*?)(?P<close>^```$)|(?P<image>!\[[^]]*\]\((?P<target>[^)]+)\)))",
    re.M | re.S,
)
CHANGED = re.compile(r"^<!-- file (\w+\.py): (\w+\.py) with this change -->\n```diff\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Wanted:
    """What a comment asks for."""

    command: str
    since: str = ""
    until: str = ""
    cut: str = ""
    to: str = ""
    width: int = 80

    @classmethod
    def parse(cls, command: str, how: str | None) -> Wanted:
        words = shlex.split(how or "")
        said = dict(zip(words[::2], words[1::2], strict=True))
        assert said.keys() <= {"from", "until", "cut", "to", "width"}, f"not known: {how}"
        since, until, cut, to = (said.get(name, "") for name in ("from", "until", "cut", "to"))
        return cls(command, since, until, cut, to, int(said.get("width", 80)))


def run(page: Path, wanted: Wanted, *, color: bool) -> list[Line]:
    """What a terminal shows of a command, beginning with its prompt."""
    lines = _lines_of_run(page, wanted.command, wanted.width, color)
    return [*lines_of(f"$ {wanted.command}"), *_excerpt(lines, wanted)]


@cache
def _lines_of_run(page: Path, command: str, width: int, color: bool) -> list[Line]:
    """A page may show several parts of one run."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name).resolve()
        for file, source in _files(page).items():
            (directory / file).write_text(source, encoding="utf-8")
        (directory / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        done = subprocess.run(
            [*_program(command), f"--color={'yes' if color else 'no'}"],
            cwd=directory,
            env=_environment(width),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
        )
        text = done.stdout.decode("utf-8", "replace")
        if done.returncode < 0:  # what a shell says of it
            text = f"{text.rstrip()}\n{signal.strsignal(-done.returncode)}\n"
    return as_shown(lines_of(text), directory, width)


def _files(page: Path) -> dict[str, str]:
    files = {block.name: block.source for block in blocks_of(page)}
    for name, origin, change in CHANGED.findall(page.read_text(encoding="utf-8")):
        source = files[origin]
        for gone, come in re.findall(r"^-(.*\n)\+(.*\n)", change, re.M):
            assert source.count(gone) == 1, f"{origin} has no such line: {gone}"
            source = source.replace(gone, come)
        files[name] = source
    return files


def _program(command: str) -> list[str]:
    program, *arguments = shlex.split(command)
    assert program == "pytest", f"only pytest is run: {command}"
    return [sys.executable, "-m", "pytest", "-p", "isoclient", "-p", "no:cacheprovider", *arguments]


def _environment(width: int) -> dict[str, str]:
    package = str(Path(isoclient.__file__).parents[1])
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COVERAGE_", "COV_"))}
    return {
        **ours,
        "COLUMNS": str(width),
        "PYTHONPATH": package,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHON_COLORS": "0",  # what Python itself prints; pytest is told by its option
    }


def _excerpt(lines: list[Line], wanted: Wanted) -> list[Line]:
    first = _find(lines, wanted.since) if wanted.since else 0
    lines = lines[first : _find(lines, wanted.until, first + 1) if wanted.until else None]
    if not wanted.cut:
        return lines
    start = _find(lines, wanted.cut)
    return [*lines[:start], *lines_of("..."), *lines[_find(lines, wanted.to, start) :]]


def _find(lines: list[Line], pattern: str, start: int = 0) -> int:
    found = [at for at in range(start, len(lines)) if re.search(pattern, plain(lines[at]))]
    assert found, f"no line with {pattern!r} in:\n" + "\n".join(map(plain, lines))
    return found[0]


def made_anew(page: Path) -> Iterator[tuple[Path, str]]:
    """The files that belong to a page, as they are to be: the page itself, and its pictures."""
    pictures = []

    def fill(mark: re.Match[str]) -> str:
        wanted = Wanted.parse(mark["command"], mark["how"])
        lines = run(page, wanted, color=mark["kind"] == "picture")
        if mark["kind"] == "picture":
            pictures.append((page.parent / mark["target"], draw(lines, wanted.width, title=wanted.command)))
            return mark[0]
        head = mark[0][: mark.start("text") - mark.start()]
        return head + "".join(f"{plain(line).rstrip()}\n" for line in lines) + mark["close"]

    yield page, MARK.sub(fill, page.read_text(encoding="utf-8"))
    yield from pictures


def with_outputs() -> list[Path]:
    """The pages that show what a run has shown."""
    return [page for page in PAGES if MARK.search(page.read_text(encoding="utf-8"))]


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the outputs that the pages show afresh.")
    parser.add_argument("pages", nargs="*", type=Path, help="those alone; otherwise all that show some")
    parser.add_argument("--write", action="store_true", help="write them, and do not only say which are stale")
    options = parser.parse_args()
    stale = 0
    for page in [path.resolve() for path in options.pages] or with_outputs():
        for path, text in made_anew(page):
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                stale += 1
                print(f"{'written' if options.write else 'stale'}: {path.relative_to(ROOT)}")
                if options.write:
                    path.parent.mkdir(exist_ok=True)
                    path.write_text(text, encoding="utf-8")
    return 1 if stale and not options.write else 0


if __name__ == "__main__":
    sys.exit(main())
