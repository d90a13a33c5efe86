"""``unittest.mock``, and its twin that is called ``mock``: what their patches change, and where."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, Final, Protocol

from isoclient.compat.self_tests import self_test

__all__ = ["MODULES", "Notes", "note_patches"]

MODULES: Final = ("unittest.mock", "mock.mock")
"""Where they are."""


class Notes(Protocol):
    """Who is told of it."""

    missing: Any
    """What a place holds that holds nothing."""

    def note_attribute(self, owner: Any, name: str, how: str, *originals: Any) -> None:
        """An attribute of an object is changed; what it held first, and what is as good."""

    def note_item(self, mapping: Any, key: Any, how: str, *originals: Any) -> None:
        """The same for a key of a mapping."""

    def note_items(self, mapping: Any, how: str, original: dict[Any, Any]) -> None:
        """All items of a mapping may be changed."""


@self_test("Carrying over what unittest.mock patches to an app that runs", project="Python")
def _knows_patches() -> None:
    for name in MODULES:
        if name in sys.modules:
            module: Any = sys.modules[name]
            patcher = module.patch("sys.path")
            assert type(patcher) is module._patch
            original, is_local = module._patch.get_original(patcher)
            assert original is sys.path
            assert is_local
            assert callable(module._patch_dict._patch_dict)
            assert module._patch_dict("sys.modules").in_dict == "sys.modules"
            assert type(module._patch._active_patches) is list


def note_patches(module: ModuleType, notes: Notes) -> None:
    """From now on, and for those that have been started already, note what the patches of this module change."""
    if not _knows_patches():
        return
    patch, patch_dict = vars(module)["_patch"], vars(module)["_patch_dict"]
    get_original, put_in = patch.get_original, patch_dict._patch_dict

    def note(patcher: Any, owner: Any, original: Any, is_local: bool) -> None:
        # Proxies have the original back as an attribute of their own.
        originals = (original,) if is_local else (notes.missing, original)
        notes.note_attribute(owner, patcher.attribute, "mock.patch", *originals)

    def get_original_and_note(self: Any) -> Any:
        __tracebackhide__ = True
        original, is_local = get_original(self)
        note(self, self.getter() if self.target is None else self.target, original, is_local)
        return original, is_local

    def put_in_and_note(self: Any) -> None:
        __tracebackhide__ = True
        put_in(self)
        notes.note_items(self.in_dict, "mock.patch.dict", self._original)

    patch.get_original, patch_dict._patch_dict = get_original_and_note, put_in_and_note
    for started in patch._active_patches:
        if isinstance(started, patch_dict):
            notes.note_items(started.in_dict, "mock.patch.dict", started._original)
        else:
            note(started, started.target, started.temp_original, started.is_local)
