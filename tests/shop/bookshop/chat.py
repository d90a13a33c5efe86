"""The rooms of the chat, and who is in them."""

from collections import defaultdict

from fastapi import WebSocket


class Hub:
    def __init__(self) -> None:
        self._rooms: dict[str, dict[WebSocket, str]] = defaultdict(dict)

    async def join(self, room: str, name: str, websocket: WebSocket) -> None:
        self._rooms[room][websocket] = name
        await self.tell(room, {"type": "joined", "who": name, "present": self.present(room)})

    async def leave(self, room: str, websocket: WebSocket) -> None:
        name = self._rooms[room].pop(websocket)
        await self.tell(room, {"type": "left", "who": name, "present": self.present(room)})
        if not self._rooms[room]:
            del self._rooms[room]

    async def tell(self, room: str, event: dict[str, object]) -> None:
        for websocket in list(self._rooms[room]):
            await websocket.send_json(event)

    def present(self, room: str) -> list[str]:
        return sorted(self._rooms[room].values()) if room in self._rooms else []
