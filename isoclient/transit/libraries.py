"""Which code is somebody's own, and which is a library's, as far as the place of its file says."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import cache
from types import FrameType, ModuleType
from typing import Final, Literal, NamedTuple

from isoclient.system.modules import os

__all__ = ["Spot", "innermost", "is_of_a_library", "is_own_module", "near", "own_line", "whose", "without_place"]

_OURS: Final = os.path.dirname(os.path.dirname(__file__)) + os.sep
_INSTALLED: Final = tuple(f"{os.sep}{name}{os.sep}" for name in ("site-packages", "dist-packages"))


_TYPED: Final = ("<stdin>", "<console>", "<doctest ", "<ipython-input-", "<python-input-")


class Spot(NamedTuple):
    """A line that is being run.

    Example:
        >>> str(Spot("/srv/shop/main.py", 12, "pay"))
        '/srv/shop/main.py:12 in pay'
    """

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{near(self.file)}:{self.line} in {self.function}"


def near(file: str) -> str:
    """The path of a file as seen from the current directory, if it is below that."""
    try:
        relative = os.path.relpath(file)
    except (OSError, ValueError):  # the directory is gone
        return file
    return file if relative.startswith(os.pardir) else relative


def without_place(file: str) -> str:
    """The path of a file of Python's or of an installed package without the place where that is installed.

    Example:
        >>> without_place("/venv/lib/python3.11/site-packages/pool/work.py"), without_place("/srv/shop/main.py")
        ('pool/work.py', '/srv/shop/main.py')
    """
    part = next((part for part in _INSTALLED if part in file), None)
    if part is not None:
        return file.rpartition(part)[2]
    return next((file.removeprefix(path) for path in _standard() if file.startswith(path)), file)


def own_line() -> Spot | None:
    """The innermost line of somebody's own code that calls this."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if not is_of_a_library(frame.f_code.co_filename):
            return Spot(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
        frame = frame.f_back
    return None


def innermost(spots: Iterable[Spot]) -> Spot | None:
    """Of a stack, the outermost first, the innermost line of somebody's own code; of a library's, if there is no other.

    Example:
        >>> innermost([Spot("/srv/shop/main.py", 12, "pay"), Spot(os.__file__, 40, "read")])
        Spot(file='/srv/shop/main.py', line=12, function='pay')
    """
    inwards = list(spots)[::-1]
    own = next((spot for spot in inwards if not is_of_a_library(spot.file)), None)
    installed = next((spot for spot in inwards if any(part in spot.file for part in _INSTALLED)), None)
    return own or installed or next(iter(inwards), None)


@cache
def whose(file: str) -> Literal["own", "installed", "python", "isoclient"]:
    """Whose a file is: somebody's own, of an installed package, Python's, or of this package.

    Example:
        >>> whose(os.__file__), whose("/srv/shop/main.py"), whose(__file__)
        ('python', 'own', 'isoclient')
    """
    if file.startswith(_OURS):
        return "isoclient"
    if any(part in file for part in _INSTALLED):
        return "installed"
    if file.startswith("<"):  # no file: what is not typed in is made by a library, most likely
        return "own" if file.startswith(_TYPED) else "python"
    return "python" if file.startswith(_standard()) else "own"


def is_of_a_library(file: str) -> bool:
    """Whether a file is of Python's, of this package, or installed; or is none, and nobody has typed in what it has.

    Example:
        >>> is_of_a_library(os.__file__), is_of_a_library("/srv/shop/main.py"), is_of_a_library("<stdin>")
        (True, False, False)
    """
    return whose(file) != "own"


def is_own_module(module: object) -> bool:
    """Whether a module is somebody's own code. One that answers for itself is none: a look may have it import itself.

    Example:
        >>> is_own_module(sys), is_own_module(ModuleType("made_by_a_test"))
        (False, False)
    """
    kind = type(module)  # isinstance asks its __class__, which may be a property
    if not issubclass(kind, ModuleType) or kind.__getattribute__ is not ModuleType.__getattribute__:
        return False
    file = vars(module).get("__file__")
    return isinstance(file, str) and whose(file) == "own"


@cache
def _standard() -> tuple[str, ...]:
    found = {os.path.dirname(os.__file__)}
    found.add(os.path.join(sys.base_prefix, "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}"))
    return tuple(f"{path}{os.sep}" for path in found)
