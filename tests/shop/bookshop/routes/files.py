"""Files of the users: manuscripts, for example."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, File, HTTPException, UploadFile
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel
from sqlalchemy import select

from bookshop.dependencies import CurrentUser, SessionOf, SettingsOf
from bookshop.models import StoredFile

router = APIRouter(prefix="/files", tags=["files"])


class Stored(BaseModel):
    id: int
    name: str
    media_type: str
    size: int
    sha256: str


@router.post("", status_code=201, response_model=list[Stored])
def upload(
    files: Annotated[list[UploadFile], File()], user: CurrentUser, session: SessionOf, settings: SettingsOf
) -> list[StoredFile]:
    stored = [_store(file, user, session, settings) for file in files]
    session.commit()
    return stored


def _store(file: UploadFile, user: CurrentUser, session: SessionOf, settings: SettingsOf) -> StoredFile:
    content = file.file.read(settings.upload_limit + 1)
    if len(content) > settings.upload_limit:
        raise HTTPException(413, f"{file.filename} is larger than {settings.upload_limit} bytes")
    digest = hashlib.sha256(content).hexdigest()
    (settings.files / digest).write_bytes(content)
    media_type = file.content_type or "application/octet-stream"
    name = Path(file.filename or "unnamed").name
    stored = StoredFile(owner_id=user.id, name=name, media_type=media_type, size=len(content), sha256=digest)
    session.add(stored)
    session.flush()
    return stored


@router.get("", response_model=list[Stored])
def list_files(user: CurrentUser, session: SessionOf) -> Sequence[StoredFile]:
    return session.scalars(select(StoredFile).where(StoredFile.owner_id == user.id)).all()


@router.get("/{file_id}")
def download(file_id: int, user: CurrentUser, session: SessionOf, settings: SettingsOf) -> FileResponse:
    stored = _find(file_id, user, session)
    return FileResponse(settings.files / stored.sha256, media_type=stored.media_type, filename=stored.name)


@router.get("/{file_id}/lines")
def lines(file_id: int, user: CurrentUser, session: SessionOf, settings: SettingsOf) -> StreamingResponse:
    """The file line by line, numbered, as it is read."""
    path = settings.files / _find(file_id, user, session).sha256
    return StreamingResponse(_numbered(path), media_type="text/plain")


def _numbered(path: Path) -> Iterator[str]:
    with path.open() as file:
        for number, line in enumerate(file, 1):
            yield f"{number}: {line}"


def _find(file_id: int, user: CurrentUser, session: SessionOf) -> StoredFile:
    stored = session.get(StoredFile, file_id)
    if stored is None or stored.owner_id != user.id:
        raise HTTPException(404, f"there is no file {file_id}")
    return stored
