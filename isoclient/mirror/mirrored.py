"""What a thing is made of that the test's process and the app's share.

An app in a process of its own is to behave as one within the test's. So what the test has in force must be in force
there, as the levels of loggers; and what the app tells of itself must come to those who would hear of it here, as log
records to handlers. Each such thing is a class, with the half that is at work in the test's process and the half that
is at work in the app's. It has those of the methods below that it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from isoclient.transit.codecs import PipeCodec

__all__ = ["Context", "Mirrored", "Reporter"]

Context: TypeAlias = dict[str, Any]
"""What things of the test's process are to be in force in the app's, by their names; only those that have changed.

Each is of plain values that :mod:`marshal` carries. In the first one for a fork are objects of the test's too.
"""


class Reporter:
    """What a thing has in the app's process for telling its half in the test's.

    Args:
        tell: puts an entry of the thing's into the journal, from any thread and at any time; never raises.
        codec: how exceptions become values.
        at_call_end: what is called whenever a call of the app has ended, and the test is about to know.
        app: returns the app, once it is loaded.
        before_telling: what is called before anything is said to the test.
    """

    def __init__(
        self,
        tell: Callable[[bytes], None],
        codec: PipeCodec,
        at_call_end: list[Callable[[], None]],
        app: Callable[[], object],
        before_telling: list[Callable[[], None]],
    ) -> None:
        self.app = app
        self.tell = tell
        self.codec = codec
        self.at_call_end = at_call_end
        self.before_telling = before_telling


class Mirrored:
    """One thing of both processes. The test's has an instance for each app, and the app's process has one."""

    @property
    def is_live(self) -> bool:
        """Whether changes are to be told also while a call is under way, for those who wait for them; in both."""
        return False

    # -- in the test's process

    def of_app(self, app: Any) -> None:
        """Know the app, or its import string; None where this process has neither. Before :meth:`first`."""

    def first(self, *, fresh: bool) -> Any:
        """What the app is to begin with; None for nothing.

        Args:
            fresh: whether its process is a fresh interpreter, which inherits nothing, and not a fork of this one.
        """
        return None

    def notice(self) -> Any:
        """What has changed since the app was told the last time; None for nothing.

        It is asked whenever :meth:`ClientMirror.news <isoclient.mirror.mirrors.ClientMirror.news>` sees a sign that
        something may have changed, by one thread at a time.
        """
        return None

    def replay(self, payload: bytes) -> None:
        """Act on what the other half has told, by the means of this process."""

    def close(self) -> None:
        """The app has ended: keep nothing of it."""

    # -- in the app's process

    def begin(self, first: Any, reporter: Reporter) -> None:
        """Put into force what the test begins with, and tell of what happens from now on. The app is not loaded yet.

        Args:
            first: see :meth:`first`.
            reporter: see there.
        """

    def apply(self, difference: Any) -> None:
        """Put what has changed into force; see :meth:`notice`."""

    def is_of_the_test(self, owner: object, key: object) -> bool:
        """Whether it has put what an object has under this name or key there; with None, under any."""
        return False

    def app_is_loaded(self) -> None:
        """It has configured logging by now, most likely, and whatever else it does when it is imported."""
