"""The fixtures of the shop's tests, and the options that say with which clients they run.

With ``--client=starlette`` they run with Starlette's own test client, with ``--client=httpx`` with httpx's asynchronous
one, with ``-isolated`` behind it with apps that are isolated; with ``--client=litestar`` with Litestar's, with
``--client=async`` with async-asgi-testclient; with ``--client=forking`` with Starlette's, and a bare fork for each app,
to see what such a fork costs alone. With ``--fresh`` each test has a client, and so an app, of its own; without, most
of them share one. With ``--warm`` the app has served a request in this process before the first test, so that the forks
of this process inherit what it loads and works out at its first use.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import pytest
from bookshop.database import Database
from bookshop.main import app
from bookshop.models import Base, Book, User
from bookshop.security import hash_password, make_token
from bookshop.settings import Settings

import isoclient

if TYPE_CHECKING:
    from isoclient import TestClient

PASSWORD = "correct horse"
# Not all of what they need is installed wherever the tests run.
PEERS = {
    "starlette": "peer.PeerClient",
    "starlette-isolated": "peer.IsolatedPeerClient",
    "httpx": "peer.HttpxClient",
    "httpx-isolated": "peer.IsolatedHttpxClient",
    "forking": "peer.ForkingClient",
    "litestar": "litestar_peer.LitestarClient",
    "async": "async_peer.AsyncClient",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("bookshop")
    group.addoption("--client", choices=["isoclient", *PEERS], default="isoclient", help="the client to test with")
    group.addoption("--fresh", action="store_true", help="give each test an app of its own")
    group.addoption("--warm", action="store_true", help="let the app serve a request before the first test")


def pytest_configure(config: pytest.Config) -> None:
    name = config.getoption("--client")
    if name != "isoclient":
        module, _, client = PEERS[name].partition(".")
        isoclient.TestClient = getattr(import_module(module), client)  # type: ignore[misc]  # before any test imports it


def scope_of_clients(fixture_name: str, config: pytest.Config) -> Literal["function", "session"]:
    return "function" if config.getoption("--fresh") else "session"


# -- the shop


@pytest.fixture(scope="session", autouse=True)
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The settings of the app under test, by the environment."""
    data = tmp_path_factory.mktemp("bookshop")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("BOOKSHOP_DATABASE_URL", f"sqlite:///{data}/bookshop.db")
        monkeypatch.setenv("BOOKSHOP_DATA", str(data))
        monkeypatch.setenv("BOOKSHOP_SECRET", "tests only")
        monkeypatch.setenv("BOOKSHOP_HASH_ROUNDS", "100")
        yield Settings.from_environment()


@pytest.fixture(scope="session", autouse=True)
def warm_app(settings: Settings, pytestconfig: pytest.Config) -> None:
    if pytestconfig.getoption("--warm"):
        with isoclient.TestClient(app, isolated=False) as client:
            client.get("/books")
            client.get("/")


@pytest.fixture(scope="session")
def open_database(settings: Settings) -> Iterator[Database]:
    database = Database(settings.database_url)
    database.open()
    yield database
    database.close()


@pytest.fixture(autouse=True)
def database(open_database: Database) -> Iterator[Database]:
    """The shop's database, empty at the beginning of each test."""
    yield open_database
    with open_database.engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(table.delete())


@pytest.fixture
def mails(settings: Settings) -> Callable[[], list[Path]]:
    """The mails that have been sent in this test."""
    for file in settings.spool.glob("*.eml"):
        file.unlink()
    return lambda: list(settings.spool.glob("*.eml"))


# -- clients


@pytest.fixture(scope=scope_of_clients)
def running_shop(settings: Settings) -> Iterator["TestClient"]:
    with isoclient.TestClient(app) as client:
        yield client


@pytest.fixture
def client(running_shop: "TestClient") -> Iterator["TestClient"]:
    """The client of an app that many tests share, without cookies."""
    yield running_shop
    running_shop.cookies.clear()


@pytest.fixture
def client_with() -> Iterator[Callable[..., "TestClient"]]:
    """Makes clients of apps that are a test's own: with other dependencies, settings, options."""
    clients: list[TestClient] = []

    def make(overrides: Mapping[Callable[..., Any], Callable[..., Any]] = {}, **options: Any) -> "TestClient":
        app.dependency_overrides.update(overrides)
        client = isoclient.TestClient(app, **options)
        clients.append(client)
        return client.__enter__()

    yield make
    for client in clients:
        client.__exit__(None, None, None)
    app.dependency_overrides.clear()


# -- customers and books


@dataclass(frozen=True)
class Customer:
    id: int
    name: str
    email: str
    token: str

    @property
    def auth(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}


class AddCustomer(Protocol):
    def __call__(self, name: str, *, is_admin: bool = False) -> Customer: ...


class AddBook(Protocol):
    def __call__(self, title: str, *, author: str = "Anonymous", cents: int = 1000, stock: int = 10) -> int: ...


@pytest.fixture(scope="session")
def password() -> str:
    return PASSWORD


@pytest.fixture(scope="session")
def hashed_password(settings: Settings) -> str:
    return hash_password(PASSWORD, settings.hash_rounds)


@pytest.fixture
def add_customer(database: Database, settings: Settings, hashed_password: str) -> AddCustomer:
    def add(name: str, *, is_admin: bool = False) -> Customer:
        email = f"{name.lower()}@example.org"
        with database.session() as session:
            user = User(name=name, email=email, password=hashed_password, is_admin=is_admin)
            session.add(user)
            session.commit()
        return Customer(user.id, name, email, make_token(user.id, 4e9, settings.secret))

    return add


@pytest.fixture
def ada(add_customer: AddCustomer) -> Customer:
    return add_customer("Ada")


@pytest.fixture
def admin(add_customer: AddCustomer) -> Customer:
    return add_customer("Root", is_admin=True)


@pytest.fixture
def add_book(database: Database) -> AddBook:
    def add(title: str, *, author: str = "Anonymous", cents: int = 1000, stock: int = 10) -> int:
        with database.session() as session:
            book = Book(title=title, author=author, cents=cents, stock=stock)
            session.add(book)
            session.commit()
        return book.id

    return add
