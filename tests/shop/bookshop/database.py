"""The database, as long as the app runs."""

import logging

from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker

from bookshop.models import Base

log = logging.getLogger("bookshop.database")


class Database:
    def __init__(self, url: str) -> None:
        self.engine = create_engine(url, connect_args={"check_same_thread": False, "timeout": 20})
        self.sessions = sessionmaker(self.engine, expire_on_commit=False)

    def open(self) -> None:
        Base.metadata.create_all(self.engine)
        log.info("opened %s", self.engine.url.database)

    def session(self) -> Session:
        return self.sessions()

    def close(self) -> None:
        self.engine.dispose()
        log.info("closed %s", self.engine.url.database)
