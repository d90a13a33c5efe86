"""A shop that leaves traces in the process it runs in, as many apps do, some of them at import."""

import logging
import os
import signal
import tempfile

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

orders: list[str] = []

os.environ["SHOP_MODE"] = "production"
os.chdir(tempfile.gettempdir())
signal.signal(signal.SIGTERM, signal.SIG_IGN)
logging.disable(logging.CRITICAL)


async def order(request: Request) -> JSONResponse:
    orders.append(request.path_params["item"])
    return JSONResponse(orders)


async def traces(request: Request) -> JSONResponse:
    return JSONResponse(
        {
            "mode": os.environ["SHOP_MODE"],
            "directory": os.getcwd(),
            "ignores SIGTERM": signal.getsignal(signal.SIGTERM) == signal.SIG_IGN,
        }
    )


app = Starlette(routes=[Route("/orders/{item}", order, methods=["POST"]), Route("/traces", traces)])
