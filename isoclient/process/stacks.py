"""The stacks that faulthandler writes, cut down to what is the app's."""

from __future__ import annotations

from typing import Final

import isoclient
from isoclient.system.modules import os, signal

__all__ = ["app_stacks", "first_dump", "last_words"]

_FATAL: Final = "Fatal Python error"
# Those that faulthandler writes upon as the process dies. SIGXCPU comes of our limits, without the line above.
_TOLD: Final = {getattr(signal, f"SIG{name}", None) for name in ("SEGV", "ABRT", "BUS", "FPE", "ILL", "XCPU")}
_OURS: Final = f'File "{os.path.dirname(isoclient.__file__)}{os.sep}'
# Those of ours that call the app, and not those that the app is in when it prints or logs.
_CALLERS: Final = tuple(
    f"{os.sep}server{os.sep}{name}.py" for name in ("asyncio_runtime", "trio_runtime", "boot", "child")
)


def app_stacks(text: str) -> str:
    r"""The stacks without the frames of isoclient, and without what lies below them.

    In a fork these are the frames of the whole test run. faulthandler writes the most recent call first, so they come
    last.

    Example:
        >>> print(app_stacks('Current thread 0x1 (most recent call first):\n  File "app.py", line 1 in view\n'))
        Current thread 0x1 (most recent call first):
          File "app.py", line 1 in view
        <BLANKLINE>
    """
    kept: list[str] = []
    below = False
    for line in text.splitlines(keepends=True):
        if not line.startswith("  "):
            below = False
        elif _OURS in line:
            if not any(caller in line for caller in _CALLERS):
                continue
            if not below and kept and not kept[-1].startswith("  "):
                kept.append("  (in the event loop of isoclient)\n")
            below = True
        if not below and not line.startswith("Extension modules:"):
            kept.append(line)
    return "".join(kept).rstrip("\n") + "\n" if kept else ""


def first_dump(text: str) -> str:
    r"""The first of two dumps that follow each other; empty if the second has not begun.

    Example:
        >>> first_dump("Thread 0x1 (most recent call first):\n  File a\nThread 0x1 (most recent call first):\n  Fi")
        'Thread 0x1 (most recent call first):\n  File a\n'
    """
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines[1:], 1):
        if line.removeprefix("Current thread") == lines[0].removeprefix("Current thread"):
            return "".join(lines[:number])
    return ""


def last_words(text: str, exitcode: int | None) -> str:
    r"""What a process with this exit code wrote as it died, without what it had written before, when it was asked to.

    Example:
        >>> asked = "Thread 0x1 (most recent call first):\n  File a\n"
        >>> last_words(asked, -9)
        ''
        >>> last_words(asked + "Fatal Python error: Aborted\n\nThread 0x1...", -6)
        'Fatal Python error: Aborted\n\nThread 0x1...'
    """
    if exitcode is not None and -exitcode not in _TOLD:
        return ""
    return text[max(0, text.rfind(_FATAL)) :]
