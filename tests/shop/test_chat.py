from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from bookshop.database import Database
from bookshop.models import ChatMessage
from conftest import AddCustomer, Customer
from starlette.websockets import WebSocketDisconnect

from isoclient import TestClient


def url(room: str, customer: Customer) -> str:
    return f"/chat/{room}?token={customer.token}"


def receive(websocket: Any, *fields: str) -> tuple[Any, ...]:
    event = websocket.receive_json()
    return tuple(event[field] for field in ("type", *fields))


def test_strangers_are_not_let_in(client: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect("/chat/poets?token=x"):
        pass
    assert refused.value.code == 1008


def test_who_joins_is_told_who_is_there(client: TestClient, ada: Customer) -> None:
    with client.websocket_connect(url("poets", ada)) as websocket:
        assert websocket.receive_json() == {"type": "joined", "who": "Ada", "present": ["Ada"]}


@contextmanager
def joined(client: TestClient, room: str, customer: Customer) -> Iterator[Any]:
    """In the room, and not only on the way to it: who comes next comes later."""
    with client.websocket_connect(url(room, customer)) as websocket:
        assert receive(websocket, "who") == ("joined", customer.name)
        yield websocket


def test_all_in_a_room_hear_what_is_said(client: TestClient, add_customer: AddCustomer) -> None:
    ada, grace, alan = map(add_customer, ["Ada", "Grace", "Alan"])
    with (
        joined(client, "poets", ada) as of_ada,
        joined(client, "poets", grace) as of_grace,
        joined(client, "poets", alan) as of_alan,
    ):
        assert [receive(of_ada, "who", "present") for _ in range(2)] == [
            ("joined", "Grace", ["Ada", "Grace"]),
            ("joined", "Alan", ["Ada", "Alan", "Grace"]),
        ]
        assert receive(of_grace, "who") == ("joined", "Alan")
        of_grace.send_json({"type": "say", "text": "hello"})
        for websocket in (of_ada, of_grace, of_alan):
            assert receive(websocket, "who", "text") == ("said", "Grace", "hello")


def test_rooms_are_separate(client: TestClient, add_customer: AddCustomer) -> None:
    ada, grace = add_customer("Ada"), add_customer("Grace")
    with (
        client.websocket_connect(url("poets", ada)) as poets,
        client.websocket_connect(url("engineers", grace)) as engineers,
    ):
        assert receive(poets, "present") == ("joined", ["Ada"])
        assert receive(engineers, "present") == ("joined", ["Grace"])
        poets.send_json({"type": "say", "text": "for poets"})
        engineers.send_json({"type": "say", "text": "for engineers"})
        assert receive(engineers, "text") == ("said", "for engineers")
        assert receive(poets, "text") == ("said", "for poets")


def test_who_leaves_is_missed(client: TestClient, add_customer: AddCustomer) -> None:
    ada, grace = add_customer("Ada"), add_customer("Grace")
    with client.websocket_connect(url("poets", ada)) as of_ada:
        receive(of_ada)
        with client.websocket_connect(url("poets", grace)):
            assert receive(of_ada, "who") == ("joined", "Grace")
        assert receive(of_ada, "who", "present") == ("left", "Grace", ["Ada"])


def test_the_history_of_a_room(client: TestClient, add_customer: AddCustomer, database: Database) -> None:
    ada, grace = add_customer("Ada"), add_customer("Grace")
    with client.websocket_connect(url("poets", ada)) as websocket:
        receive(websocket)
        for text in ("one", "two"):
            websocket.send_json({"type": "say", "text": text})
            assert receive(websocket, "text") == ("said", text)
    with client.websocket_connect(url("poets", grace)) as websocket:
        assert receive(websocket, "who", "text") == ("history", "Ada", "one")
        assert receive(websocket, "who", "text") == ("history", "Ada", "two")
        assert receive(websocket, "who") == ("joined", "Grace")
    with database.session() as session:
        assert session.query(ChatMessage).count() == 2


def test_quitting(client: TestClient, ada: Customer) -> None:
    with client.websocket_connect(url("poets", ada)) as websocket:
        receive(websocket)
        websocket.send_json({"type": "quit"})
        with pytest.raises(WebSocketDisconnect) as ended:
            websocket.receive_json()
    assert (ended.value.code, ended.value.reason) == (1000, "bye")


@pytest.mark.parametrize("message", [{}, [], "say", {"type": "say"}, {"type": "say", "text": "  "}, {"type": "shout"}])
def test_what_is_no_message(client: TestClient, ada: Customer, message: object) -> None:
    with client.websocket_connect(url("poets", ada)) as websocket:
        receive(websocket)
        websocket.send_json(message)
        assert receive(websocket, "text") == ("error", "say something, or quit")


def test_pages_and_chat_at_the_same_time(client: TestClient, ada: Customer) -> None:
    with client.websocket_connect(url("poets", ada)) as websocket:
        receive(websocket)
        assert client.get("/chat/poets/present").json() == ["Ada"]
        assert client.get("/chat/engineers/present").json() == []
    assert client.get("/chat/poets/present").json() == []
