"""The errors of objects that cannot cross. Exceptions always can: they have stand-ins."""

from __future__ import annotations

__all__ = ["ObjectNotLoadable", "ObjectNotSendable"]


class ObjectNotSendable(TypeError):
    """An object cannot be sent to the other process. The text names the part that cannot, and what to do.

    Example:
        >>> import threading
        >>> from isoclient.link.transit import pack_object
        >>> pack_object({"guard": threading.Lock()}, {})
        Traceback (most recent call last):
            ...
        isoclient.link.transit.errors.ObjectNotSendable: ['guard']: cannot pickle '_thread.lock' object...
    """


class ObjectNotLoadable(Exception):
    """An object came over the pipe, but this process cannot rebuild it. ``__cause__`` is what stopped it.

    Example:
        >>> from isoclient.link.transit import unpack_object
        >>> unpack_object(b"not what pack_object made", {})
        Traceback (most recent call last):
            ...
        isoclient.link.transit.errors.ObjectNotLoadable: ...
    """
