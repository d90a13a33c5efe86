"""Log records in transit.

A record of plain values, which nearly all are, crosses as it is. Of others, each argument and extra attribute arrives
as itself or as a stand-in, and the text of the message as it was.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from isoclient.system.modules import pickle
from isoclient.transit.codecs import PipeCodec
from isoclient.transit.exceptions import unpack_exception
from isoclient.transit.trees import ValueReader, ValueWriter, plain_tree
from isoclient.transit.unpickling import load_plain

__all__ = ["AppRecord", "plain_record", "record_of"]

_PLAIN: Final = frozenset({type(None), bool, int, float, str})


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


def plain_record(record: logging.LogRecord, codec: PipeCodec) -> tuple[Any, ...]:
    """A record as plain values, that :mod:`marshal` carries. Never raises.

    Args:
        record: it.
        codec: how its exception crosses, if it has one.
    """
    attributes = dict(vars(record))
    if not attributes["exc_info"] and _are_plain(attributes):
        return (attributes,)
    return _with_objects(record, attributes, codec)


def _are_plain(attributes: dict[str, Any]) -> bool:
    for name, value in attributes.items():
        if type(value) not in _PLAIN and not (
            name == "args" and type(value) is tuple and all(type(arg) in _PLAIN for arg in value)
        ):
            return False
    return True


def _with_objects(record: logging.LogRecord, attributes: dict[str, Any], codec: PipeCodec) -> tuple[Any, ...]:
    error = _exception_of(attributes)
    if error is not None:
        del attributes["exc_info"]
        # Formatters take this text where it is there. It has the markers below failing expressions, which a traceback
        # that was rebuilt in another process has not.
        attributes["exc_text"] = attributes["exc_text"] or _text_of_traceback(record)
    plain = {name: value for name, value in attributes.items() if type(value) in _PLAIN}
    objects = {name: value for name, value in attributes.items() if name not in plain}
    return (
        plain,
        _text_of(record),
        pickle.dumps(plain_tree(ValueWriter().write(objects)), protocol=5),
        codec.pack_exception(error, alone=True) if error is not None else None,
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


def record_of(plain: tuple[Any, ...]) -> logging.LogRecord:
    """The record that :func:`plain_record` has made plain values of.

    Example:
        >>> record = logging.LogRecord("shop", logging.INFO, "shop.py", 7, "%s sold", ("a pear",), None)
        >>> record_of(plain_record(record, PipeCodec()))
        <LogRecord: shop, 20, shop.py, 7, "%s sold">
    """
    attributes, *rest = plain
    text, tree, packed = rest or (None, None, None)
    if tree is not None:
        attributes |= ValueReader().read(load_plain(tree))
    if packed is not None:
        error = unpack_exception(packed)
        attributes["exc_info"] = (type(error), error, error.__traceback__)
    if text is not None:
        return AppRecord.of(attributes, text)
    record = logging.LogRecord.__new__(logging.LogRecord)
    record.__dict__.update(attributes)
    return record
