"""What the user of a client may change at any time, and what each of its requests goes by."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Configurable", "Settings"]


@dataclass(slots=True)
class Settings:
    """One for a client, and for the adapter that sends its requests, which does not know it.

    Attributes:
        raises: whether the app's exceptions are raised by the request, or made the response of a server.
        root_path: of the scope.
        client: of the scope.
    """

    raises: bool
    root_path: str
    client: tuple[str, int]


class Configurable:
    """The settings as attributes of a client."""

    _settings: Settings

    @property
    def raise_server_exceptions(self) -> bool:
        """Whether an exception of the app is raised by the request. It may be set at any time."""
        return self._settings.raises

    @raise_server_exceptions.setter
    def raise_server_exceptions(self, raises: bool) -> None:
        self._settings.raises = raises

    @property
    def root_path(self) -> str:
        """Of the scope: where the app is mounted. It may be set at any time."""
        return self._settings.root_path

    @root_path.setter
    def root_path(self, path: str) -> None:
        self._settings.root_path = path

    @property
    def client_address(self) -> tuple[str, int]:
        """Of the scope: the client's host and port. It may be set at any time."""
        return self._settings.client

    @client_address.setter
    def client_address(self, address: tuple[str, int]) -> None:
        self._settings.client = address
