"""A stream's life as a table: state -> message type -> next state. The states are the words that errors use."""

from __future__ import annotations

from typing import NamedTuple

from isoclient.asgi.schemas import Schema

__all__ = ["Protocol", "Step", "Table", "table"]

Step = tuple[Schema, str, str]  # The next state, and the one after a message whose flag is True.
Table = dict[str, dict[str, Step]]


def table(rows: dict[str, list[tuple[Schema, str] | Step]]) -> Table:
    """Rows of (schema, next state) or (schema, next state, next state if the schema's flag is True)."""
    return {state: {row[0].kind: (row[0], row[1], row[-1]) for row in steps} for state, steps in rows.items()}


class Protocol(NamedTuple):
    """All that is particular to one kind of stream."""

    name: str
    first: str
    table: Table
    order: dict[str, str]  # For every message type, when it may be sent.
    unfinished: dict[str, str]  # For each state that an app may not return in, what it left out.

    def ended(self, state: str) -> bool:
        """Whether there is no way on from a state."""
        return not self.table[state]
