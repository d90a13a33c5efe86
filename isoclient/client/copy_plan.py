"""What the copies of a client's app have in common, whichever of them there is."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from isoclient.client.registry import Usage
from isoclient.transit.libraries import Spot

if TYPE_CHECKING:
    from isoclient.process.launchers import Launcher
    from isoclient.server.setup import Setup

__all__ = ["BY_MARK", "Lifespan", "Plan"]

Lifespan = Literal["auto", "on", "off"]
"""Whether an app runs with its lifespan where that is wanted: if it has one, in any case, or not at all."""

BY_MARK: Final = '@pytest.mark.isolated("together") shares'
"""How an app comes to share memory with the test that is isolated for the run is, and nobody has said so of itself."""


def _nobody() -> None:
    return None


@dataclass(slots=True)
class Plan:
    """What the copies of a client's app have in common.

    Attributes:
        setup: what is started.
        launcher: how.
        lifespan: see :data:`Lifespan`.
        timeout: how long a wait may take, in seconds, where nothing else is said; None for no limit. It may be set at
            any time.
        owner: returns the client (a weak reference to it), which is not to be collected while it is used.
        has_outer_lifespan: returns whether somebody else runs the app's lifespan over its copies.
        usage: the copies that have been used of late.
        lasts: how long each lives, in words.
        reach: what calls a function in its process, as a test writes it; empty if a test has nothing that does.
        made_by: how the client is made so that it knows what the app leaves behind.
        sharing: what has the test share its memory with the app, in words.
        made_at: the line that has made the client, where warnings about that point to.
    """

    setup: Setup
    launcher: Launcher
    lifespan: Lifespan
    timeout: float | None
    owner: Callable[[], object] = _nobody
    has_outer_lifespan: Callable[[], bool] = bool
    usage: Usage = field(default_factory=Usage)
    lasts: str = ""
    reach: str = ""
    made_by: str = "TestClient(..., isolated=True, leaks=True)"
    sharing: str = BY_MARK
    made_at: Spot | None = None

    def warn(self, text: str) -> None:
        """Warn of what is about the client, at the line that has made it."""
        if self.made_at is None:
            warnings.warn(text, RuntimeWarning, stacklevel=2)
        else:
            warnings.warn_explicit(text, RuntimeWarning, self.made_at.file, self.made_at.line)

    @property
    def live(self) -> dict[str, object]:
        """The objects that both sides have: in a call, a reference to the app means the app over there."""
        return {} if isinstance(self.setup.app, str) or self.setup.factory else {"app": self.setup.app}
