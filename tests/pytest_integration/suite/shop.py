"""The app of the small suite that is run in-process and isolated: it prints, logs and warns."""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]

log = logging.getLogger("shop.orders")
silent = logging.getLogger("shop.audit")
silent.propagate = False
silent.addHandler(logging.StreamHandler(sys.stderr))


class Ripe(UserWarning):
    def __init__(self, fruit: str, days: int) -> None:
        super().__init__(f"{fruit} is ripe for {days} days")
        self.days = days


class Basket:
    """Something that can't be pickled."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __repr__(self) -> str:
        return "Basket(3 pears)"


def sell() -> None:
    log.debug("looking for %s", "pears")
    log.info("%s sold to %s for %.2f", "a pear", "you", 1.5, extra={"order": 7, "tags": ["fruit"]})
    log.warning("%(left)d left", {"left": 2})


def sell_objects() -> None:
    log.warning("sold %r of %s", Basket(), {"kind": Basket()}, extra={"basket": Basket(), "days": {1, 2}})


def sell_nothing() -> None:
    try:
        [][0]
    except IndexError:
        log.exception("nothing %s", "left")


def explain() -> None:
    log.warning("how did we get here?", stack_info=True)


def sell_in_threads() -> None:
    for number in range(3):
        thread = threading.Thread(target=log.warning, args=("sold by thread %d", number), name=f"seller-{number}")
        thread.start()
        thread.join()


def audit() -> None:
    silent.warning("audited")
    logging.getLogger("shop.audit.deep").error("audited deeply")


def log_badly() -> None:
    log.warning("%d pears", "three")


def chat() -> None:
    print("to stdout")
    print("to stderr", file=sys.stderr)
    os.write(1, b"to 1\n")
    os.write(2, b"to 2\n")
    print("to stdout again, with \N{PEAR}")


def count() -> None:
    print("one")
    log.warning("two")
    print("three")
    log.warning("four")


def say() -> None:
    print("to stdout")
    print("to stderr", file=sys.stderr)


def ripen() -> None:
    warnings.warn(Ripe("a pear", 3), stacklevel=1)


def deprecate() -> None:
    for _ in range(2):
        warnings.warn("sell() is old", DeprecationWarning, stacklevel=2)


def warn_in_secret() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn("a secret", stacklevel=1)
    print("caught", [str(one.message) for one in caught])


class Rotten:
    def __del__(self) -> None:
        raise ValueError("rotten")

    def __repr__(self) -> str:
        return "Rotten()"


def rot() -> None:
    Rotten()


def fail_in_a_thread() -> None:
    thread = threading.Thread(target=sell_nothing_at_all, name="seller")
    thread.start()
    thread.join()


def sell_nothing_at_all() -> None:
    raise LookupError("nothing to sell")


async def app(scope: dict[str, Any], receive: Callable[[], Awaitable[Message]], send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        served: list[str] = []
        scope["state"]["served"] = served
        log.warning("the shop opens")
        print("opening")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        log.warning("the shop closes")
        print("closing")
        warnings.warn(f"closed after {len(served)} requests", stacklevel=1)
        await send({"type": "lifespan.shutdown.complete"})
        return
    if "served" in scope["state"]:
        scope["state"]["served"].append(scope["path"])
    globals()[scope["path"][1:]]()
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"done"})
