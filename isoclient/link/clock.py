"""The clock that waits go by.

Tests stop clocks: freezegun does so by replacing the functions of :mod:`time` wherever it finds them in a module. A
deadline that went by such a clock would never pass, and what looks again and again until it has passed would not end.
So no module has the function; it is an attribute of a class.
"""

from __future__ import annotations

import time

__all__ = ["Clock"]


class Clock:
    """The monotonic clock, as it is when this is imported.

    Example:
        >>> Clock.now() <= Clock.now()
        True
    """

    now = staticmethod(time.monotonic)
    """Seconds, as :func:`time.monotonic`."""
