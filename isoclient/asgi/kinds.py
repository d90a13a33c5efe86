"""The kinds of value that a message may hold, each as a reader.

A reader takes whatever the app sent and returns it as an exact builtin, because it is marshalled next, or raises
:class:`Wrong`. Sub-classes (an ``IntEnum`` status, a ``StrEnum`` type) are taken for the builtin they extend; their own
methods are never called, so no app code runs here, except for iterables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


class Wrong(Exception):
    """A value that may not be sent.

    Args:
        what: what is wrong with it, as the rest of a sentence that begins with the name of its key.
        must: what to send instead, as a sentence of its own.
    """

    def __init__(self, what: str, must: str) -> None:
        super().__init__(what, must)
        self.what = what
        self.must = must

    def __str__(self) -> str:
        return f"{self.what}; {self.must}"

    def inside(self, where: str) -> None:
        """Put the name of the place before the complaint."""
        self.what = f"{where}{self.what}"


def short(value: object, limit: int = 80) -> str:
    """A ``repr`` of at most ``limit`` characters, which never raises.

    Example:
        >>> short("x" * 1000, limit=10)
        "'xxxxxx..."
    """
    try:
        # Only the beginning of a long body is worth the time that its repr takes.
        text = repr(value[:limit] if isinstance(value, (str, bytes, bytearray)) else value)
    except Exception as error:
        text = f"<its repr raised {type(error).__name__}>"
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def wrong_type(value: object, must: str) -> Wrong:
    return Wrong(f" is of type {type(value).__name__} ({short(value)})", must)


def wrong_value(value: object, must: str) -> Wrong:
    return Wrong(f" is {short(value)}", must)


def boolean(value: object) -> bool:
    if value is True or value is False:
        return value
    raise wrong_type(value, "it must be a bool")


def integer(value: object, must: str = "it must be an int") -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__int__(value)
    raise wrong_type(value, must)


def status(value: object) -> int:
    if type(value) is int and 100 <= value <= 999:
        return value
    must = "it must be an int from 100 to 999, e.g. 200"
    code = integer(value, must)
    if not 100 <= code <= 999:
        raise wrong_value(code, must)
    return code


def close_code(value: object) -> int:
    """A code that RFC 6455 (7.4) allows in a close frame."""
    code = integer(value)
    if not 1000 <= code <= 4999 or code in (1004, 1005, 1006, 1015):
        raise wrong_value(code, "it must be a code that a close frame may hold: 1000 to 4999, not 1004 to 1006 or 1015")
    return code


def binary(value: object, must: str = "it must be bytes") -> bytes:
    if type(value) is bytes:
        return value
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise wrong_type(value, must)
    try:
        return memoryview(value).tobytes()  # A copy: the app may go on writing in its bytearray.
    except ValueError as error:
        raise Wrong(f" cannot be read ({error})", must) from error


def line(value: object, must: str = "it must be bytes") -> bytes:
    """Bytes for a header line: without the characters by which one line would become two."""
    read = value if type(value) is bytes else binary(value, must)
    if 10 in read or 13 in read or 0 in read:  # As numbers, LF, CR and NUL are found eight times faster.
        raise Wrong(f" holds a line break or a NUL ({short(read)})", must)
    return read


def string(value: object, must: str = "it must be a str") -> str:
    if isinstance(value, str):
        return str.__str__(value)
    raise wrong_type(value, must)


def text(value: object, must: str = "it must be a str") -> str:
    """A string for the wire, which has to be UTF-8."""
    read = string(value, must)
    try:
        if not read.isascii():
            read.encode()
    except UnicodeEncodeError as error:
        raise Wrong(f" is not encodable as UTF-8 ({short(error.object[error.start : error.end])})", must) from None
    return read


def optional_text(value: object) -> str | None:
    return None if value is None else text(value, "it must be a str or None")


def optional_binary(value: object) -> bytes | None:
    return None if value is None else binary(value, "it must be bytes or None")


def reason(value: object) -> str:
    return optional_text(value) or ""


def any_reason(value: object) -> str:
    return reason(value) if value is None or isinstance(value, str) else str(value)


def subprotocol(value: object) -> str | None:
    must = "it must be a str of printable ASCII, or None"
    if value is None:
        return None
    read = string(value, must)
    if not (read.isascii() and read.isprintable()):
        raise wrong_value(read, must)
    return read


def path(value: object) -> str:
    """A path, which the spec wants absolute; one that is not is meant from the directory that the app is in."""
    must = "it must be the path of a file, a str"
    read = string(value, must)
    if not read or "\0" in read:
        raise wrong_value(read, must)
    return read


def anything(value: object) -> object:
    return value


def info(value: object) -> dict[Any, Any]:
    if isinstance(value, dict):
        return value
    raise wrong_type(value, "it must be a dict")


def listed(value: object, must: str) -> list[Any]:
    """The items of any iterable, but for those whose items are certainly not what was meant: strings and mappings."""
    if type(value) is list:
        return value
    if isinstance(value, (str, bytes, bytearray, memoryview, Mapping)) or not isinstance(value, Iterable):
        raise wrong_type(value, must)
    try:
        return list(value)
    except Exception as error:
        raise Wrong(f" raised {type(error).__name__} when it was iterated over", must) from error
