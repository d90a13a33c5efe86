"""Accounts."""

import logging
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from bookshop.dependencies import Clock, CurrentUser, SessionOf, SettingsOf
from bookshop.models import User
from bookshop.security import check_password, hash_password, make_token

log = logging.getLogger("bookshop.auth")
router = APIRouter(prefix="/auth", tags=["auth"])


class Registration(BaseModel):
    email: str = Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")
    name: str = Field(min_length=1, max_length=100)
    password: str = Field(min_length=8)


class Account(BaseModel):
    id: int
    email: str
    name: str
    is_admin: bool


class NewPassword(BaseModel):
    old: str
    new: str = Field(min_length=8)


@router.post("/register", status_code=201, response_model=Account)
def register(registration: Registration, session: SessionOf, settings: SettingsOf) -> User:
    password = hash_password(registration.password, settings.hash_rounds)
    user = User(email=registration.email, name=registration.name, password=password)
    session.add(user)
    try:
        session.commit()
    except IntegrityError as error:
        raise HTTPException(409, f"{registration.email} has an account already") from error
    log.info("%s registered", user.email)
    return user


@router.post("/token")
def log_in(
    username: Annotated[str, Form()],
    password: Annotated[str, Form()],
    session: SessionOf,
    settings: SettingsOf,
    clock: Clock,
) -> dict[str, str | int]:
    user = session.scalar(select(User).where(User.email == username))
    if user is None or not check_password(password, user.password):
        log.warning("login of %s refused", username)
        raise HTTPException(401, "wrong name or password", {"www-authenticate": "Bearer"})
    token = make_token(user.id, clock() + settings.token_seconds, settings.secret)
    return {"access_token": token, "token_type": "bearer", "expires_in": settings.token_seconds}


@router.get("/me", response_model=Account)
def me(user: CurrentUser) -> User:
    return user


@router.put("/me/password", status_code=204)
def change_password(passwords: NewPassword, user: CurrentUser, session: SessionOf, settings: SettingsOf) -> None:
    if not check_password(passwords.old, user.password):
        raise HTTPException(403, "wrong password")
    user.password = hash_password(passwords.new, settings.hash_rounds)
    session.commit()
