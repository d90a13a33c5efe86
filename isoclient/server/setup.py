"""What the server is to run, as the test's process says it. It imports little, for ``import isoclient`` imports it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

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
        leaks: whether what the app leaves behind in its process may be asked for.
        pictures: for that, what the process has been seen to have that this one is a fork of; see
            :func:`isoclient.leaks.pictures.take_ahead`.
    """

    app: object
    factory: bool
    backend: str
    options: Mapping[str, Any]
    limits: Limits | None = None
    leaks: bool = False
    pictures: Mapping[type[Any], Any] | None = None

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """In a process that has been sent it: what it is to run. What it is to call, too, is registered there.

        Raises:
            ObjectNotLoadable: some of it can't be rebuilt there.
        """
        from isoclient.server.hooks import hooks
        from isoclient.transit import unpack_object

        parts = unpack_object(packed, {})
        hooks.take(parts.pop("hooks"))
        return cls(**parts)

    @property
    def is_there(self) -> bool:
        """Whether this is the app itself, and nothing has to be run to have it."""
        return not self.factory and not isinstance(self.app, str)

    def find(self) -> Any:
        """The app, or the factory of one; imported where that is called for."""
        return import_app(self.app) if isinstance(self.app, str) else self.app

    def make(self, found: Any) -> Any:
        """The app, made by its factory if it has one."""
        if self.is_there:
            return found  # the client has seen that it can be called
        app = found() if self.factory else found
        check_app(app)
        return app
