"""The chat with other readers."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, WebSocket, WebSocketDisconnect, WebSocketException
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from bookshop.chat import Hub
from bookshop.database import Database
from bookshop.dependencies import Clock, SettingsOf, get_current_user, get_database
from bookshop.models import ChatMessage, User

router = APIRouter(prefix="/chat", tags=["chat"])


def get_chatter(
    websocket: WebSocket, settings: SettingsOf, clock: Clock, database: Annotated[Database, Depends(get_database)]
) -> User:
    token = websocket.query_params.get("token")
    try:
        with database.session() as session:
            return get_current_user(token, session, settings, clock)
    except HTTPException as error:
        raise WebSocketException(1008, error.detail) from error


@router.websocket("/{room}")
async def chat(
    websocket: WebSocket,
    room: str,
    user: Annotated[User, Depends(get_chatter)],
    database: Annotated[Database, Depends(get_database)],
) -> None:
    hub: Hub = websocket.state.hub
    await websocket.accept()
    for message in await run_in_threadpool(_history, database, room):
        await websocket.send_json({"type": "history", "who": message.sender, "text": message.text})
    await hub.join(room, user.name, websocket)
    try:
        await _talk(websocket, hub, room, user, database)
    except WebSocketDisconnect:
        pass
    finally:
        await hub.leave(room, websocket)


async def _talk(websocket: WebSocket, hub: Hub, room: str, user: User, database: Database) -> None:
    while True:
        message = await websocket.receive_json()
        match message:
            case {"type": "say", "text": str(text)} if text.strip():
                await run_in_threadpool(_keep, database, room, user.name, text)
                await hub.tell(room, {"type": "said", "who": user.name, "text": text})
            case {"type": "quit"}:
                await websocket.close(1000, "bye")
                raise WebSocketDisconnect(1000)
            case _:
                await websocket.send_json({"type": "error", "text": "say something, or quit"})


def _history(database: Database, room: str) -> Sequence[ChatMessage]:
    with database.session() as session:
        return session.scalars(select(ChatMessage).where(ChatMessage.room == room).order_by(ChatMessage.id)).all()


def _keep(database: Database, room: str, sender: str, text: str) -> None:
    with database.session() as session:
        session.add(ChatMessage(room=room, sender=sender, text=text))
        session.commit()


@router.get("/{room}/present")
async def present(room: str, request: Request) -> list[str]:
    hub: Hub = request.state.hub
    return hub.present(room)
