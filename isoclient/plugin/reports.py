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
    for client in list(registry.clients):
        for handle in client._runner.usage.of_this_test():
            report = handle.report()
            if report is not None:
                found[report.pid] = (f"isoclient: {name_of_app(client.app)} (pid {report.pid})", _text(report))
    return [found[pid] for pid in sorted(found)]


def _text(report: ProcessStatus) -> str:
    text = f"It {_state(report)}.\n"
    if report.stack:
        text += f"Its stack{_when(report)}:\n{_indented(_last_stack(report.stack))}"
    if report.stderr.strip():
        text += f"The end of its stderr:\n{_indented(_end(report.stderr))}"
    return text


def _state(report: ProcessStatus) -> str:
    if report.exitcode is None:
        return "runs"
    return "was ended by force, for it did not answer" if report.forced else ending(report.exitcode)


def _when(report: ProcessStatus) -> str:
    return " when it was last asked for it" if report.exitcode is None else ""


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
