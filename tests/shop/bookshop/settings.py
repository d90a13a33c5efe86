"""Settings, from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    database_url: str = "sqlite:///bookshop.db"
    data: Path = Path("data")
    secret: str = "not-a-secret"
    token_seconds: int = 3600
    hash_rounds: int = 200_000
    page_size: int = 20
    upload_limit: int = 1_000_000
    shop_name: str = "The Bookshop"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        def number(name: str, default: int) -> int:
            text = environ.get(f"BOOKSHOP_{name}", str(default))
            if not text.isdigit():
                raise ValueError(f"BOOKSHOP_{name} is {text!r}; it must be a number")
            return int(text)

        return cls(
            database_url=environ.get("BOOKSHOP_DATABASE_URL", cls.database_url),
            data=Path(environ.get("BOOKSHOP_DATA", cls.data)),
            secret=environ.get("BOOKSHOP_SECRET", cls.secret),
            token_seconds=number("TOKEN_SECONDS", cls.token_seconds),
            hash_rounds=number("HASH_ROUNDS", cls.hash_rounds),
            page_size=number("PAGE_SIZE", cls.page_size),
            upload_limit=number("UPLOAD_LIMIT", cls.upload_limit),
            shop_name=environ.get("BOOKSHOP_SHOP_NAME", cls.shop_name),
        )

    @property
    def files(self) -> Path:
        return self.data / "files"

    @property
    def spool(self) -> Path:
        return self.data / "mail"
