"""What the app sends is rebuilt in the test: no module is imported, nothing called but what makes objects."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import fractions
import functools
import ipaddress
import os
import pathlib
import pickle
import re
import subprocess
import sys
import threading
import time
import types
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from isoclient.transit import StandIn, pack_debug, pack_exception, unpack_debug, unpack_exception
from isoclient.transit.bounds import Allowance
from isoclient.transit.classes import NotHere
from isoclient.transit.constructors import Refused
from isoclient.transit.unpickling import load

called: list[object] = []


def canary(*args: object, **kwargs: object) -> list[object]:
    called.append(args)
    return called


class Plain:
    def __init__(self, **attributes: object) -> None:
        self.__dict__.update(attributes)

    def __repr__(self) -> str:
        return "<Plain>"


class Hostile(Plain):
    """It says that it is made by a call of the first argument with the others."""

    def __init__(self, *reduction: Any) -> None:
        super().__init__(number=7)
        self.reduction = reduction

    def __reduce__(self) -> Any:
        return self.reduction


def loaded(pickled: bytes) -> Any:
    return load(pickled, canary, Allowance(1.0))


def dangerous() -> list[tuple[Any, tuple[Any, ...]]]:
    system = getattr(__import__("os"), "system")  # noqa: B009
    return [
        (eval, (f"__import__({__name__!r}, fromlist=['x']).called.append(1)",)),
        (exec, (f"__import__({__name__!r}, fromlist=['x']).called.append(1)",)),
        (system, ("exit 3",)),
        (canary, (1,)),
        (getattr, (Plain(), "number")),
        (getattr, (canary, "__globals__")),
        (setattr, (Plain(), "number", 1)),
        (functools.partial, (canary, 1)),
        (functools.partial(canary, 1), ()),
        (functools.reduce, (canary, [1, 2])),
        (map, (canary, [1])),
        (__import__, ("antigravity",)),
        (open, ("/dev/null",)),
        (subprocess.Popen, (["false"],)),
        (threading.Thread, (None, canary)),
        (type, ("Made", (), {})),
        (print, ("no",)),
        (list, (range(3),)),
        (set, (range(10**9),)),
        (bytearray, (10**9,)),
        (fractions.Fraction, ("1e999999",)),
    ]


@pytest.mark.parametrize("number", range(len(dangerous())))
def test_what_would_have_to_be_called_is_not(number: int) -> None:
    function, args = dangerous()[number]
    hostile = Hostile(function, args)
    called.clear()

    with pytest.raises(Refused):
        loaded(pickle.dumps(hostile))
    error: Any = ValueError("text", hostile)
    error.hostile = [hostile]
    arrived: Any = unpack_exception(pack_exception(error))
    told = unpack_debug(pack_debug({"hostile": hostile}))

    assert type(arrived) is ValueError
    for stand_in in (arrived.args[1], vars(arrived)["hostile"][0], told["hostile"]):
        assert isinstance(stand_in, StandIn)
        assert repr(stand_in) == "<Plain>"
        assert stand_in.number == 7  # type: ignore[attr-defined]
    assert not called


class Color(enum.Enum):
    RED = "red"


class Point(NamedTuple):
    x: int


class Money:
    def __init__(self, amount: int) -> None:
        self.amount = amount

    def __reduce__(self) -> Any:
        return Money, (self.amount,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and other.amount == self.amount


class Words(list[str]):
    pass


VALUES: list[Any] = [
    datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
    datetime.timedelta(1),
    decimal.Decimal("1.50"),
    fractions.Fraction(1, 3),
    uuid.UUID(int=7),
    pathlib.PurePosixPath("a/b"),
    pathlib.Path("a/b"),
    ipaddress.ip_network("10.0.0.0/8"),
    collections.OrderedDict(a=1),
    collections.Counter("aab"),
    collections.deque([1, 2], 5),
    collections.defaultdict(list, {"a": [1]}),
    re.compile("a+", re.IGNORECASE),
    range(3),
    slice(1, 2),
    1j,
    frozenset({1}),
    bytearray(b"ab"),
    types.SimpleNamespace(a=1),
    os.stat("/"),
    os.times(),
    os.terminal_size((80, 24)),
    time.gmtime(0),
    re.IGNORECASE | re.MULTILINE,
    Color.RED,
    Point(1),
    Money(5),
    Words(["a"]),
    print,
    Plain,
    type(None),
    ...,
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_arrive_as_themselves(value: Any) -> None:
    arrived: Any = unpack_exception(pack_exception(ValueError([value])))

    assert type(arrived.args[0][0]) is type(value)
    assert arrived.args[0][0] == value


def test_what_is_here_is_not_changed() -> None:
    for obj in ("path", "modules"):
        with pytest.raises(Refused):
            loaded(b"\x80\x05csys\n" + obj.encode() + b"\n\x8c\x01xa.")
    cls = f"c{__name__}\nPlain\n".encode()
    with pytest.raises(Refused):
        loaded(b"\x80\x05" + cls + b"N}\x8c\x06number\x8c\x04evils\x86b.")  # what sets slots
    assert not hasattr(Plain, "number")


def test_no_module_is_imported_and_none_is_asked_for_what_it_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    lazy = types.ModuleType("lazy")
    lazy.__getattr__ = canary  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "lazy", lazy)
    called.clear()
    with pytest.raises(NotHere, match="the test has not imported 'antigravity'"):
        loaded(b"cantigravity\nfly\n.")
    with pytest.raises(NotHere, match="lazy has no name"):
        loaded(b"clazy\nname\n.")
    assert not called
    assert "antigravity" not in sys.modules


class Endless:
    def __setstate__(self, state: object) -> None:
        while True:
            pass


def test_code_of_the_user_that_does_not_end_is_ended() -> None:
    before = sys.gettrace()
    pickled = pickle.dumps(Plain(a=1)).replace(b"Plain", b"Other")
    sys.modules[__name__].Other = Endless  # type: ignore[attr-defined]
    try:
        if before is None:
            with pytest.raises(TimeoutError):
                load(pickled, canary, Allowance(0.01))
    finally:
        del sys.modules[__name__].Other
    assert sys.gettrace() is before


class Finalized:
    finalized: Callable[[], object] = canary

    def __del__(self) -> None:
        canary()


def test_nothing_is_made_that_would_be_finalized() -> None:
    called.clear()
    with pytest.raises(Refused):
        loaded(f"c{__name__}\nFinalized\n)\x81.".encode("latin-1"))
    assert not called
