"""The app's process when it begins as a fresh interpreter, by spawn or from the fork server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from types import FunctionType
from typing import TYPE_CHECKING, Final, NoReturn

from multiprocess import forkserver, spawn

from isoclient.host import child
from isoclient.host.child import Descriptors
from isoclient.host.setup import Setup
from isoclient.host.standard import occupy_standard_streams
from isoclient.link.context import Context
from isoclient.link.errors import ObjectNotLoadable, ObjectNotSendable
from isoclient.link.places import Place, is_importable_there, place_of
from isoclient.link.system import io, os, pickle
from isoclient.link.transit import Names, pack_object, unpack_object

if TYPE_CHECKING:
    from isoclient.host.side_channel import SideChannel
    from isoclient.host.template import Offer

__all__ = ["FreshStart", "main"]

_OWN: Final = len(fields(Descriptors))


@dataclass(frozen=True, slots=True)
class FreshStart:
    """What a fresh interpreter is sent: plain values, and the setup packed, so that its failure can be told."""

    descriptors: Descriptors
    inherited: bool
    environment: dict[str, str]
    context: Context
    setup: bytes
    advice: str
    offered: bool = False

    @classmethod
    def of(cls, descriptors: Descriptors, context: Context, setup: Setup) -> FreshStart:
        """Pack it, with the environment as it is now.

        Raises:
            ObjectNotSendable: something in the setup can't cross.
        """
        place = _importable_place(setup.app)
        advice = _advice(place)
        parts = {
            "app": setup.app,
            "factory": setup.factory,
            "backend": setup.backend,
            "options": dict(setup.options),
            "limits": setup.limits,
        }
        try:
            packed = pack_object(parts, {}, same_main=False, by_name=Names({}, place and (setup.app, place)))
        except ObjectNotSendable as error:
            error.add_note(advice)
            raise
        return cls(descriptors, False, dict(os.environ), context, packed, advice)

    def by_index(self, *, offered: bool) -> FreshStart:
        """The same for the fork server, which passes descriptors by their place in a list.

        Args:
            offered: whether the last of them is the channel of a template that may be left behind.
        """
        return replace(self, inherited=True, offered=offered)

    def _bootstrap(self, parent_sentinel: int) -> NoReturn:
        """Where multiprocess starts the process. Never returns."""
        os.environ.clear()
        os.environ.update(self.environment)
        child.run(
            self._own_descriptors(),
            self.context,
            self._unpack,
            parent_sentinel,
            make_offer=self._maker_of_offer() if self.offered else None,
        )

    def _unpack(self) -> Setup:
        try:
            return Setup(**unpack_object(self.setup, {}))
        except ObjectNotLoadable as error:
            error.add_note(self.advice)
            raise

    def _maker_of_offer(self) -> Callable[[SideChannel, Descriptors, int], Offer]:
        channel = forkserver.get_inherited_fds()[_OWN]
        return partial(_make_offer, channel)

    def _own_descriptors(self) -> Descriptors:
        if self.inherited:
            return Descriptors(*forkserver.get_inherited_fds()[:_OWN])
        for descriptor in self.descriptors.all():
            os.set_inheritable(descriptor, False)
        return self.descriptors


def _importable_place(app: object) -> Place | None:
    """Where a fresh interpreter can import the app from, as far as that can be seen here."""
    if isinstance(app, str | type | FunctionType):
        return None  # these are sent by name anyway, if they have one
    place = place_of(app)
    return place if place is not None and is_importable_there(place.module) else None


def _advice(place: Place | None) -> str:
    return (
        f'A fresh interpreter can import the app instead: TestClient("{place or "package.module:app"}"), with what it '
        'is imported from on sys.path. Or a fork has it as it is: start_method="fork".'
    )


def _make_offer(channel: int, side: SideChannel, descriptors: Descriptors, sentinel: int) -> Offer:
    from isoclient.host.heir import Heir
    from isoclient.host.template import Offer

    return Offer(channel, Heir(side, descriptors, sentinel))


def main(data: int, sentinel: int) -> None:
    """Where an interpreter started by spawn begins: read what to do, and do it.

    Args:
        data: the descriptor to read from; it is closed then.
        sentinel: the descriptor whose other end stays open for as long as the test's process lives.
    """
    occupy_standard_streams()
    os.set_inheritable(sentinel, False)
    with io.open(data, "rb") as file:
        spawn.prepare(pickle.load(file))
        start: FreshStart = pickle.load(file)
    start._bootstrap(sentinel)
