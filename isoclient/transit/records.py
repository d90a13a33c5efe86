"""Log records, warnings and unhandled exceptions in transit.

A record of plain values, which nearly all are, takes a short way by :mod:`marshal`. Of others, each argument and extra
attribute arrives as itself or as a stand-in, and the text of the message as it was.
"""

from __future__ import annotations

import logging
import marshal
from typing import Any, Final, NamedTuple

from isoclient.compat.python_logging import FORMAT
from isoclient.system.modules import pickle
from isoclient.transit.exceptions import pack_exception, unpack_exception
from isoclient.transit.trees import ValueReader, ValueWriter, plain_tree
from isoclient.transit.unpickling import load_plain

__all__ = [
    "AppRecord",
    "Likeness",
    "Record",
    "Warned",
    "likeness",
    "pack_record",
    "pack_unhandled",
    "pack_warning",
    "unpack_record",
    "unpack_unhandled",
    "unpack_warning",
]

_PLAIN: Final = frozenset({type(None), bool, int, float, str})

Likeness = tuple[str, ...]


class Record(NamedTuple):
    """A record with its way through the app's handlers: where propagation ended, and which have had it."""

    record: logging.LogRecord
    last: str
    ran: list[Likeness]


class AppRecord(logging.LogRecord):
    """A record whose text is what it was in the app, whatever has become of its arguments on the way."""

    __slots__ = ("_told",)  # not in __dict__, where formatters look for extra attributes

    @classmethod
    def of(cls, attributes: dict[str, Any], text: str) -> AppRecord:
        """A record with these attributes and this text."""
        record = cls.__new__(cls)
        record.__dict__.update(attributes)
        record._told = (record.msg, record.args, text)
        return record

    _told: tuple[object, object, str]

    def getMessage(self) -> str:
        """The text, unless something has replaced message or arguments since."""
        message, args, text = self._told
        # A filter may have written another text into the record, to hide a password in it.
        return text if self.msg is message and self.args is args else super().getMessage()


def pack_record(record: logging.LogRecord, last: str, ran: list[Likeness]) -> bytes:
    """A record as bytes. Never raises."""
    attributes = dict(vars(record))
    if not attributes["exc_info"] and _are_plain(attributes):
        return marshal.dumps((attributes, last, ran))
    return _pack_with_objects(record, attributes, last, ran)


def _are_plain(attributes: dict[str, Any]) -> bool:
    for name, value in attributes.items():
        if type(value) not in _PLAIN and not (
            name == "args" and type(value) is tuple and all(type(arg) in _PLAIN for arg in value)
        ):
            return False
    return True


def _pack_with_objects(record: logging.LogRecord, attributes: dict[str, Any], last: str, ran: list[Likeness]) -> bytes:
    error = _exception_of(attributes)
    if error is not None:
        del attributes["exc_info"]
        # Formatters take this text where it is there. It has the markers below failing expressions, which a traceback
        # that was rebuilt in another process has not.
        attributes["exc_text"] = attributes["exc_text"] or _text_of_traceback(record)
    plain = {name: value for name, value in attributes.items() if type(value) in _PLAIN}
    objects = {name: value for name, value in attributes.items() if name not in plain}
    return marshal.dumps(
        (
            plain,
            last,
            ran,
            _text_of(record),
            pickle.dumps(plain_tree(ValueWriter().write(objects)), protocol=5),
            pack_exception(error) if error is not None else None,
        )
    )


def _exception_of(attributes: dict[str, Any]) -> BaseException | None:
    exc_info = attributes["exc_info"]
    error = exc_info[1] if isinstance(exc_info, tuple) and len(exc_info) == 3 else None
    return error if isinstance(error, BaseException) else None


def _text_of_traceback(record: logging.LogRecord) -> str | None:
    try:
        return logging.Formatter().formatException(record.exc_info)  # type: ignore[arg-type]
    except Exception:
        return None


def _text_of(record: logging.LogRecord) -> str | None:
    try:
        return record.getMessage()
    except Exception:  # too few arguments for its format, for instance: the test's handlers will find that too
        return None


def unpack_record(data: bytes) -> Record:
    """What :func:`pack_record` packed.

    Example:
        >>> record = logging.LogRecord("shop", logging.INFO, "shop.py", 7, "%s sold", ("a pear",), None)
        >>> unpack_record(pack_record(record, "root", []))
        Record(record=<LogRecord: shop, 20, shop.py, 7, "%s sold">, last='root', ran=[])
    """
    attributes, last, ran, *rest = marshal.loads(data)
    text, tree, packed = rest or (None, None, None)
    if tree is not None:
        attributes |= ValueReader().read(load_plain(tree))
    if packed is not None:
        error = unpack_exception(packed)
        attributes["exc_info"] = (type(error), error, error.__traceback__)
    if text is not None:
        return Record(AppRecord.of(attributes, text), last, ran)
    record = logging.LogRecord.__new__(logging.LogRecord)
    record.__dict__.update(attributes)
    return Record(record, last, ran)


def likeness(logger: logging.Logger, handler: logging.Handler) -> Likeness:
    """What two handlers have in common that the same configuration has made, once in each process."""
    kind = type(handler)
    return (
        logger.name,
        kind.__module__,
        kind.__qualname__,
        str(handler.name),
        str(getattr(handler, "baseFilename", "")),
        str(getattr(handler.formatter, FORMAT, "")),
    )


class Warned(NamedTuple):
    """A warning that is to be shown, as :func:`warnings.showwarning` takes it."""

    message: Warning
    filename: str
    line: int
    source: str | None


def pack_warning(message: Warning, filename: str, line: int, source: str | None) -> bytes:
    """A warning as bytes. Never raises."""
    return marshal.dumps((pack_exception(message), filename, line, source))


def unpack_warning(data: bytes) -> Warned:
    """What :func:`pack_warning` packed.

    Example:
        >>> unpack_warning(pack_warning(UserWarning("ripe"), "shop.py", 7, None))
        Warned(message=UserWarning('ripe'), filename='shop.py', line=7, source=None)
    """
    packed, filename, line, source = marshal.loads(data)
    return Warned(unpack_exception(packed), filename, line, source)  # type: ignore[arg-type]


def pack_unhandled(error: BaseException, about: str | None, described: str = "") -> bytes:
    """An exception that nobody has handled as bytes, with two texts on where it comes from. Never raises."""
    return marshal.dumps((pack_exception(error), about, described))


def unpack_unhandled(data: bytes) -> tuple[BaseException, str | None, str]:
    """What :func:`pack_unhandled` packed.

    Example:
        >>> unpack_unhandled(pack_unhandled(KeyError("pear"), "Thread-1"))
        (KeyError('pear'), 'Thread-1', '')
    """
    packed, about, described = marshal.loads(data)
    return unpack_exception(packed), about, described
