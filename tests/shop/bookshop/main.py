"""The app."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from bookshop.chat import Hub
from bookshop.database import Database
from bookshop.errors import add_handlers
from bookshop.mail import SpoolMailer
from bookshop.middleware import RequestIds, Timing
from bookshop.routes import admin, auth, books, chat, files, orders, pages
from bookshop.settings import Settings


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    settings = Settings.from_environment()
    settings.files.mkdir(parents=True, exist_ok=True)
    settings.spool.mkdir(parents=True, exist_ok=True)
    database = Database(settings.database_url)
    database.open()
    try:
        yield {
            "settings": settings,
            "database": database,
            "mailer": SpoolMailer(settings.spool),
            "hub": Hub(),
            "maintenance": {"on": False},
        }
    finally:
        database.close()


def create_app() -> FastAPI:
    app = FastAPI(title="Bookshop", lifespan=lifespan)
    app.add_middleware(Timing)
    app.add_middleware(RequestIds)
    add_handlers(app)
    for part in (auth, books, orders, files, chat, pages, admin):
        app.include_router(part.router)
    return app


app = create_app()
