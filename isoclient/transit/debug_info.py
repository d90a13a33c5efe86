"""The debug information that a framework gives to its test client (``http.response.debug``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isoclient.system.modules import pickle
from isoclient.transit.trees import ValueReader, ValueWriter, plain_tree
from isoclient.transit.unpickling import load_plain

__all__ = ["pack_debug", "unpack_debug"]


def pack_debug(info: Mapping[str, Any]) -> bytes:
    """Put the ``info`` of an ASGI ``http.response.debug`` message into bytes. Never raises.

    A value that pickles arrives as itself; else, in dicts, lists and tuples, the ones that do not arrive as
    :class:`StandIn`: with the original's ``repr()`` and its simple attributes, such as a template's ``name``.

    Example:
        >>> unpack_debug(pack_debug({"template": open, "context": {"user": "me"}}))
        {'template': <built-in function open>, 'context': {'user': 'me'}}
    """
    try:
        tree = ValueWriter().write(dict(info))
    except BaseException:  # a mapping of the app may raise anything
        tree = ValueWriter().write({})
    return pickle.dumps(plain_tree(tree), protocol=5)


def unpack_debug(data: bytes) -> dict[str, Any]:
    """What :func:`pack_debug` packed; nothing (an empty dict) if the data are damaged. Never raises."""
    try:
        read = ValueReader().read(load_plain(data))
    except BaseException:  # it must not fail the request it comes with
        return {}
    return read if isinstance(read, dict) else {}
