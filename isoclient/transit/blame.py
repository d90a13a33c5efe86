"""What is shown of the exception that kept an object from crossing."""

from __future__ import annotations

import copyreg
from types import TracebackType
from typing import Final, TypeVar

from isoclient.system.modules import os, pickle

__all__ = ["without_machinery"]

_E = TypeVar("_E", bound=BaseException)

_HERE: Final = os.path.dirname(__file__) + os.sep
_DILL: Final = f"{os.sep}dill{os.sep}_dill.py"
_STANDARD: Final = (pickle.__file__, copyreg.__file__)
_MOST_AT_EACH_END: Final = 3  # frames: of a recursion, the rest is the same again
_LONGEST_CHAIN: Final = 3


def without_machinery(error: _E) -> _E:
    """The same, with the frames of the user's own code alone, and few of these, in it and in what led to it."""
    link: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if link is None:
            return error
        link.__traceback__ = _shortened(link.__traceback__)
        last, link = link, link.__cause__ or link.__context__
    last.__cause__ = last.__context__ = None
    return error


def _shortened(traceback: TracebackType | None) -> TracebackType | None:
    entries = []
    while traceback is not None:
        if not _is_machinery(traceback.tb_frame.f_code.co_filename):
            entries.append(traceback)
        traceback = traceback.tb_next
    if len(entries) > 2 * _MOST_AT_EACH_END:
        del entries[_MOST_AT_EACH_END:-_MOST_AT_EACH_END]
    following = None
    for entry in reversed(entries):
        entry.tb_next = following
        following = entry
    return following


def _is_machinery(file: str) -> bool:
    return file.startswith(_HERE) or file.endswith(_DILL) or file in _STANDARD
