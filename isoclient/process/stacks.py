"""The stacks that faulthandler writes, cut down to what is the app's."""

from __future__ import annotations

import re
from typing import Final

import isoclient
from isoclient.system.modules import os, signal
from isoclient.transit.libraries import Spot, is_of_a_library

__all__ = [
    "app_stacks",
    "first_dump",
    "last_words",
    "spot_in",
    "spot_of_death",
    "stacks_above",
    "thread_in",
    "waiting_in",
    "without_idle",
]

_NO_STACKS: Final = ("Extension modules:", "(isoclient: ")  # such are the notes of a process about its own end
_LINE: Final = re.compile(r'^  File "(.+)", line (\d+) in (.+)$', re.MULTILINE)
_LINE_OF_TASK: Final = re.compile(r'^  File "(.+)", line (\d+), in (.+)$', re.MULTILINE)
_OF_WAITS: Final = tuple(f"{os.sep}{name}" for name in ("queue.py", "threading.py"))
_OF_POOLS: Final = os.path.join("concurrent", "futures", "thread.py")
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
    last. A thread whose beginning is cut off is left out.

    Example:
        >>> print(app_stacks('Current thread 0x1 (most recent call first):\n  File "app.py", line 1 in view\n'))
        Current thread 0x1 (most recent call first):
          File "app.py", line 1 in view
        <BLANKLINE>
        >>> app_stacks("\n(isoclient: it is to wait for: [])\n")
        ''
    """
    kept: list[str] = []
    below = True  # of a thread that begins before the text there is the end, which would pass for all of it
    for line in text.splitlines(keepends=True):
        if not line.startswith("  "):
            below = False
        elif _OURS in line:
            if not any(caller in line for caller in _CALLERS):
                continue
            if not below and kept and not kept[-1].startswith("  "):
                kept.append("  (in the event loop of isoclient)\n")
            below = True
        if not below and not line.startswith(_NO_STACKS):
            kept.append(line)
    return f"{found}\n" if (found := "".join(kept).strip("\n")) else ""


def spot_in(text: str) -> Spot | None:
    r"""The innermost line of somebody's own code in stacks, of the thread that comes first in which there is one.

    Example:
        >>> str(spot_in('Current thread 0x1 (most recent call first):\n  File "/srv/app.py", line 1 in view\n'))
        '/srv/app.py:1 in view'
    """
    return next((spot for spot in _spots(_LINE, text) if not is_of_a_library(spot.file)), None)


def spot_of_death(text: str) -> Spot | None:
    r"""The innermost line of somebody's own code in the thread that a process has died by.

    Example:
        >>> died = 'Thread 0x2 (most recent call first):\n  File "a.py", line 1 in f\n\n'
        >>> died += 'Current thread 0x1 (most recent call first):\n  File "/srv/app.py", line 1 in view\n'
        >>> str(spot_of_death(died))
        '/srv/app.py:1 in view'
    """
    current = re.search(r"^Current thread .*\n((?:  .*\n?)*)", text, re.MULTILINE)
    return spot_in(current[1]) if current else None


def without_idle(text: str) -> str:
    r"""The stacks without those of threads that are in nobody's own code, such as that of an idle event loop.

    Example:
        >>> without_idle('Thread 0x1 (most recent call first):\n  File "/site-packages/uvloop.py", line 4 in run\n')
        ''
    """
    return "".join(thread for thread in re.split(r"^(?=\S)", text, flags=re.MULTILINE) if spot_in(thread) is not None)


def thread_in(text: str, identifier: int) -> str | None:
    """The stack of the thread with this identifier; None if it has none."""
    for thread in re.split(r"^(?=\S)", text, flags=re.MULTILINE):
        if f" 0x{identifier:016x} " in thread.partition("\n")[0]:
            return thread
    return None


def stacks_above(text: str, below: tuple[str, ...]) -> str:
    r"""The stacks without the frames of those who called.

    Args:
        text: what faulthandler has written, the most recent call first.
        below: where the files of those are; what they have above anything else stays, for that is where it ended.
            What is ours is left out wherever it is: what writes the stack, and a client on the way to its app.

    Example:
        >>> text = 'Thread 0x1 (most recent call first):\n  File "a.py", line 1 in f\n  File "/lib/b.py", line 2 in g\n'
        >>> print(stacks_above(text, ("/lib/",)))
        Thread 0x1 (most recent call first):
          File "a.py", line 1 in f
        <BLANKLINE>
    """
    kept: list[str] = []
    has_theirs = is_below = False
    for line in text.splitlines(keepends=True):
        if line.startswith("  "):
            if _OURS in line:
                continue
            is_of_callers = line.lstrip().removeprefix('File "').startswith(below)
            is_below = is_below or (has_theirs and is_of_callers)
            has_theirs = has_theirs or not is_of_callers
        else:
            has_theirs = is_below = False
        if not is_below and not line.startswith(_NO_STACKS):
            kept.append(line)
    return "".join(kept)


def waiting_in(text: str, tasks: str = "") -> Spot | None:
    r"""Where somebody's own code waits for another thread; None if it does not.

    Args:
        text: stacks.
        tasks: those of the event loop: if it is a thread of a pool that waits, a task may wait for that.

    Example:
        >>> thread = 'Thread 0x1 (most recent call first):\n  File "/lib/queue.py", line 171 in get\n'
        >>> str(waiting_in(thread + '  File "/srv/app.py", line 1 in view\n'))
        '/srv/app.py:1 in view'
    """
    for thread in re.split(r"^(?=\S)", text, flags=re.MULTILINE):
        spots = _spots(_LINE, thread)
        if spots and spots[0].file.endswith(_OF_WAITS):
            own = [spot for spot in spots if not is_of_a_library(spot.file) and not spot.file.endswith(_OF_WAITS)]
            if not own and any(spot.file.endswith(_OF_POOLS) and spot.function == "run" for spot in spots):
                own = [spot for spot in reversed(_spots(_LINE_OF_TASK, tasks)) if not is_of_a_library(spot.file)]
            if own:
                return own[0]
    return None


def _spots(line: re.Pattern[str], text: str) -> list[Spot]:
    return [Spot(found[1], int(found[2]), found[3]) for found in line.finditer(text)]


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
