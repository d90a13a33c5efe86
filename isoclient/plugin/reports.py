"""What a failed test shows of the apps that it has used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from isoclient.client.app_names import name_of_app
from isoclient.client.registry import registry
from isoclient.client.request_errors import ending
from isoclient.process.stacks import first_dump

if TYPE_CHECKING:
    from isoclient.process.handle import ProcessStatus

__all__ = ["sections"]

_LINES: Final = 30


def sections() -> list[tuple[str, str]]:
    """A title and a text for each process of an app that the present test has used, the ended ones included."""
    found = {}
    for client, usage in list(registry.clients.items()):
        for handle in usage.of_this_test():
            status = handle.status()
            if status is not None:
                found[status.pid] = (f"isoclient: {name_of_app(client.app)} (pid {status.pid})", _text(status))
    return [found[pid] for pid in sorted(found)]


def _text(status: ProcessStatus) -> str:
    text = f"It {_state(status)}.\n"
    if status.stack:
        text += f"Its stack{_when(status)}:\n{_indented(_last_stack(status.stack))}"
    if status.stderr.strip():
        text += f"The end of its stderr:\n{_indented(_end(status.stderr))}"
    return text


def _state(status: ProcessStatus) -> str:
    if status.exitcode is None:
        return "runs"
    return "was ended by force, for it did not answer" if status.forced else ending(status.exitcode)


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
