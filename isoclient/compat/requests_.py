"""requests: where its objects keep what isoclient reads and puts there for each request, as attributes by their name.

They are attributes, and not functions, because a call would be one more for each request.
"""

from __future__ import annotations

from typing import Any, Final

import requests
from requests.structures import CaseInsensitiveDict

from isoclient.compat.self_tests import self_test

__all__ = ["CONTENT", "COOKIES", "IS_CONSUMED", "IS_KNOWN", "PLAIN_HEADERS", "STORE"]

STORE: Final = "_store"
"""Of a CaseInsensitiveDict: a dict by name in lower case, of names and values."""
COOKIES: Final = "_cookies"
"""Of a prepared request: its cookies."""
CONTENT: Final = "_content"
"""Of a response: its body, when it has been read."""
IS_CONSUMED: Final = "_content_consumed"
"""Of a response: whether nothing more can be read."""


@self_test("Preparing requests and reading responses faster than requests does", project="requests")
def _is_known() -> None:
    response: Any = requests.Response()
    assert vars(CaseInsensitiveDict({"Accept": "all"}))[STORE] == {"accept": ("Accept", "all")}
    assert vars(requests.PreparedRequest())[COOKIES] is None
    assert (vars(response)[CONTENT], vars(response)[IS_CONSUMED]) == (False, False)


IS_KNOWN: Final = _is_known()
"""Whether they are there; where they are not, requests does all of it itself."""
PLAIN_HEADERS: Final = CaseInsensitiveDict if IS_KNOWN else None
"""The class of headers that has them."""
