from collections.abc import Callable
from pathlib import Path

import pytest
from bookshop.main import app
from bookshop.settings import Settings
from conftest import AddBook

from isoclient import TestClient


def test_defaults() -> None:
    settings = Settings.from_environment({})
    assert (settings.page_size, settings.token_seconds) == (20, 3600)
    assert settings.files == Path("data/files")


def test_what_is_no_number() -> None:
    with pytest.raises(ValueError, match="BOOKSHOP_PAGE_SIZE is 'many'"):
        Settings.from_environment({"BOOKSHOP_PAGE_SIZE": "many"})


def test_the_size_of_a_page(
    client_with: Callable[..., TestClient], add_book: AddBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOOKSHOP_PAGE_SIZE", "2")
    for title in ("A", "B", "C"):
        add_book(title)
    assert len(client_with().get("/books").json()["items"]) == 2


def test_the_shop_does_not_open_with_bad_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOOKSHOP_TOKEN_SECONDS", "-1")
    with pytest.raises(ValueError, match="BOOKSHOP_TOKEN_SECONDS is '-1'"), TestClient(app):
        pass


def test_the_shop_makes_its_directories(
    client_with: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BOOKSHOP_DATA", str(tmp_path / "new"))
    client_with()
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["files", "mail"]


def test_the_shop_opens_and_closes_its_database(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BOOKSHOP_DATABASE_URL", f"sqlite:///{tmp_path}/other.db")
    caplog.set_level("INFO", logger="bookshop.database")
    with TestClient(app) as client:
        assert client.get("/books").json()["total"] == 0
        assert [record.getMessage() for record in caplog.records] == [f"opened {tmp_path}/other.db"]
    assert caplog.messages[-1] == f"closed {tmp_path}/other.db"
