"""pydevd: the debugger of PyCharm, and within debugpy that of VS Code."""

from __future__ import annotations

import sys
from typing import Any, Final

__all__ = ["is_attached"]

_PACKAGES: Final = ("pydevd", "_pydevd")


def is_attached() -> bool:
    """Whether it traces this thread. It may be stopped at any moment."""
    if "pydevd" not in sys.modules:
        return False
    trace: Any = sys.gettrace()
    if trace is not None:
        return str(getattr(trace, "__module__", None) or type(trace).__module__).startswith(_PACKAGES)
    monitoring: Any = getattr(sys, "monitoring", None)  # from Python 3.12 on it does without a trace function
    return monitoring is not None and monitoring.get_tool(monitoring.DEBUGGER_ID) is not None
