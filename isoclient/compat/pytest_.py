"""pytest: what a fork of a test run must not keep of it, or has to tell of it, and what no hook tells."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from isoclient.compat.self_tests import self_test

if TYPE_CHECKING:
    from isoclient.compat.python_patching import Notes

__all__ = [
    "failed_subtests",
    "forget_pytest",
    "make_directory_of_run",
    "note_changes",
    "note_failed_subtests",
    "properties_of_run",
    "properties_of_test",
    "put_properties",
]


@self_test("pytest.set_trace() in an app that is a fork of a test run", project="pytest")
def _knows_set_trace() -> None:
    assert {"_pluginmanager", "_config"} <= vars(sys.modules["_pytest.debugging"].pytestPDB).keys()


def forget_pytest() -> None:
    """In a fork of it, its ``set_trace`` would suspend what it captures: what the test's process has captured."""
    if "_pytest.debugging" in sys.modules and _knows_set_trace():
        pdb: Any = sys.modules["_pytest.debugging"].pytestPDB
        pdb._pluginmanager = pdb._config = None


# -- tests that run in a fork of the process of their run


@self_test("One directory for the temporary files of all tests of a run", project="pytest")
def _knows_directory() -> None:
    from _pytest.tmpdir import TempPathFactory

    assert callable(TempPathFactory.getbasetemp)
    assert "_tmp_path_factory" in sys.modules["_pytest.tmpdir"].pytest_configure.__code__.co_varnames


def make_directory_of_run(config: Any) -> None:
    """Make the directory of ``tmp_path``, which else each fork would make for itself."""
    if config.pluginmanager.hasplugin("tmpdir") and _knows_directory():
        config._tmp_path_factory.getbasetemp()


@self_test("Failed subtests of a test that runs in a fork", project="pytest")
def _knows_subtests() -> None:
    subtests: Any = sys.modules.get("_pytest.subtests")  # from pytest 9 on
    assert subtests is None or subtests.failed_subtests_key is not None


def failed_subtests(config: Any, report: Any) -> int:
    """How many subtests of the test that this is a report of have failed so far: a test fails of which one has."""
    return _subtests(config)[_key(report)] if _has_subtests() else 0


def note_failed_subtests(config: Any, report: Any, count: int) -> None:
    """So many have failed, elsewhere."""
    if count:
        _subtests(config)[_key(report)] = count


def _has_subtests() -> bool:
    return "_pytest.subtests" in sys.modules and _knows_subtests()


def _subtests(config: Any) -> Any:
    return config.stash[sys.modules["_pytest.subtests"].failed_subtests_key]


def _key(report: Any) -> Any:
    """By an object of its own in later versions, and before by a text."""
    return getattr(report, "id", report.nodeid)


@self_test("What a test that runs in a fork writes into the JUnit report", project="pytest")
def _knows_properties() -> None:
    from _pytest.junitxml import LogXML, xml_key

    assert xml_key is not None
    assert callable(LogXML.node_reporter)
    assert "global_properties" in LogXML.__init__.__code__.co_names
    assert "attrs" in sys.modules["_pytest.junitxml"]._NodeReporter.__init__.__code__.co_names


def properties_of_run(config: Any) -> list[Any]:
    """What tests have put into the JUnit report by themselves, of the whole run."""
    xml = _report_of(config)
    return list(xml.global_properties) if xml is not None else []


def properties_of_test(config: Any, report: Any) -> dict[str, Any]:
    """And of the test that this is a report of."""
    xml = _report_of(config)
    of_test = xml.node_reporters.get((_key(report), None)) if xml is not None else None
    return dict(of_test.attrs) if of_test is not None else {}


def _report_of(config: Any) -> Any:
    junitxml = sys.modules.get("_pytest.junitxml")
    xml = config.stash.get(junitxml.xml_key, None) if junitxml is not None else None
    return xml if xml is not None and _knows_properties() else None


def put_properties(config: Any, of_run: list[Any], name: str, of_test: dict[str, Any]) -> None:
    """Put such into the report of this process."""
    xml = _report_of(config)
    xml.global_properties += of_run
    if of_test:
        xml.node_reporter(name).attrs.update(of_test)


# -- what a test changes


def _monkeypatch() -> Any:
    return getattr(sys.modules.get("_pytest.monkeypatch"), "MonkeyPatch", None)


@self_test("Carrying over what monkeypatch changes to an app that runs", project="pytest")
def _knows_changes() -> None:
    assert {type(vars(_monkeypatch()())[name]) for name in _LISTS} <= {list, _Noting}
    assert sys.modules["_pytest.monkeypatch"].NOTSET is not None


_LISTS: Final = ("_setattr", "_setitem")


class _Noting(list[Any]):
    """What one ``monkeypatch`` is to undo: it is told of as it grows."""

    def __init__(self, before: list[Any], note: Callable[[Any, Any, Any], object]) -> None:
        super().__init__(before)
        self._note = note
        for change in before:
            note(*change)

    def append(self, change: Any) -> None:
        """See :meth:`list.append`."""
        super().append(change)
        self._note(*change)


def note_changes(notes: Notes, *, late: bool) -> None:
    """From now on, note what ``monkeypatch`` changes, if this is a run of pytest; if late, what it has changed, too."""
    kind = _monkeypatch()
    if kind is None or not _knows_changes():
        return
    notset, begin = sys.modules["_pytest.monkeypatch"].NOTSET, kind.__init__

    def attribute(owner: Any, name: str, original: Any) -> None:
        notes.note_attribute(owner, name, "monkeypatch", notes.missing if original is notset else original)

    def item(mapping: Any, key: Any, original: Any) -> None:
        notes.note_item(mapping, key, "monkeypatch", notes.missing if original is notset else original)

    def equip(monkeypatch: Any) -> None:
        for name, note in zip(_LISTS, (attribute, item), strict=True):
            setattr(monkeypatch, name, _Noting(getattr(monkeypatch, name), note))

    def begin_noting(self: Any) -> None:
        begin(self)
        equip(self)

    kind.__init__ = begin_noting
    if late:
        import gc

        for found in gc.get_objects():
            if type(found) is kind:
                equip(found)
