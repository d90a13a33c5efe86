"""Programs run as a user runs them: in a terminal, with somebody who reads and types."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import termios
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pexpect

__all__ = ["PYTEST", "Session", "environment", "run_pytest"]

_PATIENCE: Final = 90  # seconds
_PRESSES = 6  # of Ctrl-C, within that time

# Plugins that happen to be installed here cost two seconds each time: a run has those that it names, and ours.
PYTEST: Final = (sys.executable, "-m", "pytest", "--color=no", "-pno:cacheprovider", "-pisoclient")


def environment(**more: str) -> dict[str, str]:
    """That of a user, who does not run within another run of pytest."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV"))}
    terminal = {"TERM": "dumb", "INPUTRC": "/dev/null", "HOME": "/"}
    return {**ours, **terminal, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **more}


def _keep_output(descriptor: int) -> None:
    """Let Ctrl-C leave what has been printed.

    The kernel sends the signal first, and drops what waits to be read then: on another processor, the program may have
    answered by that time.
    """
    settings = termios.tcgetattr(descriptor)
    settings[3] |= termios.NOFLSH
    termios.tcsetattr(descriptor, termios.TCSANOW, settings)


class Session:
    """A program in a terminal of its own.

    Args:
        command: the program and its arguments.
        cwd: where it runs.
        more: environment variables.
    """

    def __init__(self, *command: str, cwd: Path, **more: str) -> None:
        self._child = pexpect.spawn(
            command[0],
            list(command[1:]),
            cwd=str(cwd),
            env=environment(**more),
            encoding="utf-8",
            timeout=_PATIENCE,
            dimensions=(50, 200),
        )
        self._child.delaybeforesend = None
        _keep_output(self._child.child_fd)
        self.seen = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._child.close(force=True)

    def until(self, pattern: str) -> str:
        """What is printed up to this regular expression, and with it."""
        self._child.expect(pattern)
        text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self._child.before + self._child.after).replace("\r", "")
        self.seen += text
        return text

    def prompt(self) -> str:
        """What is printed up to the next prompt of pdb."""
        return self.until(r"\(Pdb\) ")

    def type(self, line: str) -> None:
        self._child.sendline(line)

    def ask(self, line: str) -> str:
        """Type a line at the prompt; return what comes up to the next one."""
        self.type(line)
        return self.prompt()

    def press(self, control: str) -> None:
        """Press a key together with Ctrl."""
        self._child.sendcontrol(control)

    def interrupt_prompt(self) -> str:
        """Press Ctrl-C at a prompt; return what comes up to the next one.

        Python prints a prompt and then reads. An interrupt that comes between the two is noted, and seen only when the
        line has been read: as somebody would, press it again.
        """
        for _ in range(_PRESSES):
            self.press("c")
            if self._child.expect([r"\(Pdb\) ", pexpect.TIMEOUT], timeout=_PATIENCE / _PRESSES) == 0:
                break
        text: str = self._child.before
        return text

    def end(self) -> tuple[int | None, str]:
        """Wait for the end of the program; return its exit code, and all that it has printed."""
        self._child.expect(pexpect.EOF)
        self.seen += self._child.before.replace("\r", "")
        self._child.close()
        return self._child.exitstatus, self.seen

    @property
    def echoes(self) -> bool:
        return bool(self._child.getecho())


def run_pytest(cwd: Path, *options: str) -> tuple[int, str]:
    """Run pytest without any terminal; return its exit code, and what it has printed."""
    done = subprocess.run(
        [*PYTEST, *options],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_PATIENCE,
        start_new_session=True,
        check=False,
    )
    return done.returncode, done.stdout
