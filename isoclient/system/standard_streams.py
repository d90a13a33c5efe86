"""The numbers of the standard streams, which nothing of ours may have.

A test run may have been started without a standard input, output or error. Whatever is opened next gets the number:
were it one of ours, all that prints would write to it, and what the app prints would be copied into itself.
"""

from __future__ import annotations

from isoclient.system.modules import os

__all__ = ["occupy_standard_streams"]


def occupy_standard_streams() -> None:
    """Have something at 0, 1 and 2, from now on: where nothing is, what takes everything and gives nothing.

    To be called before descriptors are made.
    """
    for number in range(3):
        try:
            os.get_inheritable(number)
        except OSError:
            _open_nothing()


def _open_nothing() -> None:
    descriptor = os.open(os.devnull, os.O_RDWR)
    if descriptor > 2:
        os.close(descriptor)  # another thread was faster
    else:
        os.set_inheritable(descriptor, True)  # as standard streams are
