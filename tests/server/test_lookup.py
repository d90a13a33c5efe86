"""Names of a test, looked up in the app's process."""

from __future__ import annotations

import pytest

from isoclient.server import lookup
from isoclient.server.lookup import Name, looks_of


class Hostile:
    """What stands for something else, and is asked out of its time."""

    @property
    def __class__(self) -> type:
        raise RuntimeError("outside of a request")

    @__class__.setter
    def __class__(self, kind: type) -> None: ...


def test_the_app_comes_before_all_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "_STEP", 2)
    monkeypatch.setattr(lookup, "_LONGEST", 0.0)
    sold = ["tea"]
    variable = Name("sold", (), "", ("test_shop.py", 1, "test_sold"), id(sold), 0, is_known=True)
    assert looks_of([tuple(variable)], [sold], lambda address: True) == [("['tea']", None)]


def test_nobody_is_asked_of_which_class_he_is() -> None:
    sold = ["tea"]
    app = [sold, Hostile()]
    variable = Name("sold", (), "", ("test_shop.py", 1, "test_sold"), id(sold), 0, is_known=True)
    [look] = looks_of([tuple(variable)], app, lambda address: True)
    assert look == ("['tea']", None)
