"""Programs and runs of pytest as a user has them: in a terminal, with somebody who reads and types."""

from __future__ import annotations

import os
import re
import termios
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pexpect
import pexpect.fdpexpect

from tests.prepared import Prepared

__all__ = ["RunPytest", "Session", "StartPytest", "environment", "run_pytest"]

RunPytest = Callable[..., tuple[int, str]]
StartPytest = Callable[..., "Session"]

_PATIENCE: Final = 90  # seconds
_PRESSES = 6  # of Ctrl-C, within that time

# Plugins that happen to be installed here cost two seconds each time: a run has those that it names, and ours.
_LIGHT: Final = ("--color=no", "-pno:cacheprovider", "-pisoclient")
_SIZE: Final = (50, 200)  # of the terminal


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


class _Run(pexpect.fdpexpect.fdspawn):  # type: ignore[misc]
    """A prepared run of pytest in a terminal of its own, with what a session needs of ``pexpect.spawn``."""

    def __init__(self, prepared: Prepared, *options: str, cwd: Path, env: dict[str, str]) -> None:
        ours, theirs = os.openpty()
        termios.tcsetwinsize(theirs, _SIZE)
        super().__init__(ours, encoding="utf-8", timeout=_PATIENCE)
        self._prepared = prepared
        self._pid = prepared.begin([*_LIGHT, *options], cwd=cwd, env=env, streams=[theirs] * 3)
        os.close(theirs)
        self.exitstatus: int | None = None

    def sendcontrol(self, key: str) -> None:
        self.send(chr(ord(key) & 0x1F))

    def getecho(self) -> bool:
        return bool(termios.tcgetattr(self.child_fd)[3] & termios.ECHO)

    def close(self, force: bool = False) -> None:
        if self.closed:
            return
        if force:
            with suppress(ProcessLookupError):
                os.kill(self._pid, 9)
        self.exitstatus = self._prepared.await_end(self._pid, _PATIENCE)
        super().close()


class Session:
    """A program in a terminal of its own.

    Args:
        child: the program.
    """

    def __init__(self, child: Any) -> None:
        self._child = child
        self._child.delaybeforesend = None
        _keep_output(self._child.child_fd)
        self.seen = ""

    @classmethod
    def of(cls, *command: str, cwd: Path) -> Self:
        """One with an interpreter of its own, or whatever this command is."""
        program, *arguments = command
        return cls(
            pexpect.spawn(
                program,
                arguments,
                cwd=str(cwd),
                env=environment(),
                encoding="utf-8",
                timeout=_PATIENCE,
                dimensions=_SIZE,
            )
        )

    @classmethod
    def of_pytest(cls, prepared: Prepared, *options: str, cwd: Path, **more: str) -> Self:
        """A run of pytest with these options and, beside those of a user, these environment variables."""
        return cls(_Run(prepared, *options, cwd=cwd, env=environment(**more)))

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


def run_pytest(prepared: Prepared, cwd: Path, *options: str) -> tuple[int, str]:
    """Run pytest without any terminal; return its exit code, and what it has printed."""
    done = prepared.run([*_LIGHT, *options], cwd=cwd, env=environment(), timeout=_PATIENCE, together=True)
    return done.code, done.out
