"""What the three protocols have in common: a state, and a check that moves it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from isoclient.asgi.explain import out_of_place
from isoclient.asgi.kinds import Wrong, short, string
from isoclient.asgi.schemas import Message
from isoclient.asgi.tables import Protocol
from isoclient.errors import AppProtocolError

__all__ = ["Rules"]


class Rules:
    """The rules of one stream: the base of the three protocols, each of which is a table and some words."""

    __slots__ = ("_state",)

    protocol: ClassVar[Protocol]

    def __init__(self) -> None:
        self._state = self.protocol.first

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._state}>"

    @property
    def state(self) -> str:
        """Where the stream is, in words."""
        return self._state

    @property
    def complete(self) -> bool:
        """Whether nothing more may be sent."""
        return not self.protocol.table[self._state]

    def check(self, message: object) -> Message:
        """Take one message that the app sends, and move on.

        Args:
            message: what the app gave to ``send``; any mapping will do.

        Returns:
            A fresh plain dict which holds every key that the spec has for this type, defaults filled in, as exact
            builtins. Other keys are left out.

        Raises:
            AppProtocolError: the message may not be sent, or not now. The state is as it was before.
        """
        if type(message) is not dict:
            message = self._mapping(message)
        kind = message.get("type")
        if type(kind) is not str:
            kind = self._kind(message)
        step = self.protocol.table[self._state].get(kind)
        if step is None:
            raise AppProtocolError(out_of_place(kind, self.protocol, self._state))
        schema, after, after_flag = step
        try:
            read = schema.read(message)
        except Wrong as wrong:
            raise AppProtocolError(f"{kind}: {wrong} (state: {self._state})") from wrong.__cause__
        except Exception as error:  # A value that lies about its class, as mocks do, or one nested too deeply.
            raise AppProtocolError(f"{kind} could not be read: {short(error)} (state: {self._state})") from error
        self._state = after_flag if schema.flag is not None and read[schema.flag] else after
        return read

    def knows(self, kind: str) -> bool:
        """Whether there is such a type of message here, at whatever time."""
        return kind in self.protocol.order

    def unfinished(self) -> str | None:
        """What is missing when the app returns now, as the text of an AppProtocolError; None if nothing is."""
        return self.protocol.unfinished.get(self._state)

    def _mapping(self, message: object) -> dict[Any, Any]:
        try:
            if isinstance(message, Mapping):
                return dict(message)
        except Exception as error:
            raise self._not_a_message(message, f"could not be read: {short(error)}") from error
        raise self._not_a_message(message, "is not a mapping")

    def _kind(self, message: dict[Any, Any]) -> str:
        if "type" not in message:
            raise self._not_a_message(message, "has no 'type'")
        try:
            return string(message["type"])
        except Exception:
            what = f"has a 'type' of type {type(message['type']).__name__}, not str"
            raise self._not_a_message(message, what) from None

    def _not_a_message(self, message: object, what: str) -> AppProtocolError:
        sent = f"the message of type {type(message).__name__} ({short(message)})"
        example = f"{{'type': {next(iter(self.protocol.order))!r}, ...}}"
        return AppProtocolError(f"{sent} {what} (state: {self._state}); send a dict such as {example}")
