"""Payloads damaged in spite of checksums, or made to do harm: the process that decodes them imports and calls nothing.

Usage::

    python tests/reliability/decoders.py [--mutations 100000] [--seed 0]
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import faulthandler
import itertools
import logging
import pickle
import random
import resource
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[2]))

from isoclient import transit
from isoclient.mirror import logs, unhandled, warns
from isoclient.transit.codecs import PipeCodec
from tests.reliability.bench import machine, print_table

SECONDS = 30  # for a hundred payloads
MEMORY = 2 * 2**30  # beyond what is in use: a damaged length may be any, and is refused then

Decoder = Callable[[bytes], object]

HARMFUL = (
    *("os system", "posix system", "os execv", "os _exit", "os.path exists", "subprocess Popen", "subprocess run"),
    *("builtins eval", "builtins exec", "builtins compile", "builtins __import__", "builtins open", "builtins getattr"),
    *("builtins setattr", "builtins map", "builtins breakpoint", "functools partial", "functools reduce"),
    *("operator methodcaller", "importlib import_module", "runpy run_path", "types FunctionType", "types CodeType"),
    *("socket socket", "threading Thread", "ctypes CDLL", "pickle loads", "marshal loads", "tempfile mkdtemp"),
    *("antigravity fly", "shutil rmtree", "__main__ canary"),
)
FORMS: dict[str, Callable[[bytes, bytes], bytes]] = {
    "GLOBAL, REDUCE": lambda module, name: b"c" + module + b"\n" + name + b"\n" + b"\x8c\x01x\x85R.",
    "STACK_GLOBAL, REDUCE": lambda module, name: _text(module) + _text(name) + b"\x93\x8c\x01x\x85R.",
    "INST": lambda module, name: b"(\x8c\x01xi" + module + b"\n" + name + b"\n.",
    "OBJ": lambda module, name: b"(c" + module + b"\n" + name + b"\n\x8c\x01xo.",
    "NEWOBJ": lambda module, name: b"c" + module + b"\n" + name + b"\n\x8c\x01x\x85\x81.",
    "NEWOBJ_EX": lambda module, name: b"c" + module + b"\n" + name + b"\n\x8c\x01x\x85}\x92.",
    "BUILD": lambda module, name: b"c" + module + b"\n" + name + b"\nN}\x8c\x06marked\x88s\x86b.",
    "APPEND": lambda module, name: b"c" + module + b"\n" + name + b"\n\x8c\x01xa.",
    "SETITEM": lambda module, name: b"c" + module + b"\n" + name + b"\n\x8c\x01x\x88s.",
    "persistent id": lambda module, name: b"\x8c\x06module" + _text(module) + b"\x86Q.",
}


def _text(text: bytes) -> bytes:
    return b"\x8c" + bytes([len(text)]) + text


def canary(*args: object) -> None:
    """What a payload may not call."""
    sys.audit("canary")


class Watch:
    """Sees what is imported, opened, started, compiled or run, but for what a traceback is rebuilt with."""

    events = ("import", "canary", "compile", "exec", "open", "pickle.find_class", "ctypes.", "os.", "subprocess.")
    others = ("socket.", "shutil.", "tempfile.", "marshal.load", "code.__new__", "function.__new__")

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.on = False
        sys.addaudithook(self._see)

    def _see(self, event: str, args: tuple[Any, ...]) -> None:
        if self.on and event.startswith((*self.events, *self.others)) and event != "marshal.loads":
            caller = sys._getframe(1).f_code.co_filename
            if not caller.endswith(("transit/tracebacks.py", "tblib/__init__.py", "tblib/pickling_support.py")):
                self.seen.append(f"{event} {args!r:.100}")


def result(data: bytes) -> object:
    """A result of ``client.call``, as the test's process decodes it."""
    return transit.unpack_result(data, {}, 1.0)


class Order:
    """Of the app."""

    def __init__(self) -> None:
        self.when = datetime.datetime(2024, 2, 29)
        self.lines: list[object] = [Path("a"), {"b": (1, 2.5, None)}]


def an_error() -> BaseException:
    """One with all that an exception may have."""
    error: Any = KeyError("pear", Order())
    error.order, error.plain = [Order(), 1], {"a": b"b"}
    error.add_note("ripe")
    try:
        raise ExceptionGroup("several", [ValueError(Order()), OSError(2, "no", "name")]) from error
    except ExceptionGroup as group:
        return group


