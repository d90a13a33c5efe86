"""The classes of requests that a client is made of, out of reach of what patches requests.

A client is a session of requests; but a test that patches requests, or a tool that does so for it (requests-mock, the
instrumentation of OpenTelemetry), means what the app asks of others. So these are subclasses that have as their own
what those of requests had when this was imported: what is put into ``requests.Session`` later does not reach them, nor
what is put into the modules that its methods look names up in.
"""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any

import requests

from isoclient.system.modules import Kept, json, over

__all__ = ["PreparedRequest", "Response", "Session"]

if TYPE_CHECKING:
    from requests import PreparedRequest as PreparedRequest
    from requests import Response as Response
    from requests import Session as Session
else:

    def _own(base: type, names: dict[str, Any]) -> type:
        """A subclass that inherits no function."""
        doc = f"A :class:`requests.{base.__name__}` that is out of reach of what patches requests."
        attributes: dict[str, Any] = {"__module__": __name__, "__doc__": doc}
        for cls in reversed(base.__mro__[:-1]):
            attributes.update((name, _copy(value, names)) for name, value in vars(cls).items() if _is_code(value))
        return type(base.__name__, (base,), attributes)

    def _is_code(value: object) -> bool:
        return isinstance(value, FunctionType | property | staticmethod)

    def _copy(value: Any, names: dict[str, Any]) -> Any:
        if isinstance(value, property):
            return property(*(_copy(part, names) for part in (value.fget, value.fset, value.fdel)), value.__doc__)
        if isinstance(value, staticmethod):
            return staticmethod(_copy(value.__func__, names))
        return over(names, value) if isinstance(value, FunctionType) else value

    _models = vars(Kept("requests.models"))
    if _models["complexjson"].__name__ == "json":  # else it is simplejson
        _models["complexjson"] = json
    PreparedRequest = _models["PreparedRequest"] = _own(requests.PreparedRequest, _models)
    Response = _own(requests.Response, _models)
    _adapter = _own(requests.adapters.HTTPAdapter, vars(Kept("requests.adapters")))
    _sessions = vars(Kept("requests.sessions", PreparedRequest=PreparedRequest, HTTPAdapter=_adapter))
    Session = _own(requests.Session, _sessions)
