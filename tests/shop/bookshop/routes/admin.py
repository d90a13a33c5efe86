"""For those who run the shop."""

import warnings
from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy import func, select

from bookshop.dependencies import Admin, SessionOf
from bookshop.models import Book, Order, User

router = APIRouter(prefix="/admin", tags=["admin"])


@router.get("/stats")
def stats(admin: Admin, session: SessionOf) -> dict[str, int]:
    def count(table: type[Any]) -> int:
        return session.scalar(select(func.count()).select_from(table)) or 0

    income = session.scalar(select(func.sum(Order.cents)).where(Order.status == "paid")) or 0
    return {"users": count(User), "books": count(Book), "orders": count(Order), "income": income}


@router.post("/reindex")
def reindex(admin: Admin, session: SessionOf) -> dict[str, int]:
    books = session.scalars(select(Book).order_by(Book.id)).all()
    for book in books:
        print(f"indexing {book.title}")
    print(f"{len(books)} books indexed")
    return {"indexed": len(books)}


@router.get("/average")
def average_order(admin: Admin, session: SessionOf) -> float:
    """It has a bug: it fails as long as there are no orders."""
    cents = session.scalars(select(Order.cents)).all()
    return sum(cents) / len(cents)


@router.get("/income")
def income(admin: Admin, session: SessionOf) -> int:
    warnings.warn("GET /admin/income is deprecated, use /admin/stats", DeprecationWarning, stacklevel=1)
    return stats(admin, session)["income"]


@router.get("/maintenance")
async def maintenance(request: Request) -> dict[str, bool]:
    return request.state.maintenance  # type: ignore[no-any-return]


@router.put("/maintenance")
async def set_maintenance(on: bool, request: Request, admin: Admin) -> dict[str, bool]:
    request.state.maintenance["on"] = on
    return request.state.maintenance  # type: ignore[no-any-return]
