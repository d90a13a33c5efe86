"""Whatever is public is in the reference, and nothing that is not."""

from __future__ import annotations

import re

import pytest

import isoclient
from tests.docs.pages import ROOT

API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
OPTIONS = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")


def test_each_public_name_is_in_the_reference_once() -> None:
    shown = re.findall(r"^\.\. auto\w+:: isoclient\.(\w+)", API, re.M)
    assert sorted(shown) == sorted(isoclient.__all__)


def test_each_option_of_the_plugin_is_explained(pytestconfig: pytest.Config) -> None:
    group = pytestconfig._parser.getgroup("isoclient")
    names = {name for option in group.options for name in option.names()}
    assert names
    explained = set(re.findall(r"`(--[\w:=-]+)", "".join(re.findall(r"^`--.*$", OPTIONS, re.M))))
    assert names == explained


def test_each_setting_of_the_plugin_is_explained(pytestconfig: pytest.Config) -> None:
    settings = {name for name in pytestconfig._parser._inidict if name.startswith("isoclient_")}
    assert settings
    assert settings == set(re.findall(r"^`(isoclient_\w+)`$", OPTIONS, re.M))


def test_each_public_class_says_that_it_is_of_isoclient() -> None:
    crossing = {"ExceptionStandIn", "StandIn"}  # those are named on the pipe by where they are defined
    homes = {name: getattr(isoclient, name).__module__ for name in isoclient.__all__}
    classes = {name for name in homes if name[0].isupper()}
    assert {name for name in classes - crossing if homes[name] != "isoclient"} == set()
