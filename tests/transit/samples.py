"""Exceptions that several tests send across, and how they do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import pytest

from isoclient.transit import pack_exception, unpack_exception


def across(exc: BaseException) -> BaseException:
    return unpack_exception(pack_exception(exc))


def refuse(*args: object, **kwargs: object) -> NoReturn:
    raise SystemExit("no")


class OtherArguments(Exception):
    def __init__(self, code: int, *, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code, self.reason = code, reason


class InitRaises(Exception):
    __init__ = refuse


class OddNew(Exception):
    def __new__(cls, *args: object, key: object) -> OddNew:
        return super().__new__(cls, "made", *args)

    def __init__(self, *args: object, key: object) -> None:
        super().__init__(*args)
        self.key = key


class LyingReduce(ValueError):
    def __reduce__(self) -> Any:
        return KeyError, ("another",)


class RaisingReduce(ValueError):
    def __reduce_ex__(self, protocol: object) -> Any:
        raise KeyboardInterrupt


class RaisingSetState(ValueError):
    def __setstate__(self, state: object) -> None:
        raise SystemExit


class NoAttributes(ValueError):
    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("frozen")

    def __getattribute__(self, name: str) -> Any:
        raise KeyboardInterrupt


def without_init(cls: type[BaseException], *args: object) -> BaseException:
    return BaseException.__new__(cls, *args)


class Text(str):
    def __getitem__(self, key: object) -> NoReturn:
        raise KeyboardInterrupt

    __len__ = __reduce_ex__ = __str__ = __repr__ = __hash__ = __eq__ = refuse


class Unspeakable:
    __repr__ = __str__ = __reduce_ex__ = __eq__ = __hash__ = __getattr__ = refuse
    __dict__ = property(refuse)


def generator() -> Iterator[int]:
    yield 1


class LoadsBadly:
    def __setstate__(self, state: object) -> None:
        raise KeyboardInterrupt

    def __init__(self) -> None:
        self.number = 7


def pydantic_validation_error() -> BaseException:
    pydantic = pytest.importorskip("pydantic")
    with pytest.raises(pydantic.ValidationError) as caught:
        pydantic.TypeAdapter(list[int]).validate_python(["one", 2])
    error: BaseException = caught.value
    return error
