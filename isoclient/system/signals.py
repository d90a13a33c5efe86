"""Signals as a process of ours begins with them, whatever the test's process had made of them.

A fork inherits handlers, and what is ignored or blocked; a fresh interpreter the latter two. Of SIGCHLD alone it
depends whether a process can learn of the end of its children.
"""

from __future__ import annotations

from typing import Final

from isoclient.system.modules import signal

__all__ = ["begin_with_own_signals"]

_OF_PYTHON: Final = ("SIGPIPE", "SIGXFSZ")
"""Ignored by each Python from its start."""
_OF_THE_USER: Final = ("SIGHUP", "SIGTSTP", "SIGTTIN", "SIGTTOU")
"""Ignored under nohup, or in the background of a terminal: then that is meant for all that is started there."""
_OTHERS: Final = signal.valid_signals() - {getattr(signal, name, None) for name in (*_OF_PYTHON, *_OF_THE_USER)}


def begin_with_own_signals() -> None:
    """Block none, ignore none but those that Python ignores, and let SIGINT and SIGTERM do what they usually do.

    Other handlers stay: a fork may have them of its app, which the test has imported.
    """
    signal.set_wakeup_fd(-1)
    for number in _OTHERS:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    for name in _OF_PYTHON:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Last: what was blocked and has come meanwhile is met by the above, and not by a handler of the test's.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
