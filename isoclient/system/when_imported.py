"""Something to be done with a module as soon as it has been imported, for who must not import it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["WhenImported"]


class WhenImported(MetaPathFinder):
    """Finds nothing itself: it has what the others find looked at once it is loaded.

    Args:
        wanted: the names of modules.
        act: called with each of them, once; right away with those that are there.
    """

    def __init__(self, wanted: tuple[str, ...], act: Callable[[ModuleType], object]) -> None:
        self._wanted = set(wanted)
        self._act = act

    def begin(self) -> None:
        """Look for them from now on."""
        sys.meta_path.insert(0, self)
        for name in list(self._wanted):
            if name in sys.modules:
                self.loaded(sys.modules[name])

    def end(self) -> None:
        """Do not look any more."""
        if self in sys.meta_path:  # a test has replaced the list, and may have put back an older one
            sys.meta_path.remove(self)

    def loaded(self, module: ModuleType) -> None:
        """It is there."""
        if module.__name__ in self._wanted:
            self._wanted.remove(module.__name__)
            self._act(module)

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        """See :meth:`importlib.abc.MetaPathFinder.find_spec`."""
        if name not in self._wanted:
            return None
        for finder in sys.meta_path:
            if finder is not self and (spec := finder.find_spec(name, path, target)) is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader, self)
                return spec
        return None


class _Loader(Loader):
    """Loads as another one does, and tells of what it has loaded. The module keeps the other one as its loader."""

    def __init__(self, loader: Any, finder: WhenImported) -> None:
        self._loader = loader
        self._finder = finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """See :class:`importlib.abc.Loader`."""
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        """See :class:`importlib.abc.Loader`."""
        spec = module.__spec__
        if spec is not None:
            spec.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._finder.loaded(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


# A module may warn of itself while it is imported, and means whoever imports it: so ``warnings`` passes over the frames
# of the import system, which it knows by what they have in their file names.
_Loader.exec_module.__code__ = _Loader.exec_module.__code__.replace(co_filename="<importlib._bootstrap by isoclient>")
