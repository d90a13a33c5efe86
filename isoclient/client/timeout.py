"""What requests takes as a timeout, as the one deadline that a wait for the app has."""

from __future__ import annotations

from typing import Any

import urllib3

__all__ = ["read_timeout"]


def read_timeout(timeout: Any, default: float | None) -> float | None:
    """The seconds that a wait may take.

    Args:
        timeout: seconds; or requests' ``(connect, read)``, of which the second counts; or a :class:`urllib3.Timeout`;
            or None for the default.
        default: that of the client.

    Example:
        >>> read_timeout((3.05, 27), 60.0)
        27.0
    """
    if isinstance(timeout, tuple):
        timeout = timeout[1]
    elif isinstance(timeout, urllib3.Timeout):
        timeout = timeout.read_timeout
    return default if timeout is None else float(timeout)
