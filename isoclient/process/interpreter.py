"""A fresh interpreter of the same Python, which imports what this process would, whatever lies about.

``python -c`` looks into the current directory first. There may be a ``types.py``, or ``logging.py``, which this process
does not have on its path (the console script of pytest), or which it has not met, because it had imported Python's own
long before. So the interpreter is told where to look before it imports anything, and Python's own modules come first,
then this package. The app gets the path of this process as it is when all that has been imported.
"""

from __future__ import annotations

import sys
from typing import Final

from isoclient.compat import multiprocess_
from isoclient.system.modules import os

__all__ = ["start_interpreter"]

_PYTHONS: Final = os.path.dirname(os.__file__)
_EXTENSIONS: Final = "lib-dynload"
_ZIPPED: Final = "python{}{}.zip".format(*sys.version_info)
_OURS: Final = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
_CODE: Final = "import sys; sys.path[:] = {path!r}; from {module} import main; main(*{arguments!r})"


def start_interpreter(module: str, arguments: tuple[object, ...], descriptors: list[int]) -> int:
    """Start it, with the environment, the directory and the flags of this process.

    Args:
        module: the one whose ``main`` it runs.
        arguments: for that; what their ``repr`` says.
        descriptors: what of this process it keeps, by the same numbers.

    Returns:
        Its pid.

    Raises:
        OSError: the system refuses a new process.
    """
    code = _CODE.format(path=_path(), module=module, arguments=arguments)
    # From Python 3.13 on, -c itself imports something before it runs the code: hence -P.
    return multiprocess_.start([*multiprocess_.interpreter(), "-P", "-c", code], descriptors)


def _path() -> list[str]:
    path = [entry for entry in map(_as_text, sys.path) if entry is not None]
    extensions = [entry for entry in path if os.path.basename(entry) in (_EXTENSIONS, _ZIPPED)]
    return list(dict.fromkeys([_PYTHONS, os.path.join(_PYTHONS, _EXTENSIONS), *extensions, _OURS, *path]))


def _as_text(entry: object) -> str | None:
    """None for what Python ignores on the path."""
    return entry if isinstance(entry, str) else None
