"""What the user of a client says: what may be changed at any time, and what is behind the client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from isoclient.client.copy_plan import Lifespan, Plan
from isoclient.client.defaults import Default, Isolated, said
from isoclient.client.lifetimes import LIFETIMES
from isoclient.client.supervisor import Supervisor
from isoclient.errors import NotAnApp
from isoclient.server.app import check_app, check_import_string
from isoclient.server.app_names import name_of_app
from isoclient.server.setup import BACKENDS, Setup
from isoclient.transit.libraries import own_line

if TYPE_CHECKING:
    from isoclient.server.limits import Limits

__all__ = ["Configurable", "Lifespan", "Settings", "make_setup", "make_supervisor", "name_of_app"]


_OF_TESTS: Final = ("together", "together:test")
"""What the mark takes beside these: a test runs so, with all of its clients."""


def make_setup(
    app: object, *, factory: bool, backend: str, options: Mapping[str, Any] | None, limits: Limits | None
) -> Setup:
    """See that all is well as far as that can be seen here, where nothing is imported.

    Raises:
        NotAnApp: the app is none.
        ValueError: there is no such backend.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend is {backend!r}; it is one of {', '.join(map(repr, BACKENDS))}")
    if isinstance(app, str):
        check_import_string(app)
    elif not factory:
        check_app(app)
    elif not callable(app):
        raise NotAnApp(f"{app!r} is not a factory: it can't be called")
    return Setup(app, factory, backend, dict(options or {}), limits)


def make_supervisor(
    setup: Setup,
    *,
    isolated: Isolated,
    start_method: str | None,
    timeout: float | None,
    restarts: bool,
    lifespan: Lifespan,
    leaks: Any,
) -> Supervisor:
    """The supervisor for these options of a client, each of which may be a default.

    Raises:
        ValueError: they do not go together, here or anywhere.
    """
    mode: Any = said(isolated)
    if getattr(type(setup.app), "runs_elsewhere", False):
        mode = _mode_of_isolated(setup.app, isolated)
    if mode not in list(LIFETIMES):
        *most, last = map(repr, LIFETIMES)
        of_tests = f'; of a test, say @pytest.mark.isolated("{mode}")' if mode in _OF_TESTS else ""
        raise ValueError(f"isolated is {mode!r}; it is {', '.join(most)} or {last}{of_tests}")
    if lifespan not in ("auto", "on", "off"):
        raise ValueError(f"lifespan is {lifespan!r}; it is 'auto', 'on' or 'off'")
    lifetime = LIFETIMES[mode]
    launcher = lifetime.launcher(setup, start_method)
    if said(leaks):
        if launcher.shares_memory and not isinstance(leaks, Default):
            raise ValueError(
                "leaks=True needs isolated=True: without, the app has no process of its own, and what the test leaves "
                "behind can't be told from what the app does"
            )
        setup = setup._replace(leaks=not launcher.shares_memory)
        if launcher.is_snapshot:
            import isoclient.server.leftovers  # noqa: F401  # so that not each fork has to
    return lifetime(Plan(setup, launcher, lifespan, said(timeout), made_at=own_line()), restarts=restarts)


def _mode_of_isolated(app: object, isolated: Any) -> bool:
    """An app that runs in a process of its own already is called from here, whatever holds for the run of pytest."""
    if said(isolated) and not isinstance(isolated, Default):
        raise ValueError(
            f"{app!r} runs in a process of its own already, so that isolated={isolated!r} can't be: leave it out"
        )
    return False


# -- what may be changed


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
