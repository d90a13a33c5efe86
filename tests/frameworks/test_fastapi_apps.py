"""What FastAPI offers to apps and to their tests, and the examples of its documentation, beyond the contract."""

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from fastapi import (
    APIRouter,
    BackgroundTasks,
    Depends,
    FastAPI,
    Header,
    HTTPException,
    Query,
    Request,
    Response,
    UploadFile,
)
from fastapi.exceptions import RequestValidationError, ResponseValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.security import HTTPBasic, HTTPBasicCredentials, OAuth2PasswordBearer, OAuth2PasswordRequestForm
from pydantic import BaseModel, Field, field_validator

if TYPE_CHECKING:
    from tests.conftest import MakeClient


pytestmark = [pytest.mark.modes("fork", "thread"), pytest.mark.backends("asyncio")]


class Item(BaseModel):
    id: str
    title: str = Field(max_length=10)
    price: float = 1.0

    @field_validator("title")
    @classmethod
    def not_blank(cls, title: str) -> str:
        if not title.strip():
            raise ValueError("a title must not be blank")
        return title


# -- "Testing": an app with a token in a header, and a client at the level of the module

items = {"foo": Item(id="foo", title="Foo"), "bar": Item(id="bar", title="Bar")}


shop = FastAPI()


@shop.get("/items/{item_id}")
async def read_item(item_id: str, x_token: Annotated[str, Header()]) -> Item:
    if x_token != "coneofsilence":
        raise HTTPException(status_code=400, detail="Invalid X-Token header")
    if item_id not in items:
        raise HTTPException(status_code=404, detail="Item not found")
    return items[item_id]


@shop.post("/items")
async def create_item(item: Item, x_token: Annotated[str, Header()]) -> Item:
    if x_token != "coneofsilence":
        raise HTTPException(status_code=400, detail="Invalid X-Token header")
    if item.id in items:
        raise HTTPException(status_code=409, detail="Item already exists")
    items[item.id] = item
    return item


TOKEN = {"X-Token": "coneofsilence"}


def test_reading_an_item(make_client: "MakeClient") -> None:
    client = make_client(shop)
    response = client.get("/items/foo", headers=TOKEN)
    assert (response.status_code, response.json()) == (200, {"id": "foo", "title": "Foo", "price": 1.0})
    response = client.get("/items/foo", headers={"X-Token": "hailhydra"})
    assert (response.status_code, response.json()) == (400, {"detail": "Invalid X-Token header"})
    response = client.get("/items/baz", headers=TOKEN)
    assert (response.status_code, response.json()) == (404, {"detail": "Item not found"})


@pytest.mark.modes("fork")
@pytest.mark.parametrize("attempt", [1, 2])
def test_creating_an_item_leaves_nothing_for_the_next_test(make_client: "MakeClient", attempt: int) -> None:
    client = make_client(shop)
    new = {"id": "new", "title": "New", "price": 5.0}
    assert client.post("/items", json=new, headers=TOKEN).json() == new
    assert client.post("/items", json=new, headers=TOKEN).status_code == 409
    assert "new" not in items


def test_invalid_input_is_a_422_response(make_client: "MakeClient") -> None:
    client = make_client(shop)
    response = client.post("/items", json={"id": "x", "title": "far too long", "price": "much"}, headers=TOKEN)
    assert response.status_code == 422
    assert {tuple(error["loc"]): error["type"] for error in response.json()["detail"]} == {
        ("body", "title"): "string_too_long",
        ("body", "price"): "float_parsing",
    }
    response = client.post("/items", json={"id": "x", "title": " "})
    assert [error["loc"] for error in response.json()["detail"]] == [["header", "x-token"], ["body", "title"]]
    response = client.post("/items", data="{", headers=TOKEN | {"content-type": "application/json"})
    assert response.json()["detail"][0]["type"] == "json_invalid"


