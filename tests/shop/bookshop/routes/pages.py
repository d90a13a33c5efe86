"""The pages for browsers."""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.templating import Jinja2Templates
from sqlalchemy import select

from bookshop.dependencies import Clock, CurrentUser, SessionOf, SettingsOf
from bookshop.models import Book, User
from bookshop.security import check_password, make_token

router = APIRouter(include_in_schema=False)
templates = Jinja2Templates(Path(__file__).parents[1] / "templates")


@router.get("/", response_class=HTMLResponse)
def catalogue(request: Request, session: SessionOf, settings: SettingsOf) -> Response:
    books = session.scalars(select(Book).order_by(Book.title)).all()
    return templates.TemplateResponse(request, "catalogue.html", {"shop": settings.shop_name, "books": books})


@router.post("/login")
def log_in(
    email: Annotated[str, Form()],
    password: Annotated[str, Form()],
    request: Request,
    session: SessionOf,
    settings: SettingsOf,
    clock: Clock,
) -> Response:
    user = session.scalar(select(User).where(User.email == email))
    if user is None or not check_password(password, user.password):
        return templates.TemplateResponse(request, "login.html", {"failed": True}, status_code=401)
    response = RedirectResponse("/account", 303)
    response.set_cookie("token", make_token(user.id, clock() + settings.token_seconds, settings.secret), httponly=True)
    return response


@router.get("/account", response_class=HTMLResponse)
def account(request: Request, user: CurrentUser) -> Response:
    return templates.TemplateResponse(request, "account.html", {"user": user})


@router.post("/logout")
def log_out() -> Response:
    response = RedirectResponse("/", 303)
    response.delete_cookie("token")
    return response
