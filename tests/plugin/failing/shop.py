"""An app that fails in every way."""

# mypy: allow-untyped-defs, allow-untyped-calls, disable-error-code=no-any-return

import asyncio
import os
import signal
import sys
import threading
import time


def hard_exit(code):
    os._exit(code)


def end_by(number):
    os.kill(os.getpid(), number)


def refuse():
    sys.exit("no such shop")


def give_up():
    os.abort()


def leave_in_a_child():
    pid = os.fork()
    if pid == 0:
        end_by(signal.SIGKILL)
    os.waitpid(pid, 0)


WAYS = {
    "/exit": lambda: hard_exit(3),
    "/kill": lambda: end_by(signal.SIGKILL),
    "/terminate": lambda: end_by(signal.SIGTERM),
    "/refuse": refuse,
    "/abort": give_up,
    "/raise": lambda: signal.raise_signal(signal.SIGTERM),
    "/thread": lambda: threading.Thread(target=hard_exit, args=(5,)).start(),
    "/child": leave_in_a_child,
}


async def hang():
    await asyncio.Event().wait()  # for ever


async def block():
    time.sleep(60)  # for all


async def answer_early(send):
    await send({"type": "http.response.body", "body": b""})


class Declined(Exception):
    pass


class Till:
    def __repr__(self):
        return "<the till>"

    def charge(self, card, amount, *, currency="EUR"):
        limit = 3
        if amount > limit:
            raise Declined("too much")


async def pay():
    Till().charge("silver", 4)


async def say_nothing():
    return


async def send_mail():
    threading.Thread(target=time.sleep, args=(60,), name="mailer").start()


ENDPOINTS = {"/mail": send_mail, "/hang": hang, "/block": block, "/nothing": say_nothing, "/pay": pay}


async def app(scope, receive, send):
    path = scope["path"]
    if path in ENDPOINTS:
        await ENDPOINTS[path]()
        return
    if path == "/early":
        await answer_early(send)
    if path in WAYS:
        WAYS[path]()
    if path == "/thread":
        await receive()
        await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"fine"})


async def connect(host):
    raise ConnectionRefusedError(f"no database at {host}")


async def app_with_database(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await connect("db")


async def app_that_says_so(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})


class Unpicklable:
    def __init__(self):
        self.lock = threading.Lock()

    async def __call__(self, scope, receive, send):
        raise NotImplementedError


def make_lock():
    return {"lock": threading.Lock()}


async def app_that_clings(scope, receive, send):
    try:
        await asyncio.Event().wait()
    finally:
        time.sleep(60)  # instead of an end
