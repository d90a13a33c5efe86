"""What the host is to run, as the test's process says it. It imports little, for ``import isoclient`` imports it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from isoclient.host.app import check_app, import_app

if TYPE_CHECKING:
    from isoclient.link.limits import Limits

__all__ = ["BACKENDS", "Setup"]

BACKENDS: Final = ("asyncio", "trio")


class Setup(NamedTuple):
    """What the host is to run.

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

    def load(self) -> Any:
        """The app, imported and made where that is called for."""
        if isinstance(self.app, str):
            return import_app(self.app, factory=self.factory)
        if not self.factory:
            return self.app
        app = self.app()  # type: ignore[operator]  # the front has seen that it can be called
        check_app(app)
        return app
