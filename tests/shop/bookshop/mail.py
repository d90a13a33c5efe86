"""Mail, put where a mail server would fetch it."""

import logging
import uuid
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol

log = logging.getLogger("bookshop.mail")


class Mailer(Protocol):
    def send(self, to: str, subject: str, text: str) -> None: ...


class SpoolMailer:
    def __init__(self, spool: Path) -> None:
        self._spool = spool

    def send(self, to: str, subject: str, text: str) -> None:
        message = EmailMessage()
        message["To"] = to
        message["Subject"] = subject
        message.set_content(text)
        (self._spool / f"{uuid.uuid4()}.eml").write_bytes(bytes(message))
        log.info("mail to %s: %s", to, subject)