def samples() -> dict[str, tuple[Decoder, bytes]]:
    """A decoder and what it is fed, of each kind."""
    codec = PipeCodec()
    record = logging.LogRecord("shop", logging.INFO, "shop.py", 7, "%s sold", (Order(),), None)
    return {
        "exception": (transit.unpack_exception, transit.pack_exception(an_error())),
        "debug": (transit.unpack_debug, transit.pack_debug({"order": Order(), "context": {"a": [Order()]}})),
        "result": (result, transit.pack_result([Order(), Order, Path("a")], {})),
        "record": (logs.unpack_record, logs.pack_record(record, "root", [], codec)),
        "warning": (warns.unpack_warning, warns.pack_warning(UserWarning(Order()), "shop.py", 7, None, codec)),
        "unhandled": (unhandled.unpack_unhandled, unhandled.pack_unhandled(an_error(), "Thread-1", None, codec)),
    }


def by_hand() -> Iterator[tuple[str, Decoder, bytes]]:
    """Each form with each harmful callable: as a result, and as an attribute of an exception."""
    for form, harmful in itertools.product(FORMS, HARMFUL):
        module, name = harmful.encode().split()
        pickled = FORMS[form](module, name)
        tree: tuple[Any, ...] = (pickled, "", [], ("<stand-in>", {}))
        state = (None, "dict", [(b"\x8c\x04args.", "", [], None), (None, "tuple", [tree], None)], None)
        node: tuple[Any, ...] = (
            [("builtins", "ValueError", 0)],
            "",
            "",
            [],
            None,
            None,
            False,
            None,
            None,
            state,
            True,
        )
        yield form, result, b"p" + pickled
        yield form, transit.unpack_exception, packed([node])


def packed(nodes: list[Any]) -> bytes:
    """As the other side packs them."""

    return pickle.dumps(nodes, protocol=5)


def mutated(data: bytes, at_random: random.Random) -> bytes:
    """The same, changed at one to four places."""
    changed = bytearray(data)
    for _ in range(at_random.randrange(1, 5)):
        at = at_random.randrange(len(changed)) if changed else 0
        match at_random.randrange(4):
            case 0:
                changed[at:at] = at_random.randbytes(at_random.randrange(1, 6))
            case 1:
                del changed[at : at + at_random.randrange(1, 6)]
            case 2:
                changed[at : at + 1] = at_random.randbytes(1)
            case _:
                other = at_random.randrange(len(changed) + 1)
                changed[at:at] = changed[other : other + at_random.randrange(1, 30)]
    return bytes(changed)


def payloads(count: int, seed: int) -> Iterator[tuple[str, Decoder, bytes]]:
    """Those made by hand, and then this many others."""
    yield from by_hand()
    at_random = random.Random(seed)
    known = samples()
    for _ in range(count):
        kind = at_random.choice([*known])
        decoder, data = known[kind]
        yield kind, decoder, mutated(data, at_random)


def feed(count: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Decode them all; how many there were of each kind, and what was seen that should not be."""
    for decoder, data in samples().values():
        decoder(data)  # what it imports itself, at its first use
    fed: Counter[str] = Counter()
    found: list[str] = []
    watch = Watch()
    for number, (kind, decoder, data) in enumerate(payloads(count, seed)):
        if number % 100 == 0:
            faulthandler.dump_traceback_later(SECONDS, exit=True)
        watch.on = True
        with contextlib.suppress(Exception):
            decoder(data)
        watch.on = False
        found += (f"{kind}: {what} of {data!r}" for what in watch.seen)
        watch.seen.clear()
        fed[kind] += 1
    faulthandler.cancel_dump_traceback_later()
    return fed, found


def main() -> int:
    parser = argparse.ArgumentParser(description="Feed the decoders of the test's process.")
    parser.add_argument("--mutations", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + MEMORY, resource.RLIM_INFINITY))
    print(machine())
    fed, found = feed(options.mutations, options.seed)
    print_table(["payloads", "fed"], [[kind, f"{number:,}"] for kind, number in sorted(fed.items())])
    print(f"{sum(fed.values()):,} payloads, {len(found)} imports or calls")
    print(*found[:20], sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