def test_invalid_output_is_raised(make_client: "MakeClient") -> None:
    app = FastAPI()

    @app.get("/", response_model=Item)
    async def wrong() -> dict[str, Any]:
        return {"id": "x", "title": 7}

    with pytest.raises(ResponseValidationError) as raised:
        make_client(app).get("/")
    [error] = raised.value.errors()
    assert (error["type"], error["loc"]) == ("string_type", ("response", "title"))


def test_a_validation_error_of_the_app_arrives(make_client: "MakeClient") -> None:
    from pydantic import ValidationError

    app = FastAPI()

    @app.get("/")
    async def validate() -> None:
        Item.model_validate({"id": "x", "title": " "})

    with pytest.raises(ValidationError, match="a title must not be blank") as raised:
        make_client(app).get("/")
    assert "1 validation error for Item" in str(raised.value)


def test_a_handler_of_validation_errors(make_client: "MakeClient") -> None:
    app = FastAPI()

    @app.exception_handler(RequestValidationError)
    async def explain(request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"wrong": [".".join(map(str, one["loc"])) for one in error.errors()]}, status_code=400)

    @app.get("/")
    async def page(size: Annotated[int, Query(gt=0)]) -> int:
        return size

    client = make_client(app)
    assert client.get("/", params={"size": 3}).json() == 3
    response = client.get("/", params={"size": 0})
    assert (response.status_code, response.json()) == (400, {"wrong": ["query.size"]})


# -- "Testing events: lifespan"


def test_lifespan_events(make_client: "MakeClient") -> None:
    fish: dict[str, dict[str, str]] = {}

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        fish["foo"] = {"name": "Fighters"}
        fish["bar"] = {"name": "Tenders"}
        yield
        fish.clear()

    app = FastAPI(lifespan=lifespan)

    @app.get("/items/{item_id}")
    async def read(item_id: str) -> dict[str, str]:
        return fish[item_id]

    with make_client(app) as client:
        assert client.get("/items/foo").json() == {"name": "Fighters"}
    assert fish == {}


# -- more of the tutorial


def test_background_tasks_of_a_dependency_and_of_the_handler(make_client: "MakeClient") -> None:
    app = FastAPI()
    app.state.log = []

    def note_query(tasks: BackgroundTasks, q: str | None = None) -> None:
        if q:
            tasks.add_task(app.state.log.append, f"query {q}")

    @app.post("/send/{email}", dependencies=[Depends(note_query)])
    async def send(email: str, tasks: BackgroundTasks) -> str:
        tasks.add_task(app.state.log.append, f"mail to {email}")
        return "sent"

    client = make_client(app)
    assert client.post("/send/ada@example.com", params={"q": "tea"}).json() == "sent"
    assert client.call(lambda: app.state.log) == ["query tea", "mail to ada@example.com"]


def test_uploads(make_client: "MakeClient") -> None:
    app = FastAPI()

    @app.post("/")
    async def receive(files: list[UploadFile]) -> list[tuple[str | None, int | None, str]]:
        return [(file.filename, file.size, (await file.read(3)).decode()) for file in files]

    files = [("files", ("one.txt", b"one")), ("files", ("two.txt", b"twenty-two"))]
    assert make_client(app).post("/", files=files).json() == [["one.txt", 3, "one"], ["two.txt", 10, "twe"]]


