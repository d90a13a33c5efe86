"""pdb in the app's process: ``breakpoint()`` opens its prompt in the terminal of the test run.

The standard streams of this process are files, and its process group is not the one in the foreground of the terminal.
So whenever pdb stops, the test's process is asked for the terminal (a DEBUG frame), and it is given back when pdb lets
the app go on. The other half is :mod:`isoclient.drive.terminal`.
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from isoclient.compat import python_asyncio
from isoclient.compat.pytest_ import forget_pytest
from isoclient.compat.python_pdb import can_be_patched
from isoclient.server.app_names import name_of_app
from isoclient.system.locks import make_lock
from isoclient.system.modules import io, os, select, signal, threading, time
from isoclient.transit.libraries import whose
from isoclient.wire.protocol import DEBUG

if TYPE_CHECKING:
    from isoclient.server.runtime import Pipe

__all__ = ["Debugger"]

_PATIENCE: Final = 30.0  # seconds that the test may take until it waits for the app, and so hands the terminal over
# Stepping into the code that sends frames would send frames amid others; and event loops are nobody's app.
_SKIPPED: Final = python_asyncio.MODULES | {"isoclient.*", "uvloop.*", "trio.*", "outcome.*"}
_HELD: Final = "isoclient_held_messages"
_IS_NAMED: Final = "isoclient_has_said_where"
_SERVER: Final = os.path.dirname(__file__) + os.sep
_NO_PROMPT: Final = contextlib.nullcontext()
_ADVICE: Final = "Run that test alone, in a terminal and without xdist (pytest -n 0), to debug its app."


class Debugger:
    """Gives each prompt of pdb the terminal.

    Args:
        pipe: the pipe to the test.

    Attributes:
        call_on_loop: calls something on the event loop, from any thread; None as long as there is no loop.
        app: the app, or where it is to be imported from; for the first line of a prompt.
    """

    def __init__(self, pipe: Pipe) -> None:
        self.call_on_loop: Callable[[Callable[[], object]], object] | None = None
        self.app: object = None
        self._pipe = pipe
        self._pid = os.getpid()
        self._thread = threading.get_ident()
        self._lock = make_lock()
        self._is_open = False

    def install(self) -> None:
        """From now on every Pdb of this process has its prompt in the terminal."""
        forget_pytest()
        if "pdb" in sys.modules:
            self._patch(sys.modules["pdb"])
        else:
            # Importing it takes longer than to start many an app.
            sys.meta_path.insert(0, _WhenImported("pdb", self._patch))

    def _patch(self, pdb: Any) -> None:
        if not can_be_patched():
            return
        original = getattr(pdb.Pdb.interaction, "__wrapped__", pdb.Pdb.interaction)

        def interaction(this: Any, *args: Any, **kwargs: Any) -> None:
            # Without raw input it has streams of its own: a remote debugger's, or a prompt's within another.
            with self._lock, self._prompt(this) if this.use_rawinput and not self._is_open else _NO_PROMPT:
                this.skip = _SKIPPED.union(this.skip or ())
                if not vars(this).setdefault(_IS_NAMED, False):
                    vars(this)[_IS_NAMED] = True
                    this.message(self._name())
                for held_args, held_kwargs in vars(this).pop(_HELD, ()):
                    this.message(*held_args, **held_kwargs)
                original(this, *args, **kwargs)

        interaction.__wrapped__ = original  # type: ignore[attr-defined]
        pdb.Pdb.interaction = interaction
        self._patch_message(pdb)
        _patch_stack(pdb)
        pdb.set_trace = _set_trace

    def _patch_message(self, pdb: Any) -> None:
        """What Pdb says before its prompt is open, such as "--Return--", waits for that: it is no output of the app."""
        original = getattr(pdb.Pdb.message, "__wrapped__", pdb.Pdb.message)

        def message(this: Any, *args: Any, **kwargs: Any) -> None:
            if this.use_rawinput and not self._is_open:
                vars(this).setdefault(_HELD, []).append((args, kwargs))
            else:
                original(this, *args, **kwargs)

        message.__wrapped__ = original  # type: ignore[attr-defined]
        pdb.Pdb.message = message

    def _name(self) -> str:
        """Whose prompt it is, in a line of its own: of several apps and tests, any may have one."""
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
        return f"\nisoclient: {name_of_app(self.app)} (pid {os.getpid()})" + (f", for {test}" if test else "")

    @contextlib.contextmanager
    def _prompt(self, pdb: Any) -> Iterator[None]:
        with _terminal(self._pid) as terminal:
            foreground = os.tcgetpgrp(terminal)
            self._is_open = True
            self._tell(os.getpgrp())
            try:
                _await_foreground(terminal)
                with _signals_of_a_prompt(), _standard_streams(terminal, pdb):
                    yield
            finally:
                # The next prompt may open before the test has seen that this one is closed: then the terminal must not
                # look as if it were ours still.
                with contextlib.suppress(OSError):
                    if os.tcgetpgrp(terminal) == os.getpgrp():
                        os.tcsetpgrp(terminal, foreground)
                self._is_open = False
                self._tell(None)

    def _tell(self, group: int | None) -> None:
        if threading.get_ident() == self._thread:
            self._write(group)
        elif self.call_on_loop is not None:
            self.call_on_loop(lambda: self._write(group))

    def _write(self, group: int | None) -> None:
        """Write it out before anything else happens: the loop is not to run until the prompt is closed."""
        self._pipe.mux.tell(DEBUG, group)
        end = time.monotonic() + _PATIENCE
        while not self._pipe.write() and time.monotonic() < end:
            poll = select.poll()
            poll.register(self._pipe.sock, select.POLLOUT)
            poll.poll(1000)


def _patch_stack(pdb: Any) -> None:
    """What Pdb shows as the stack are the frames of the app: in a fork, those of the whole run of tests are below."""
    original = getattr(pdb.Pdb.get_stack, "__wrapped__", pdb.Pdb.get_stack)

    def get_stack(this: Any, *args: Any, **kwargs: Any) -> Any:
        stack, index = original(this, *args, **kwargs)
        first = _first_of_app([frame.f_code.co_filename for frame, _ in stack[: index + 1]])
        return stack[first:], index - first

    get_stack.__wrapped__ = original  # type: ignore[attr-defined]
    pdb.Pdb.get_stack = get_stack


def _first_of_app(files: list[str]) -> int:
    """How many frames, the outermost first, come before the app's: ours, and the event loop's after those.

    Example:
        >>> _first_of_app(["/srv/test_shop.py", __file__, os.__file__, "/srv/shop.py"]), _first_of_app([__file__])
        (3, 0)
    """
    ours = [number for number, file in enumerate(files) if file.startswith(_SERVER)]
    first = ours[-1] + 1 if ours else 0
    while first < len(files) and whose(files[first]) == "python":
        first += 1
    return first if first < len(files) else 0


def _set_trace(*, header: str | None = None, **options: Any) -> None:
    """What :func:`pdb.set_trace` does, which in a fork of pytest is pytest's."""
    import pdb

    debugger = pdb.Pdb()
    if header is not None:
        debugger.message(header)
    debugger.set_trace(sys._getframe().f_back, **options)


