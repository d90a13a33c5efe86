"""What to try where a test has failed that used an isolated app, and nothing that was found there says why."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import pytest
import requests

from isoclient.client.copy_plan import BY_MARK
from isoclient.client.registry import registry
from isoclient.errors import AppNotFound, AppProtocolError, NotAnApp, ObjectNotLoadable, ObjectNotSendable

if TYPE_CHECKING:
    from isoclient.client.copy_record import CopyRecord
    from isoclient.process.handle import ProcessStatus

__all__ = ["PAGE", "advice", "may_be_due_to_startup"]

PAGE: Final = '"What a copy can\'t share", docs/copies.md'
_SAY_WHY: Final = (
    *(requests.ConnectionError, requests.Timeout, AppNotFound, AppProtocolError, NotAnApp),
    *(ObjectNotLoadable, ObjectNotSendable),
)
"""Of these, it is known what has happened."""


def advice(used: Iterable[tuple[CopyRecord, ProcessStatus]], error: BaseException | None) -> str:
    """A line for the last of the sections of a test; empty where memory that is apart can't be the reason.

    Args:
        used: the copies that the test has used, and what is known of each.
        error: what the test itself has raised.
    """
    copies = list(used)
    if not copies or not _is_of_the_test(error) or not all(_has_ended_well(status) for _, status in copies):
        return ""
    if isinstance(error, pytest.fail.Exception) and any(
        answer.was_ended for copy, _ in copies for answer in copy.answers
    ):
        return ""  # a time limit, most likely
    copy, _ = copies[-1]
    if copy.sharing == BY_MARK and registry.name:
        together = f"pytest --isolated=together {shlex.quote(registry.name)} shares memory"
        return f"If it fails only with --isolated: {together}; see {PAGE}.\n"
    return f"If it fails only isolated: {copy.sharing} memory; see {PAGE}.\n"


def may_be_due_to_startup(error: BaseException | None) -> bool:
    """Whether a test may fail so because the startup of its app has not run: what is missing then, nobody tells."""
    return _is_of_the_test(error) or isinstance(error, requests.Timeout)


def _is_of_the_test(error: BaseException | None) -> bool:
    """Whether it is an assertion that failed, or something that was raised, by the test or its app."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_of_the_test, error.exceptions))
    return isinstance(error, Exception | pytest.fail.Exception) and not isinstance(error, _SAY_WHY)


def _has_ended_well(status: ProcessStatus) -> bool:
    """Whether a process lives, or has ended in order."""
    return status.exitcode is None or (status.exitcode == 0 and not status.forced)
