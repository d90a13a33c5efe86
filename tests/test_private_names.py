"""Private names of other projects are in isoclient.compat, and our own stay in the file that has them.

A name that begins with one underscore may be used

* as an attribute of ``self``, ``cls`` or ``super()``, if some class of ours defines it;
* of anything else, and as text (for ``getattr``, ``vars``, ``sys.modules``), if the same file defines it;

and it may not be imported. What a project documents in spite of its underscore is public. The tests of this package use
none of its private names, but for those that are listed here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.test_imports import PACKAGE, modules

DOCUMENTED = {"_exit", "_getframe", "_current_frames", "_replace", "_make", "_fields"}
# The room below compat, with the system itself.
OF_THE_SYSTEM = {
    ("system/locks.py", "_at_fork_reinit"),
    ("system/locks.py", "_is_owned"),
    ("system/modules.py", "_FOUND"),
    ("system/modules.py", "_signal"),
    ("system/modules.py", "_socket"),
}
# Names of packages and files, to tell by where something has been defined; and ends of names.
WORDS = {"_dill", "_pytest", "_test"}

PRIVATE = re.compile(r"_[a-zA-Z]\w*")
ANYWHERE = re.compile(r"([a-z]\w*\.)*_[a-zA-Z]\w*(\.\w+)*")


def is_private(name: str) -> bool:
    return PRIVATE.fullmatch(name) is not None


def is_own(node: ast.expr) -> bool:
    """Whether it is ``self``, ``cls`` or ``super()``."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "super"
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def defined(tree: ast.AST) -> Iterator[str]:
    """The names that a file gives to something of its own."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ClassDef(name=name):
                yield from (name, f"_{name}__text")  # as Python makes it of ``__text`` in there
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.Attribute(value=ast.expr() as owner, attr=name, ctx=ast.Store()) if is_own(owner):
                yield name
            case ast.Assign(targets=[ast.Name(id="__slots__")], value=value):
                yield from (str(part.value) for part in ast.walk(value) if isinstance(part, ast.Constant))


def used(tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """The private names that a file uses, and whether as those of its own object."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=owner, attr=name) if is_private(name):
                yield name, is_own(owner)
            case ast.Import(names=names):
                yield from ((part, False) for alias in names for part in alias.name.split(".") if is_private(part))
            case ast.ImportFrom(module=str(module), names=names):
                parts = [*module.split("."), *(alias.name for alias in names)]
                yield from ((f"import {part}", False) for part in parts if is_private(part))
            case ast.Constant(value=str(text)) if ANYWHERE.fullmatch(text):
                yield next(part for part in text.split(".") if is_private(part)), False


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def test_private_names_of_others_are_in_one_place() -> None:
    ours = {name for path in modules() for name in defined(parsed(path))}
    found = set()
    for path in modules():
        if path.parent == PACKAGE / "compat":
            continue
        here = set(defined(parsed(path))) | DOCUMENTED | WORDS
        for name, of_its_own in used(parsed(path)):
            if name not in (here | ours if of_its_own else here):
                found.add((path.relative_to(PACKAGE).as_posix(), name))
    assert found - OF_THE_SYSTEM == set()


TESTS = Path(__file__).parent
# Where a test has to look inside all the same.
INSIDE = {
    ("benchmarks/waiting.py", "_processors"),
    ("client/test_supervisor.py", "_closers"),  # another thread that closes, at one moment
    ("client/test_supervisor.py", "_supervisor"),
    ("contract/test_forks.py", "_mutex"),  # whatever a thread may hold when another one forks
    ("contract/test_forks.py", "_supervisor"),
    ("drive/test_eager.py", "_BUSY"),  # times, and what the machine has: so that no test depends on them
    ("drive/test_eager.py", "_LATE"),
    ("drive/test_eager.py", "_MOMENT"),
    ("drive/test_eager.py", "_offer_processor"),
    ("drive/test_eager.py", "_processors"),
    ("isolate/test_relaying.py", "_relay"),  # names of functions, none of which is to be in a traceback
    ("isolate/test_relaying.py", "_run"),
    ("process/test_dumps.py", "_IN_ALL"),  # times
    ("process/test_dumps.py", "_TO_BEGIN"),
    ("process/test_dumps.py", "_TO_GO_ON"),
    ("process/test_departed.py", "_DYING"),
    ("process/test_departed.py", "_MOMENT"),
    ("reliability/test_close.py", "_TERM_TIME"),
    ("reliability/handles.py", "_supervisor"),  # in one place, for all that look at the process from outside
    ("server/test_lookup.py", "_LONGEST"),  # a time, and how often it is looked at
    ("server/test_lookup.py", "_STEP"),
    ("transit/test_hostile_classes.py", "_Packer"),  # a failure of ours, wherever it may be
    ("wire/test_frames.py", "_room"),  # how often something is called, which nobody sees from outside
    ("wire/test_journal.py", "_found"),
    ("wire/test_mux.py", "_table"),  # what would be kept as long as the client
}
# Of other projects, where something of ours has the same name.
OF_OTHERS = {"_app", "_build", "_config", "_content", "_cookies", "_lock", "_pool", "_shutdown", "_stop"}


def test_tests_see_what_others_can_see() -> None:
    ours = {name for path in modules() for name in defined(parsed(path)) if is_private(name)} - DOCUMENTED - OF_OTHERS
    found = set()
    for path in set(TESTS.rglob("*.py")) - {Path(__file__)}:
        if ours.isdisjoint(PRIVATE.findall(path.read_text())):
            continue
        elsewhere = ours - set(defined(parsed(path)))
        for name, of_its_own in used(parsed(path)):
            if name in elsewhere and not of_its_own:
                found.add((path.relative_to(TESTS).as_posix(), name))
    assert found == INSIDE


def test_a_module_of_compat_is_named_after_its_project() -> None:
    for path in (PACKAGE / "compat").glob("*.py"):
        assert re.fullmatch(r"__init__|self_tests|coverage_py|python_\w+|\w+_", path.stem), path
