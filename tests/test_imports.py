"""Imports run one way, from room to room, and in no circle. The app's process knows none of the test's tools."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import isoclient

PACKAGE = Path(isoclient.__file__).parent
ROOMS = [  # each may import those before it
    "wire",
    "system",
    "compat",
    "transit",
    "asgi",
    "mirror",
    "leaks",
    "server",
    "drive",
    "process",
    "client",
    "plugin",
]
IN_THE_APPS_PROCESS = ROOMS[: ROOMS.index("server") + 1]  # some of it
FOREIGN = {"requests", "pytest", "_pytest", "urllib3", "starlette"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it: for types only or not, at once or later."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_one_way(room: str) -> None:
    allowed = ROOMS[: ROOMS.index(room) + 1]
    for path in (PACKAGE / room).rglob("*.py"):
        for name in imports(path):
            top, _, rest = name.partition(".")
            if top == "isoclient" and rest:
                assert rest.split(".")[0] in [*allowed, "errors"], f"{path}: {name} is not for the {room}"
            if room == "compat":
                continue  # each of its modules may import the project that it is named after
            if room in IN_THE_APPS_PROCESS:
                assert top not in FOREIGN, f"{path}: {name} is not for the {room}"
            if room not in ("client", "plugin"):
                assert top != "requests", f"{path}: {name} is for the client alone"
            assert top not in ("pytest", "_pytest") or room == "plugin", f"{path}: only the plugin knows pytest"


# What has no I/O, no clock, no locks, and starts nothing.
PURE = {"__future__", "collections", "itertools", "marshal", "struct", "typing", "zlib"}


def test_the_wire_is_pure() -> None:
    for path in (PACKAGE / "wire").glob("*.py"):
        for name in imports(path):
            assert name.startswith("isoclient.wire") or name.partition(".")[0] in PURE, f"{path}: {name}"
        used = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        assert not used & {"open", "print", "input", "exec", "eval", "__import__"}, path


def test_there_is_a_room_for_everything() -> None:
    found = {path.parent.name for path in PACKAGE.glob("*/*.py")}
    assert found == set(ROOMS)


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def test_each_module_has_a_name_of_its_own() -> None:
    names = Counter(path.stem for path in modules() if path.stem != "__init__")
    assert {name for name, count in names.items() if count > 1} == set()


def needs(path: Path, known: set[str]) -> Iterator[str]:
    """The modules of ours that a file imports names of, for types only or not."""
    found = set(imports(path)) & known
    for name in found - {name_of(path)}:
        if not any(other.startswith(f"{name}.") for other in found):  # a module in a package, and not the package
            yield name


def reached(name: str, needed: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    ahead = set(needed[name])
    while ahead:
        found |= ahead
        ahead = {further for other in ahead for further in needed[other]} - found
    return found


def test_no_imports_go_in_a_circle() -> None:
    """Not for types either: where two modules need each other's, there is an interface that nobody has written down."""
    paths = {name_of(path): path for path in modules()}
    del paths["isoclient"]  # which imports what it has when that is asked for
    needed = {name: set(needs(path, set(paths))) for name, path in paths.items()}
    assert {name for name in needed if name in reached(name, needed)} == set()


# What tests and plugins patch; the package has it from isoclient.system.modules, as it was.
PATCHED = {"fcntl", "glob", "io", "json", "os", "pathlib", "pickle", "select", "selectors", "shutil", "signal"}
PATCHED |= {"socket", "subprocess", "tempfile", "threading", "time"}
# Where the names are meant that the app itself finds.
MEANT = {
    ("client/lifetimes.py", "os"),  # it asks what the platform has, and calls nothing
    ("server/calls/http.py", "os"),  # a file that the app names is read as the app would read it
    ("server/calls/http.py", "open"),
    ("mirror/unhandled.py", "threading"),  # the hook for exceptions of threads, which it replaces
    ("server/enforcement.py", "threading"),  # the same
}


def lookups(path: Path) -> Iterator[str]:
    """What a file looks up in the modules that tests patch, and builtins.open."""
    yield from (name.partition(".")[0] for name in imports(path))
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name) and node.id == "open":
            yield "open"


