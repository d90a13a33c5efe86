"""The catalogue."""

from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Query, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import func, select

from bookshop.dependencies import Admin, PageOf, SessionOf
from bookshop.models import Book

router = APIRouter(prefix="/books", tags=["books"])


class NewBook(BaseModel):
    title: str = Field(min_length=1, max_length=200)
    author: str
    cents: int = Field(ge=0)
    stock: int = Field(default=0, ge=0)


class Change(BaseModel):
    title: str | None = Field(default=None, min_length=1)
    cents: int | None = Field(default=None, ge=0)
    stock: int | None = Field(default=None, ge=0)


class Listed(NewBook):
    id: int


class Listing(BaseModel):
    total: int
    page: int
    items: list[Listed]


@router.get("", response_model=Listing)
def list_books(
    request: Request,
    response: Response,
    session: SessionOf,
    page: PageOf,
    search: str = "",
    sort: Annotated[Literal["title", "author", "cents"], Query()] = "title",
) -> dict[str, object]:
    matching = Book.title.icontains(search, autoescape=True) | Book.author.icontains(search, autoescape=True)
    total = session.scalar(select(func.count()).select_from(Book).where(matching)) or 0
    ordered = select(Book).where(matching).order_by(getattr(Book, sort), Book.id)
    items = session.scalars(ordered.offset(page.offset).limit(page.size)).all()
    if page.offset + page.size < total:
        following = request.url.include_query_params(page=page.number + 1)
        response.headers["link"] = f'<{following}>; rel="next"'
    return {"total": total, "page": page.number, "items": items}


@router.post("", status_code=201, response_model=Listed)
def add_book(new: NewBook, response: Response, session: SessionOf, admin: Admin) -> Book:
    book = Book(**new.model_dump())
    session.add(book)
    session.commit()
    response.headers["location"] = f"/books/{book.id}"
    return book


@router.get("/{book_id}", response_model=Listed)
def get_book(book_id: int, session: SessionOf) -> Book:
    return _find(session, book_id)


@router.patch("/{book_id}", response_model=Listed)
def change_book(book_id: int, change: Change, session: SessionOf, admin: Admin) -> Book:
    book = _find(session, book_id)
    for name, value in change.model_dump(exclude_none=True).items():
        setattr(book, name, value)
    session.commit()
    return book


@router.delete("/{book_id}", status_code=204)
def remove_book(book_id: int, session: SessionOf, admin: Admin) -> None:
    session.delete(_find(session, book_id))
    session.commit()


def _find(session: SessionOf, book_id: int) -> Book:
    book = session.get(Book, book_id)
    if book is None:
        raise HTTPException(404, f"there is no book {book_id}")
    return book
