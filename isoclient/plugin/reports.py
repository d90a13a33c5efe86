"""What a failed test shows of the apps that it has used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from isoclient.client.client_options import name_of_app
from isoclient.client.registry import registry
from isoclient.client.request_errors import ending
from isoclient.plugin.advice import PAGE, advice, may_be_due_to_startup
from isoclient.plugin.differences import differences
from isoclient.plugin.lifespans import has_lifespan
from isoclient.plugin.requests_made import line_of
from isoclient.plugin.shared_connections import shared_connections
from isoclient.plugin.shared_kernel_objects import shared_kernel_objects
from isoclient.process.stacks import first_dump

if TYPE_CHECKING:
    from isoclient.client.copy_record import CopyRecord
    from isoclient.process.handle import ProcessStatus

__all__ = ["ended_from_outside", "sections"]

_LINES: Final = 30
_NO_LIFESPAN: Final = (
    'Its lifespan has not run: a TestClient runs it in "with client:", and httpx.ASGITransport never does.\n'
)


def sections(error: BaseException | None, shown: BaseException | None = None) -> list[tuple[str, str]]:
    """A title and a text for each process of an app that the present test has used, the ended ones included.

    Args:
        error: what the test itself has raised.
        shown: what is shown above: a stack in it is not said again.
    """
    used = {status.pid: (copy, status) for copy in registry.of_this_test() if (status := copy.handle.status())}
    copies = [used[pid] for pid in sorted(used)]
    different = [differences(copy, error) if error is not None else "" for copy, _ in copies]
    texts = [_text(*each, found, shown) for each, found in zip(copies, different, strict=True)]
    if texts and not any(different):
        texts[-1] += advice(copies, error)
    return [(f"isoclient: {_name(copy)} (pid {status.pid})", text)
            for (copy, status), text in zip(copies, texts, strict=True)]  # fmt: skip


def ended_from_outside() -> str:
    """The requests of the present test that something from outside has ended, such as Ctrl-C, each in a line."""
    return "".join(
        line_of(answer) for copy in registry.of_this_test() for answer in copy.answers if answer.where is not None
    )


def _name(copy: CopyRecord) -> str:
    return name_of_app(copy.app) if copy.app is not None else "an app that is gone"


def _text(copy: CopyRecord, status: ProcessStatus, different: str, shown: BaseException | None) -> str:
    text = f"It {_state(copy, status)}. {_origin(copy, lives=status.exitcode is None)}\n"
    if not (copy.has_lifespan or different) and may_be_due_to_startup(shown) and has_lifespan(copy.app):
        text += _NO_LIFESPAN
    of_copies = different + _of_copies(copy, status)
    text += of_copies
    if copy.answers:
        text += f"Its last requests:\n{_indented(''.join(map(line_of, copy.answers)))}"
    if status.stack and not _is_shown(status.stack, shown):
        text += f"Its stack{_when(status)}:\n{_indented(_last_stack(status.stack))}"
    if status.stderr.strip() and getattr(shown, "stderr", "") != status.stderr:
        text += f"The end of its stderr:\n{_indented(_end(status.stderr))}"
    return text + f"See {PAGE}.\n" if of_copies else text


def _is_shown(stack: str, shown: BaseException | None) -> bool:
    """Whether what is shown above this has these lines, or those of a loop that is idle, which nobody need see."""
    told = getattr(shown, "stack", "")
    lines = [line for line in _last_stack(stack).splitlines() if line.startswith("  File ")]
    return isinstance(told, str) and bool(told) and set(lines) <= set(told.splitlines())


def _of_copies(copy: CopyRecord, status: ProcessStatus) -> str:
    """What a copy of a process shares with the test, or lacks."""
    text = ""
    if copy.is_snapshot and status.exitcode is None:
        for connection in shared_connections(status.pid):
            text += f"It has one connection together with the test, from before the fork: to {connection}.\n"
        if kernel_objects := shared_kernel_objects(status.pid):
            text += (
                "It has objects of multiprocessing together with the test, from before the fork: "
                f"{', '.join(kernel_objects)}.\n"
            )
    if copy.handle.lacking:
        text += f"It lacks threads that ran here when it was forked: {', '.join(copy.handle.lacking)}.\n"
    return text


def _origin(copy: CopyRecord, *, lives: bool) -> str:
    """Since when it is there, and how long it will be."""
    number, name = copy.first_test
    when = "in this test" if number == registry.test else f"in {name}" if name else "before any test"
    what = "a copy of this process" if copy.is_snapshot else "a fresh interpreter"
    if not lives:
        return f"It was {what} as of its first use, {when}."
    return f"It is {what} as of its first use, {when}, and lives {copy.lasts}."


def _state(copy: CopyRecord, status: ProcessStatus) -> str:
    if status.exitcode is None:
        return f"runs, though {copy.ended_for}" if copy.ended_for else "runs"
    if not status.own_end and not status.forced and status.exitcode >= 0:
        if copy.ended_for:
            return f"was ended, for {copy.ended_for}"
        if copy.handle.connection.server.failure is not None:
            return "has ended, for the app could not be loaded"
    return "was ended by force, for it did not answer" if status.forced else status.own_end or ending(status.exitcode)


def _when(status: ProcessStatus) -> str:
    return " when it was last asked for it" if status.exitcode is None else ""


def _last_stack(stack: str) -> str:
    """What it wrote when it died; or else what it wrote when it was asked, which it is twice."""
    fatal = stack.rfind("Fatal Python error")
    return stack[fatal:] if fatal >= 0 else first_dump(stack) or stack


def _end(text: str) -> str:
    lines = text.rstrip().splitlines()
    cut = "[...]\n" if len(lines) > _LINES else ""
    return cut + "\n".join(lines[-_LINES:])


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.rstrip().splitlines())
