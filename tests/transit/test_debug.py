"""Debug information: what a framework tells its test client about templates and contexts."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from isoclient.transit import StandIn, pack_debug, unpack_debug


def across(info: Mapping[str, Any]) -> dict[str, Any]:
    return unpack_debug(pack_debug(info))


def test_what_can_be_pickled_arrives_as_itself() -> None:
    info = {"number": 1, "nested": {"list": [1, (2, {3})], "bytes": b"x"}, "error": ValueError}

    assert across(info) == info


def test_a_template_keeps_its_name_and_its_context() -> None:
    jinja2 = pytest.importorskip("jinja2")
    environment = jinja2.Environment(loader=jinja2.DictLoader({"index.html": "Hello {{ name }}"}))
    request = threading.Lock()
    context = {"request": request, "name": "me", "items": [{"id": 1}, {"id": 2, "of": request}]}

    arrived = across({"template": environment.get_template("index.html"), "context": context})

    assert arrived["template"].name == "index.html"
    assert repr(arrived["template"]) == "<Template 'index.html'>"
    assert isinstance(arrived["template"], StandIn)
    assert arrived["context"]["name"] == "me"
    assert arrived["context"]["items"][0] == {"id": 1}
    assert repr(arrived["context"]["items"][1]["of"]) == repr(request)


class Slotted:
    __slots__ = ("lock", "name", "unset")

    def __init__(self) -> None:
        self.name, self.lock = "slotted", threading.Lock()


def test_the_simple_attributes_of_a_slotted_object() -> None:
    stand_in = across({"value": Slotted()})["value"]

    assert stand_in.name == "slotted"
    assert not hasattr(stand_in, "lock")
    assert not hasattr(stand_in, "unset")


def test_an_attribute_with_a_special_name_does_no_harm() -> None:
    slotted = Talkative()
    vars(slotted).update({"__reduce_ex__": "text", "__setstate__": 1, "name": "n"})

    assert across({"value": slotted, "number": 1})["value"].name == "n"


class Talkative:
    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __repr__(self) -> str:
        return "word " * 100_000


def test_a_long_repr_is_cut() -> None:
    shown = repr(across({"value": Talkative()})["value"])

    assert shown.endswith("word word word word ... (498,000 more characters)")
    assert len(shown) < 2_100


class Hostile(dict[str, Any]):
    def __iter__(self) -> Iterator[str]:
        raise SystemExit

    keys = items = __reduce_ex__ = __repr__ = __iter__  # type: ignore[assignment]


def test_a_hostile_value_costs_itself_only() -> None:
    arrived = across({"hostile": Hostile(), "number": 1})

    assert arrived["number"] == 1
    assert repr(arrived["hostile"]).endswith("Hostile object: repr() raised SystemExit>")


def test_hostile_information_is_none() -> None:
    assert across(Hostile(key=1)) == {}


def test_what_the_test_has_itself_is_no_copy() -> None:
    known: dict[int | str, Any] = {"items": [1, threading.Lock()], "book": Slotted()}
    names = {id(thing): name for name, thing in known.items()}
    info = {"known": list(known.values()), "made": {"items": known["items"]}, "lock": threading.Lock()}

    packed = pack_debug(info, lambda thing: names.get(id(thing)))
    arrived, without = unpack_debug(packed, known.get), unpack_debug(packed, lambda _: None)

    assert arrived["known"][0] is arrived["made"]["items"] is known["items"]
    assert arrived["known"][1] is known["book"]
    assert isinstance(arrived["lock"], StandIn)
    assert isinstance(without["known"][1], StandIn)  # where it is gone


def test_a_value_of_a_class_that_the_test_does_not_have() -> None:
    def make() -> object:
        class Unknown:
            pass

        return Unknown()

    value = make()
    packed = pack_debug({"values": [value, 1]})
    type(value).__qualname__ = "Renamed"  # so that it is not found

    arrived = unpack_debug(packed)

    assert repr(arrived["values"][0]) == repr(value).replace("Renamed", f"{make.__qualname__}.<locals>.Unknown")
    assert arrived["values"][1] == 1