def test_nothing_is_looked_up_where_tests_patch_it() -> None:
    found = {
        (path.relative_to(PACKAGE).as_posix(), name)
        for path in modules()
        if path.parent != PACKAGE
        for name in lookups(path)
        if name in PATCHED | {"open"}
    }
    assert {(path, name) for path, name in found if path != "system/modules.py"} == MEANT


def run(program: str, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", *options, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout.strip()


def test_a_fresh_host_imports_no_client() -> None:
    program = """if True:
        import sys
        import isoclient.server.child, isoclient.server.asyncio_runtime, isoclient.server.trio_runtime
        import isoclient.server.fresh_start
        import isoclient.transit
        print(sorted(name for name in sys.modules if name.split(".")[0] in ("requests", "urllib3", "pytest", "_pytest")
                     or name.startswith(("isoclient.client", "isoclient.process", "isoclient.drive"))))
    """
    assert run(program) == "[]"


APP = """
import sys

async def app(scope, receive, send):
    if scope["path"] == "/raise":
        raise LookupError
    found = [name for name in sorted(sys.modules) if name.split(".")[0] in
             ("requests", "urllib3", "pytest", "_pytest", "pluggy", "starlette", "hypothesis")
             or name.startswith(("isoclient.client", "isoclient.process", "isoclient.drive"))]
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": repr(found).encode()})
"""


@pytest.mark.modes("forkserver", "spawn")
@pytest.mark.parametrize("as_object", [False, True])
def test_the_apps_process_imports_no_client(
    cell: tuple[str, str], as_object: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clean_app.py").write_text(APP)
    monkeypatch.syspath_prepend(str(tmp_path))
    app: object = "clean_app:app"
    if as_object:
        from importlib import import_module

        app = import_module("clean_app").app
    options = cell.options  # type: ignore[attr-defined]
    try:
        with isoclient.TestClient(app, timeout=30, **options) as client:
            with pytest.raises(LookupError):
                client.get("/raise")
            assert client.call(len, "four") == 4
            assert client.get("/").text == "[]"
    finally:
        sys.modules.pop("clean_app", None)


def test_the_package_works_without_pytest() -> None:
    program = """if True:
        import sys
        sys.modules["pytest"] = sys.modules["_pytest"] = None  # so that importing them fails
        import isoclient
        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"without pytest"})
        for options in ({}, {"isolated": True}, {"isolated": True, "start_method": "forkserver"}):
            with isoclient.TestClient(app, **options) as client:
                print(client.get("/").text)
        for name in isoclient.__all__:
            getattr(isoclient, name)
    """
    assert run(program).splitlines() == ["without pytest"] * 3


def test_importing_the_package_imports_next_to_nothing() -> None:
    program = """if True:
        import sys
        import isoclient
        print(sorted(name for name in sys.modules if name.split(".")[0] in ("requests", "multiprocess", "dill", "tblib",
              "trio", "uvloop", "asyncio", "pytest") or name.startswith("isoclient.")))
        dir(isoclient)
        isoclient.TestClient
        print("asyncio" in sys.modules, "multiprocess" in sys.modules, "dill" in sys.modules)
    """
    assert run(program).splitlines()[0] == "[]"


def test_every_public_name_is_there() -> None:
    assert set(isoclient.__all__) <= set(dir(isoclient))
    for name in isoclient.__all__:
        assert getattr(isoclient, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing"):
        isoclient.nothing  # noqa: B018


def test_the_architecture_names_modules_that_are_there() -> None:
    """In the sources that are checked out: the page is not in an installed package."""
    page = Path(__file__).parents[1] / "docs" / "architecture.md"
    known = {path.relative_to(PACKAGE).as_posix() for path in modules()}
    for name in re.findall(r"`(?:isoclient/)?([\w/]+\.py)`", page.read_text()):
        if not name.startswith("tests/") and name != "types.py":  # of somebody else's
            assert any(f"/{path}".endswith(f"/{name}") for path in known), name
