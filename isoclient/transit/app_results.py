"""What the app's process makes and the test gets, such as the result of a call: by plain pickle, as values alone.

The app may be anybody's, and what comes from it runs no code in the test's process but what makes objects.
"""

from __future__ import annotations

import copyreg
import sys
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Mapping
from typing import Any, Final

from isoclient.errors import ObjectNotLoadable, ObjectNotSendable
from isoclient.system.modules import io, pickle
from isoclient.transit.bounds import Allowance, text_of
from isoclient.transit.classes import ClassRef, NotHere, is_importable, qualified_name, refer_to, resolve
from isoclient.transit.constructors import LOCKS, Refused, new_lock
from isoclient.transit.objects import PLAIN, cause_to_show, pack_object
from isoclient.transit.reduction import set_items
from isoclient.transit.references import CLASS, LIVE, MOCK, MODULE, Known
from isoclient.transit.shared_mocks import mocks, recalled
from isoclient.transit.tracebacks import without_machinery
from isoclient.transit.unpickling import load

__all__ = ["OF_RESULT", "pack_result", "unpack_result"]

_DICTS_OF_PYTHON: Final = (defaultdict, OrderedDict, Counter)
OF_RESULT = "return what the test needs of it instead"
_TRUST = "set client.trust_results = True, which lets results run any code here"
_NOT_PLAIN = f"return plain values instead, or {_TRUST}"


def pack_result(obj: object, live: Mapping[str, object], *, with_locks: bool = False) -> bytes:
    """Put an object into bytes for a process that will run none of the code in it, so by plain pickle alone.

    Args:
        obj: what to send.
        live: objects that both processes have, by name.
        with_locks: whether a lock in it becomes one of the other process, which nobody holds: for what is not used in
            both at once.

    Raises:
        ObjectNotSendable: it can't be pickled, or not without code; the text says which part.
    """
    file = io.BytesIO()
    try:
        _ResultPickler(file, Known.of(live, None, mocks.is_shared), with_locks=with_locks).dump(obj)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        pack_object(obj, live, advice=OF_RESULT)  # says which part, if it can't cross at all
        raise ObjectNotSendable(f"{text_of(error, str, 1000)}; {_NOT_PLAIN}") from cause_to_show(error)
    return PLAIN + file.getvalue()


def unpack_result(data: bytes, live: Mapping[str, object], seconds: float | None) -> Any:
    """The object that :func:`pack_result` packed: nothing is imported, nor called but what makes objects.

    Args:
        data: what :func:`pack_result` returned, in the other process.
        live: this process's objects of the names that the other one was given.
        seconds: what the code of the user's that makes the objects may take; None for as long as it takes.

    Raises:
        ObjectNotLoadable: it cannot be rebuilt like that, or the data are damaged.

    Example:
        >>> unpack_result(pack_result({"paid": [True]}, {}), {}, 1.0)
        {'paid': [True]}
    """

    def persistent(pid: Any) -> Any:
        what, which = pid
        if what == LIVE:
            return live[which]
        if what == MOCK:
            return recalled(which)
        found = resolve(ClassRef(*which), object) if what == CLASS else sys.modules.get(which)
        if found is None or what not in (CLASS, MODULE):
            raise NotHere(f"{ClassRef(*which) if what == CLASS else which} is unknown to the test")
        return found

    try:
        return load(data[1:], persistent, Allowance(seconds))
    except KeyboardInterrupt:
        raise
    except NotHere as error:
        raise ObjectNotLoadable(f"{text_of(error, str, 1000)}; import it in the test, or {_TRUST}") from None
    except Refused as error:
        raise ObjectNotLoadable(f"{text_of(error, str, 1000)}; return what it is made from, or {_TRUST}") from None
    except BaseException as error:
        why = f"{qualified_name(type(error))}: {text_of(error, str, 1000)}"
        raise ObjectNotLoadable(f"it cannot be rebuilt in this process: {why}") from without_machinery(error)


class _ResultPickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, known: Known, *, with_locks: bool) -> None:
        super().__init__(file, protocol=5)
        self._known = known
        self._with_locks = with_locks

    def persistent_id(self, obj: Any) -> tuple[str, Any] | None:
        if issubclass(type(obj), type) and not is_importable(obj):
            return CLASS, tuple(refer_to(obj))
        return self._known.persistent_id(obj)

    def reducer_override(self, obj: Any) -> Any:
        if self._with_locks and type(obj) in LOCKS:
            return new_lock, (type(obj) is LOCKS[1],)
        if self._with_locks and type(obj).__base__ is dict and type(obj) not in _DICTS_OF_PYTHON:
            return copyreg.__newobj__, (type(obj),), dict(dict.items(obj)), None, None, set_items  # type: ignore[attr-defined]
        return self._known.reduced(obj)
