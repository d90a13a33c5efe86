"""What the server is to run, as the test's process says it. It imports little, for ``import isoclient`` imports it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from isoclient.server.app import check_app, import_app

if TYPE_CHECKING:
    from isoclient.server.limits import Limits

__all__ = ["BACKENDS", "Setup"]

BACKENDS: Final = ("asyncio", "trio")


class Setup(NamedTuple):
    """What the server is to run.

    Args:
        app: the app itself, or an import string.
        factory: whether the app is what calling that returns.
        backend: one of :data:`BACKENDS`.
        options: what the backend is given.
        limits: what its process may use; None for no limits.
    """

    app: object
    factory: bool
    backend: str
    options: Mapping[str, Any]
    limits: Limits | None = None

    def find(self) -> Any:
        """The app, or the factory of one; imported where that is called for."""
        return import_app(self.app) if isinstance(self.app, str) else self.app

    def make(self, found: Any) -> Any:
        """The app, made by its factory if it has one."""
        if not self.factory and not isinstance(self.app, str):
            return found  # the client has seen that it can be called
        app = found() if self.factory else found
        check_app(app)
        return app