def test_a_user_with_a_password_and_one_with_a_bearer_token(make_client: "MakeClient") -> None:
    app = FastAPI()

    @app.get("/basic")
    def basic(credentials: Annotated[HTTPBasicCredentials, Depends(HTTPBasic())]) -> str:
        return credentials.username

    @app.post("/token")
    async def token(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> dict[str, str]:
        return {"access_token": f"of {form.username}", "token_type": "bearer"}

    @app.get("/bearer")
    async def bearer(token: Annotated[str, Depends(OAuth2PasswordBearer(tokenUrl="token"))]) -> str:
        return token

    client = make_client(app)
    assert client.get("/basic").status_code == 401
    assert client.get("/basic", auth=("ada", "secret")).json() == "ada"
    token_of_ada = client.post("/token", data={"username": "ada", "password": "secret"}).json()["access_token"]
    client.headers["authorization"] = f"Bearer {token_of_ada}"
    assert client.get("/bearer").json() == "of ada"


def test_routers_and_a_mounted_app(make_client: "MakeClient") -> None:
    router = APIRouter(prefix="/router")

    @router.get("/")
    async def root(request: Request) -> str:
        return str(request.url)

    inner = FastAPI()

    @inner.get("/sub")
    async def sub(request: Request) -> str:
        return str(request.scope["root_path"])

    app = FastAPI()
    app.include_router(router)
    app.mount("/inner", inner)
    client = make_client(app)
    assert client.get("/router/").json() == "http://testserver/router/"
    assert client.get("/inner/sub").json() == "/inner"


def test_the_documentation_behind_a_proxy(make_client: "MakeClient") -> None:
    client = make_client(FastAPI(title="Shop"), root_path="/api/v1")
    schema = client.get("/api/v1/openapi.json").json()
    assert (schema["info"]["title"], schema["servers"]) == ("Shop", [{"url": "/api/v1"}])
    assert "/api/v1/openapi.json" in client.get("/api/v1/docs").text


def test_server_sent_events(make_client: "MakeClient") -> None:
    app = FastAPI()

    @app.get("/events")
    async def events() -> StreamingResponse:
        async def numbers() -> AsyncIterator[str]:
            for number in range(3):
                yield f"data: {number}\n\n"

        return StreamingResponse(numbers(), media_type="text/event-stream")

    with make_client(app).get("/events", stream=True) as response:
        lines = response.iter_lines(decode_unicode=True)
        assert [line for line in lines if line] == ["data: 0", "data: 1", "data: 2"]


def test_a_middleware(make_client: "MakeClient") -> None:
    app = FastAPI()

    @app.middleware("http")
    async def name_the_path(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers["x-path"] = request.url.path
        return response

    @app.get("/fail")
    async def fail() -> None:
        raise LookupError("below the middleware")

    client = make_client(app)
    assert client.get("/nowhere").headers["x-path"] == "/nowhere"
    with pytest.raises(LookupError, match="below the middleware"):
        client.get("/fail")


class Unicorn(Exception):
    def __init__(self, name: str) -> None:
        self.name = name


def test_a_handler_of_an_exception(make_client: "MakeClient") -> None:
    app = FastAPI()

    @app.exception_handler(Unicorn)
    async def explain(request: Request, error: Unicorn) -> JSONResponse:
        return JSONResponse(status_code=418, content={"message": f"{error.name} did something"})

    @app.get("/{name}")
    async def meet(name: str) -> None:
        raise Unicorn(name)

    response = make_client(app).get("/yolo")
    assert (response.status_code, response.json()) == (418, {"message": "yolo did something"})


# -- app objects in a fresh interpreter


def current_user() -> str:
    return "nobody"


@pytest.mark.modes("fork", "forkserver", "spawn")
def test_an_app_with_its_state_its_routes_and_its_overrides(make_client: "MakeClient") -> None:
    def endpoint_of(number: int) -> Any:
        async def endpoint(item: int = number, user: str = Depends(current_user)) -> dict[str, object]:
            return {"item": item, "user": user, "greeting": app.state.greeting}

        return endpoint

    app = FastAPI()
    for number in range(50):
        app.get(f"/{number}")(endpoint_of(number))
    app.state.greeting = "hello"
    app.dependency_overrides[current_user] = lambda: "ada"

    with make_client(app) as client:
        assert client.get("/49").json() == {"item": 49, "user": "ada", "greeting": "hello"}
        assert client.get("/1?item=x").status_code == 422
        assert client.call(lambda: app.state).greeting == "hello"
        client.call(lambda: app.dependency_overrides.clear())
        assert client.get("/49?item=1").json() == {"item": 1, "user": "nobody", "greeting": "hello"}
