"""Patches that are lifted while an event loop comes up."""

from __future__ import annotations

import ast
import asyncio
import importlib
import os
import selectors
import threading
from collections.abc import Iterator
from concurrent.futures import thread
from pathlib import Path
from types import ModuleType

import pytest

from isoclient.system import lift
from isoclient.system.lift import USED, Patches

LOOPS = (asyncio, selectors, threading, thread)
NOT_HERE = ("windows", "proactor")


def sources(module: ModuleType) -> Iterator[Path]:
    assert module.__file__ is not None
    path = Path(module.__file__)
    files = path.parent.glob("*.py") if path.name == "__init__.py" else [path]
    return (file for file in files if not any(word in file.name for word in NOT_HERE))


@pytest.mark.parametrize("name", USED)
def test_all_functions_that_event_loops_look_up_are_known(name: str) -> None:
    owner = importlib.import_module(name)
    found = {
        node.attr
        for module in LOOPS
        for file in sources(module)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in (name, f"_{name}")
    }
    functions = {attribute for attribute in found if callable(getattr(owner, attribute, None))}
    classes = {attribute for attribute in functions if isinstance(getattr(owner, attribute), type)} - {"socket"}
    assert functions - classes - USED[name] == set()


def test_another_thread_puts_the_last_patch_back_at_the_same_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    def patched() -> int:
        return 4711

    def holders_a_moment_ago() -> int:
        found = holders()
        monkeypatch.setattr(lift, "holders", holders)
        Patches().put_back()  # as the other thread does
        return found

    holders = lift.holders
    monkeypatch.setattr(os, "getpid", patched)
    patches = Patches()
    patches.lift()
    assert os.getpid is not patched
    monkeypatch.setattr(lift, "holders", holders_a_moment_ago)
    patches.put_back()
    assert os.getpid is patched
