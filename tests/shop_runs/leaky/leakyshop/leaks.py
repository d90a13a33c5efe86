"""Each of these handlers is right in a process that serves one shop, and leaves something behind in it."""

import faulthandler
import itertools
import logging
import os
import signal
import sys
from pathlib import Path

from bookshop import payments
from bookshop.dependencies import SessionOf, SettingsOf
from bookshop.models import Book
from fastapi import APIRouter

log = logging.getLogger("leakyshop")
router = APIRouter(prefix="/leaky")

# -- state of modules

_titles: dict[int, str] = {}
_invoices = itertools.count(1)
_carts: dict[str, list[str]] = {}


@router.get("/titles/{book_id}")
def title(book_id: int, session: SessionOf) -> str:
    """Cached, for ever."""
    if book_id not in _titles:
        _titles[book_id] = session.get_one(Book, book_id).title
    return _titles[book_id]


@router.post("/invoices")
def invoice() -> str:
    return f"invoice {next(_invoices)}"


@router.post("/carts/{customer}/{item}")
def put_into_cart(customer: str, item: str) -> list[str]:
    _carts.setdefault(customer, []).append(item)
    return _carts[customer]


# -- the environment


@router.put("/language/{language}")
def set_language(language: str) -> str:
    os.environ["SHOP_LANGUAGE"] = language
    return language


@router.get("/greeting")
def greeting() -> str:
    return {"en": "Hello", "fr": "Bonjour"}[os.environ.get("SHOP_LANGUAGE", "en")]


# -- logging


@router.post("/quiet")
def be_quiet() -> None:
    """For the nightly import, which logs too much."""
    logging.disable(logging.CRITICAL)


@router.post("/alarm")
def alarm() -> bool:
    log.error("fire in the shop")
    return log.isEnabledFor(logging.ERROR)


# -- modules that are patched


@router.post("/sandbox")
def sandbox() -> None:
    """From now on nobody pays."""
    payments.charge = lambda card, cents: "sandbox"


@router.post("/pay/{cents}")
def pay(cents: int) -> str:
    return payments.charge("4111-1111", cents)


# -- the process itself


@router.post("/export")
def export(settings: SettingsOf) -> str:
    """It writes into the directory that it has gone to."""
    os.chdir(settings.data)
    Path("export.txt").write_text("all books")
    return "export.txt"


@router.get("/terms")
def terms() -> str:
    return Path("terms.txt").read_text()


@router.post("/dumps")
def dump_stacks_on_signal() -> str:
    """Only the first to ask gets the signal."""
    taken: object = faulthandler.unregister(signal.SIGUSR2)  # type: ignore[func-returns-value]  # it does: a bool
    faulthandler.register(signal.SIGUSR2, 2)
    return "taken" if taken else "yours"


@router.post("/plugins")
def load_plugin(settings: SettingsOf) -> str:
    """A plugin shadows whatever has its name, once it has been imported."""
    plugins = settings.data / "plugins"
    plugins.mkdir(exist_ok=True)
    (plugins / "discount.py").write_text("PERCENT = 10\n")
    sys.path.insert(0, str(plugins))
    import discount  # type: ignore[import-not-found]

    return f"{discount.PERCENT} %"


@router.get("/discount")
def discount_in_force() -> str:
    plugin = sys.modules.get("discount")
    return f"{plugin.PERCENT} %" if plugin else "none"
