"""asgiref: the marks that it gives to apps."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["is_double_callable", "shared_executor"]


def is_double_callable(app: object) -> bool:
    """Whether it says that an app is in the style of ASGI 2, whatever arguments it may take.

    Example:
        >>> is_double_callable(lambda scope: None)
        False
    """
    return bool(getattr(app, "_asgi_double_callable", False))


def shared_executor() -> object:
    """That in which it runs all that is not safe in several threads, such as Django's; None if it is not in use."""
    module: Any = sys.modules.get("asgiref.sync")
    return None if module is None else getattr(module.SyncToAsync, "single_thread_executor", None)
