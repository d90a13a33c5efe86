"""Starlette's own test client, under the interface that the tests of the shop are written for."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it would rather have another version of httpx
    from starlette.testclient import TestClient as StarletteClient


class PeerClient(StarletteClient):
    __test__ = False

    def __init__(self, app: Any, *args: Any, isolated: object = None, **kwargs: Any) -> None:
        super().__init__(app, *args, **kwargs)

    def call(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if self.portal is None:
            return func(*args, **kwargs)
        return self.portal.call(partial(func, *args, **kwargs))

    def patch(self, url: Any, *args: Any, **kwargs: Any) -> Any:
        """A request, or isoclient's patch of something in the app, which is here."""
        if "/" in str(url):
            return super().patch(url, *args, **kwargs)
        return mock.patch(url, *args, **kwargs)
