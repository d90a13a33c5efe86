"""Orders: paid at once, with a receipt by mail afterwards."""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Depends, HTTPException
from pydantic import BaseModel, Field
from sqlalchemy import select, update

from bookshop.dependencies import Clock, CurrentUser, SessionOf, get_charge, get_mailer
from bookshop.errors import OutOfStock
from bookshop.mail import Mailer
from bookshop.middleware import request_id
from bookshop.models import Book, Order

log = logging.getLogger("bookshop.orders")
router = APIRouter(prefix="/orders", tags=["orders"])


class NewOrder(BaseModel):
    book_id: int
    amount: int = Field(default=1, ge=1)
    card: str = Field(min_length=4)


class Placed(BaseModel):
    id: int
    book_id: int
    amount: int
    cents: int
    receipt: str
    status: str
    placed: datetime


@router.post("", status_code=201, response_model=Placed)
def place_order(
    new: NewOrder,
    user: CurrentUser,
    session: SessionOf,
    clock: Clock,
    charge: Annotated[Callable[[str, int], str], Depends(get_charge)],
    mailer: Annotated[Mailer, Depends(get_mailer)],
    tasks: BackgroundTasks,
) -> Order:
    book = _reserve(session, new)
    cents = book.cents * new.amount
    receipt = charge(new.card, cents)
    placed = datetime.fromtimestamp(clock(), UTC).replace(tzinfo=None)  # as SQLite will give it back
    order = Order(user_id=user.id, book_id=book.id, amount=new.amount, cents=cents, receipt=receipt, placed=placed)
    session.add(order)
    session.commit()
    details = {"order_id": order.id, "request_id": request_id.get()}
    log.info("%s ordered %d of %r", user.email, new.amount, book.title, extra=details)
    text = f"Dear {user.name},\n\nthank you for {new.amount} x {book.title}: {cents / 100:.2f}\n"
    tasks.add_task(mailer.send, user.email, f"Your order {order.id}", text)
    return order


def _reserve(session: SessionOf, new: NewOrder) -> Book:
    """Take the books off the shelf, in one statement: two customers can't get the same copy."""
    taken = update(Book).where(Book.id == new.book_id, Book.stock >= new.amount)
    result = session.execute(taken.values(stock=Book.stock - new.amount).returning(Book.id))
    found = result.scalar_one_or_none()
    book = session.get(Book, new.book_id)
    if book is None:
        raise HTTPException(404, f"there is no book {new.book_id}")
    if found is None:
        raise OutOfStock(book.title, book.stock)
    return book


@router.get("", response_model=list[Placed])
def list_orders(user: CurrentUser, session: SessionOf) -> Sequence[Order]:
    return session.scalars(select(Order).where(Order.user_id == user.id).order_by(Order.id)).all()


@router.delete("/{order_id}", response_model=Placed)
def cancel_order(order_id: int, user: CurrentUser, session: SessionOf) -> Order:
    order = session.get(Order, order_id)
    if order is None or order.user_id != user.id:
        raise HTTPException(404, f"there is no order {order_id}")
    if order.status == "cancelled":
        raise HTTPException(409, "it is cancelled already")
    order.status = "cancelled"
    order.book.stock += order.amount
    session.commit()
    return order
