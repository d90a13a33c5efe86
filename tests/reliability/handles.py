"""The running app behind a client, for proofs that look at its process from outside."""

from __future__ import annotations

from isoclient import TestClient
from isoclient.process.handle import AppHandle


def handle_of(client: TestClient) -> AppHandle | None:
    """The handle of the app that runs now, or that ran last; none is started."""
    copies = client._supervisor.copies
    return copies[-1].handle if copies else None
