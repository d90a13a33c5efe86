"""Whether another project still has the private names that something here is built on."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

__all__ = ["self_test"]

# What another shape shows by. Anything else may come out of a signal handler, and is no answer.
_SIGNS: Final = (AssertionError, AttributeError, ImportError, LookupError, TypeError, ValueError)


def self_test(feature: str, *, project: str) -> Callable[[Callable[[], object]], Callable[[], bool]]:
    """Make a check of a project's private names into a question that is answered once: is all as it was?

    The check runs when that is first asked. If it raises what comes of names that are missing, or of others, the
    answer is no from then on, and a warning of the logger ``isoclient`` says what is off, and why.

    Args:
        feature: what is off without these names, as the user knows it; the first words of a sentence.
        project: whose names they are, as it is known to pip; ``"Python"`` for the standard library.

    Example:
        >>> @self_test("Measuring what the app does at night", project="Python")
        ... def can_measure():
        ...     import sys
        ...     assert callable(sys.getrefcount)
        >>> can_measure()
        True
    """

    def decorate(check: Callable[[], object]) -> Callable[[], bool]:
        answers: list[bool] = []

        def is_as_it_was() -> bool:
            if not answers:
                try:
                    check()
                except _SIGNS as error:
                    answers.append(False)
                    _warn(feature, project, error)
                else:
                    answers.append(True)
            return answers[0]

        is_as_it_was.__name__, is_as_it_was.__doc__ = check.__name__, check.__doc__
        return cache(is_as_it_was)  # in C from then on: some ask at each exception, and in each fork

    return decorate


def _warn(feature: str, project: str, error: Exception) -> None:
    # Imported here, for hardly anybody needs it.
    import logging

    reason = f"{type(error).__name__}: {error}".removesuffix(": ")
    logging.getLogger("isoclient").warning(
        "%s is off: this version of %s (%s) is not built like those that isoclient knows. %s",
        feature,
        project,
        _version(project),
        reason,
    )


def _version(project: str) -> str:
    import sys
    from importlib.metadata import PackageNotFoundError, version

    if project == "Python":
        return sys.version.split()[0]
    try:
        return version(project)
    except PackageNotFoundError:
        return "of an unknown version"
