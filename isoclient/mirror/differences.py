"""What must be in force in the app as it is in the test: the wire form, plain values that :mod:`marshal` carries.

A context is a dict in which only what has changed is present:

``"levels"``
    a list of :data:`Level`: of the tree of loggers, against what it was when the app started.
``"filters"``
    the warnings filters, all of them, each a :data:`Filter`; the first that matches counts. None where they are the
    same, but are to be taken for new: what has been shown once may be shown again.
``"locals"``
    whether tracebacks are to carry the text of local variables.
``"coverage"``
    the configuration to measure with, and the directory that its paths are relative to; only in the first context.
``"handlers"``
    whether the test's process has handlers at its root logger; only in the first context of a fresh interpreter.
``"inherited"``
    the handlers that a fork inherits: pairs of the ids of a logger and of a handler that it has, and references to
    those that no logger has; only in the first context of a fork, which has the objects.
``"hooks"``
    whether the test's process has hooks for the exceptions of threads, and for those that can't be raised; only in the
    first context.
"""

from __future__ import annotations

from typing import Any, TypeAlias

__all__ = ["Context", "Filter", "Level", "Pattern"]

Context: TypeAlias = dict[str, Any]

Level: TypeAlias = tuple[str, str, "int | bool | None", bool]
"""A logger's name, an attribute, its value, None for what it was at the start; and whether it is lower than that.

The attributes are ``"level"``, ``"disabled"``, ``"propagate"``, and with an empty name the manager's ``"disable"``.
"""

Pattern: TypeAlias = "tuple[str, int] | str | None"
"""A regular expression and its flags, or a text that must be equal, or None for any."""

Filter: TypeAlias = tuple[str, Pattern, tuple[str, str], Pattern, int]
"""An action, the pattern of the text, the category's module and name, the pattern of the module, and a line or 0."""
