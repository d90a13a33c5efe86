"""What holds up the end of an app's process: the threads and children that it waits for, noted before it does so.

Who ends it by force sees stacks then, but no names.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from isoclient.system.modules import os, threading
from isoclient.transit.bounds import shortened

__all__ = ["Waited", "note_waited_for", "waited_for_noted"]

Waited = tuple[str, int, str]
"""A thread or a process, its identifier, and its name."""

_NOTE: Final = "(isoclient: it is to wait for: "
_MOST: Final = 20
_LONGEST: Final = 100  # characters of a name


def note_waited_for(descriptor: int) -> None:
    """Note what this process is to wait for when it ends, if there is something. Never raises."""
    try:
        found = [*_threads(), *_children()][:_MOST]
        if found:
            os.write(descriptor, f"\n{_NOTE}{found!r})\n".encode(errors="backslashreplace"))
    except Exception:  # of names that are properties, or of the descriptor
        pass


def _threads() -> list[Waited]:
    running = [thread for thread in list(threading.enumerate()) if not thread.daemon]
    apart = (threading.main_thread(), threading.current_thread())
    return [
        ("thread", thread.ident or 0, shortened(thread.name, _LONGEST)) for thread in running if thread not in apart
    ]


def _children() -> list[Waited]:
    """Those of multiprocessing: Python waits for no others."""
    found: list[Waited] = []
    for name in ("multiprocessing", "multiprocess"):
        module: Any = sys.modules.get(name)
        for child in module.active_children() if module is not None else ():
            if not child.daemon:
                found.append(("process", child.pid or 0, shortened(child.name, _LONGEST)))
    return found


def waited_for_noted(text: str) -> list[Waited]:
    r"""What has been noted by a process with these last words; a note that is cut off counts for nothing.

    Example:
        >>> note = "(isoclient: it is to wait for: "
        >>> waited_for_noted(f"{note}[('thread', 1, 'worker')])\n{note}[('proc")
        [('thread', 1, 'worker')]
    """
    found: dict[int, Waited] = {}
    for line in text.splitlines():
        if line.startswith(_NOTE):
            found.update((each[1], each) for each in _read(line))
    return list(found.values())


def _read(line: str) -> list[Waited]:
    from ast import literal_eval  # which a run without such an app need not have

    try:
        return list(literal_eval(line.removeprefix(_NOTE).removesuffix(")")))
    except (ValueError, SyntaxError):  # cut off, or something else has written amid it
        return []
