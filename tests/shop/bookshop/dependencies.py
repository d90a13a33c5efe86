"""What the handlers depend on, and the tests override."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, HTTPException, Query
from fastapi.requests import HTTPConnection
from sqlalchemy.orm import Session

from bookshop import payments
from bookshop.database import Database
from bookshop.mail import Mailer
from bookshop.models import User
from bookshop.security import BadToken, read_token
from bookshop.settings import Settings


def get_settings(connection: HTTPConnection) -> Settings:
    return cast(Settings, connection.state.settings)


def get_database(connection: HTTPConnection) -> Database:
    return cast(Database, connection.state.database)


def get_session(database: Annotated[Database, Depends(get_database)]) -> Iterator[Session]:
    with database.session() as session:
        yield session


def get_mailer(connection: HTTPConnection) -> Mailer:
    return cast(Mailer, connection.state.mailer)


def get_clock() -> Callable[[], float]:
    return time.time


def get_charge() -> Callable[[str, int], str]:
    return payments.charge


SettingsOf = Annotated[Settings, Depends(get_settings)]
SessionOf = Annotated[Session, Depends(get_session)]
Clock = Annotated[Callable[[], float], Depends(get_clock)]


def get_token(connection: HTTPConnection) -> str | None:
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token
    return connection.cookies.get("token")


def get_current_user(
    token: Annotated[str | None, Depends(get_token)], session: SessionOf, settings: SettingsOf, clock: Clock
) -> User:
    try:
        user = session.get(User, read_token(token or "", clock(), settings.secret))
    except BadToken as error:
        raise HTTPException(401, f"bad token: {error}", {"www-authenticate": "Bearer"}) from error
    if user is None:
        raise HTTPException(401, "bad token: no such user", {"www-authenticate": "Bearer"})
    return user


CurrentUser = Annotated[User, Depends(get_current_user)]


def get_admin(user: CurrentUser) -> User:
    if not user.is_admin:
        raise HTTPException(403, "for admins only")
    return user


Admin = Annotated[User, Depends(get_admin)]


@dataclass(frozen=True)
class Page:
    number: int
    size: int

    @property
    def offset(self) -> int:
        return (self.number - 1) * self.size


def get_page(
    settings: SettingsOf,
    page: Annotated[int, Query(ge=1)] = 1,
    size: Annotated[int | None, Query(ge=1, le=100)] = None,
) -> Page:
    return Page(page, size or settings.page_size)


PageOf = Annotated[Page, Depends(get_page)]
