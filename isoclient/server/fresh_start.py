"""The app's process when it begins as a fresh interpreter, by spawn or from the fork server."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from functools import partial
from types import FunctionType
from typing import Final, NoReturn

from isoclient.errors import ObjectNotLoadable, ObjectNotSendable
from isoclient.mirror.mirrored import Context
from isoclient.server import child
from isoclient.server.boot import Find
from isoclient.server.child import Descriptors
from isoclient.server.hooks import hooks
from isoclient.server.setup import Setup
from isoclient.server.side_channel import SideChannel
from isoclient.system.modules import io, os, pickle
from isoclient.system.standard_streams import occupy_standard_streams
from isoclient.transit import Names, pack_object
from isoclient.transit.places import Place, is_importable_there, place_of

__all__ = ["FreshStart", "begin_in_fork", "begin_spawned"]

_OWN: Final = len(fields(Descriptors))
_GIVEN_UP: Final = 1


@dataclass(frozen=True, slots=True)
class FreshStart:
    """What a fresh interpreter is sent: plain values, and the setup packed, so that its failure can be told.

    Attributes:
        path: where modules are imported from.
        arguments: those of the command line.
        environment: the variables.
        context: what else is to be in force.
        setup: what to run.
        advice: what to do where that can't be loaded.
    """

    path: list[str]
    arguments: list[str]
    environment: dict[str, str]
    context: Context
    setup: bytes
    advice: str

    @classmethod
    def of(cls, context: Context, setup: Setup) -> FreshStart:
        """Pack it, with the path, the arguments and the environment as they are now.

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
            "leaks": setup.leaks,
            "hooks": hooks.export(),
        }
        try:
            packed = pack_object(parts, {}, same_main=False, by_name=Names({}, place and (setup.app, place)))
        except ObjectNotSendable as error:
            error.add_note(advice)
            raise
        return cls(list(sys.path), list(sys.argv), dict(os.environ), context, packed, advice)

    def run(self, descriptors: Descriptors, sentinel: int, channel: int | None = None) -> NoReturn:
        """Be the app's process.

        Args:
            descriptors: see there.
            sentinel: a descriptor that becomes readable when the test's process has died.
            channel: that of a template that may be left behind.
        """
        sys.path[:] = self.path
        sys.path_importer_cache.clear()  # it knows of the directories as they were
        sys.argv[:] = self.arguments
        os.environ.clear()
        os.environ.update(self.environment)
        make_find = None if channel is None else partial(_find_with_template, channel, descriptors, sentinel)
        child.run(descriptors, self.context, self._unpack, sentinel, make_find=make_find)

    def _unpack(self) -> Setup:
        try:
            return Setup.unpack(self.setup)
        except ObjectNotLoadable as error:
            error.add_note(self.advice)
            raise


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


def _find_with_template(channel: int, descriptors: Descriptors, sentinel: int, side: SideChannel) -> Find:
    from isoclient.server.template import TemplateMaker

    return TemplateMaker(channel, descriptors, sentinel, side).find


def begin_spawned(data: int, sentinel: int, given: list[int]) -> NoReturn:
    """Where an interpreter started by spawn begins: read what to do, and do it.

    Args:
        data: the descriptor to read from; it is closed then.
        sentinel: the descriptor whose other end stays open for as long as the test's process lives.
        given: those of :class:`Descriptors`.
    """
    occupy_standard_streams()
    for descriptor in (sentinel, *given):
        os.set_inheritable(descriptor, False)
    _read(data).run(Descriptors(*given), sentinel)


def begin_in_fork(given: list[int]) -> NoReturn:
    """Where a process from the fork server begins.

    Args:
        given: the sentinel, by which it is sent what to do, too; its directory; those of :class:`Descriptors`; and the
            channel of a template, if one may be left behind.
    """
    data, directory, *own = given
    os.fchdir(directory)  # not by its name: it may have been removed
    os.close(directory)
    sentinel = os.dup(data)
    _read(data).run(Descriptors(*own[:_OWN]), sentinel, *own[_OWN:])


def _read(descriptor: int) -> FreshStart:
    with io.open(descriptor, "rb") as file:
        try:
            start: FreshStart = pickle.load(file)
        except (EOFError, pickle.UnpicklingError):  # whoever has asked for this process has given it up, or has died
            os._exit(_GIVEN_UP)
    return start
