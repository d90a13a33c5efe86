"""What a process has one of: the environment, the current directory, the umask, the locale, the path of imports."""

from __future__ import annotations

import locale
import sys
from collections.abc import Iterator
from typing import ClassVar, Final

from isoclient.leaks.found import Found, short
from isoclient.leaks.kind import Subject
from isoclient.leaks.origins import ISOCLIENT
from isoclient.system.modules import io, os

__all__ = ["Directory", "Environ", "ImportPath", "Locale", "Umask"]

_OF_PYTEST: Final = "PYTEST_CURRENT_TEST"


class Environ:
    """Variables that are set, changed or unset."""

    def __init__(self, subject: Subject) -> None:
        self._origins = subject.origins

    def before(self) -> dict[str, str]:
        return dict(os.environ)

    def after(self, before: dict[str, str]) -> Iterator[Found]:
        now = dict(os.environ)
        for name in dict.fromkeys([*before, *now]):
            value, then = now.get(name), before.get(name)
            origin = self._origins.of("environ", name)
            if value != then and origin is not ISOCLIENT and name != _OF_PYTEST:
                what = f"{name} = {short(value)}" if value is not None else f"{name} unset"
                yield Found(
                    "environ", f"{what} ({'was unset' if then is None else f'was {short(then)}'})", origin, name
                )


class _One:
    """One thing, which is another by now."""

    kind: ClassVar[str]

    def __init__(self, subject: Subject) -> None:
        self._origins = subject.origins

    def before(self) -> str:
        raise NotImplementedError  # each has its own

    def after(self, before: str) -> Iterator[Found]:
        now, origin = self.before(), self._origins.of(self.kind, "")
        if now != before and origin is not ISOCLIENT:
            yield Found(self.kind, f"{now} (was {before})", origin, self.kind)


class Directory(_One):
    """The current directory."""

    kind = "cwd"

    def before(self) -> str:
        try:
            return os.getcwd()
        except OSError:
            return "removed"


class Umask(_One):
    """The mask of the modes of new files."""

    kind = "umask"

    def before(self) -> str:
        try:
            with io.open("/proc/self/status", "rb") as file:
                return next(line.split()[1].decode() for line in file if line.startswith(b"Umask:"))
        except (OSError, StopIteration):  # it can be asked for by setting it alone
            mask = os.umask(0o077)
            os.umask(mask)
            return f"{mask:04o}"


class Locale(_One):
    """What :func:`locale.setlocale` has set."""

    kind = "locale"

    def before(self) -> str:
        return locale.setlocale(locale.LC_ALL)


class ImportPath:
    """Entries of sys.path. Nothing tells who has put them there."""

    def __init__(self, subject: Subject) -> None:
        pass

    def before(self) -> list[object]:
        return list(sys.path)

    def after(self, before: list[object]) -> Iterator[Found]:
        now: list[object] = list(sys.path)
        for entry in now:
            if entry not in before:
                yield Found("sys.path", f"{short(entry)} added", None, ("added", str(entry)))
        for entry in before:
            if entry not in now:
                yield Found("sys.path", f"{short(entry)} removed", None, ("removed", str(entry)))
