"""What goes wrong, and how it is told to the client."""

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from bookshop.middleware import request_id
from bookshop.payments import PaymentFailed

log = logging.getLogger("bookshop.errors")


class OutOfStock(Exception):
    def __init__(self, title: str, left: int) -> None:
        super().__init__(f"only {left} of {title!r} left")
        self.left = left


def add_handlers(app: FastAPI) -> None:
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(OutOfStock, _out_of_stock)
    app.add_exception_handler(PaymentFailed, _payment_failed)
    app.add_exception_handler(Exception, _unexpected)


def _problem(status: int, title: str, **more: object) -> JSONResponse:
    return JSONResponse({"title": title, "request_id": request_id.get(), **more}, status)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    response = _problem(error.status_code, str(error.detail))
    response.headers.update(error.headers or {})
    return response


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return _problem(422, "invalid", fields={".".join(map(str, one["loc"])): one["msg"] for one in error.errors()})


async def _out_of_stock(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, OutOfStock)
    return _problem(409, str(error), left=error.left)


async def _payment_failed(request: Request, error: Exception) -> JSONResponse:
    log.warning("%s", error)
    return _problem(402, str(error))


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _problem(500, "internal error")