@contextlib.contextmanager
def _terminal(pid: int) -> Iterator[int]:
    """The terminal's descriptor.

    Raises:
        RuntimeError: there is none to be had.
    """
    if os.getpid() != pid:
        raise RuntimeError(f"a debugger can't have its prompt in process {os.getpid()}, which the app has forked")
    if "PYTEST_XDIST_WORKER" in os.environ:
        raise RuntimeError(f"a debugger can't have its prompt in a worker of pytest-xdist. {_ADVICE}")
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise RuntimeError(f"a debugger can't have its prompt where there is no terminal. {_ADVICE}") from error
    try:
        yield terminal
    finally:
        os.close(terminal)


def _await_foreground(terminal: int) -> None:
    end = time.monotonic() + _PATIENCE
    while os.tcgetpgrp(terminal) != os.getpgrp():
        if time.monotonic() > end:
            raise RuntimeError(
                f"a debugger can't have its prompt: for {_PATIENCE:g} s the test has not waited for the app, or it is "
                f"not in the foreground of its terminal. {_ADVICE}"
            )
        time.sleep(0.002)


@contextlib.contextmanager
def _signals_of_a_prompt() -> Iterator[None]:
    """Ctrl-C is pdb's then, and not the event loop's. And Ctrl-Z would stop what no shell knows of, for good."""
    if threading.get_ident() != threading.main_thread().ident:
        yield
        return
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.SIGTSTP: signal.signal(signal.SIGTSTP, signal.SIG_IGN),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _standard_streams(terminal: int, pdb: Any) -> Iterator[None]:
    """Readline wants the terminal at the descriptors 0 and 1, and Python's streams on top of them."""
    kept = sys.stdin, sys.stdout, pdb.stdin, pdb.stdout
    with _redirected(0, terminal), _redirected(1, terminal):
        sys.stdin = io.open(0, encoding="utf-8", errors="replace", closefd=False)  # closed below
        sys.stdout = io.open(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
        pdb.stdin, pdb.stdout = sys.stdin, sys.stdout
        try:
            yield
        finally:
            opened = pdb.stdin, pdb.stdout
            sys.stdin, sys.stdout, pdb.stdin, pdb.stdout = kept
            for stream in opened:
                with contextlib.suppress(OSError):
                    stream.close()


@contextlib.contextmanager
def _redirected(descriptor: int, target: int) -> Iterator[None]:
    kept = _duplicate(descriptor)
    os.dup2(target, descriptor)
    try:
        yield
    finally:
        if kept is None:
            os.close(descriptor)
        else:
            os.dup2(kept, descriptor)
            os.close(kept)


def _duplicate(descriptor: int) -> int | None:
    try:
        return os.dup(descriptor)
    except OSError:  # closed
        return None


class _WhenImported:
    """A finder that finds one module as the path does, and has something done when that is imported.

    Args:
        name: the module.
        then: called with it.
    """

    def __init__(self, name: str, then: Callable[[ModuleType], object]) -> None:
        self._name = name
        self._then = then

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
        if name != self._name:
            return None
        with contextlib.suppress(ValueError):
            sys.meta_path.remove(self)
        spec: Any = importlib.machinery.PathFinder.find_spec(name)
        if spec is not None:
            load = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                load(module)
                self._then(module)

            spec.loader.exec_module = exec_module
        return spec
