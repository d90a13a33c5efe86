"""What crosses from one process to the other and is more than bytes: exceptions, objects and debug information.

Exceptions and debug information always arrive, if need be as a stand-in; objects arrive, or say why they cannot. The
modules build on each other from left to right::

    text, bounds, classes, state, blame  <-  local_variables, reduction  <-  standins, tracebacks
    reduction  <-  constructors  <-  unpickling  <-  trees  <-  exceptions, debug_info, records
    unpickling  <-  objects

Importing this package is cheap: :mod:`tblib` and :mod:`dill` are imported when the first traceback or the first lambda
needs them.
"""

from __future__ import annotations

from isoclient.transit.debug_info import pack_debug, unpack_debug
from isoclient.transit.exceptions import pack_exception, unpack_exception
from isoclient.transit.objects import Names, pack_object, pack_result, unpack_object, unpack_result
from isoclient.transit.standins import ExceptionStandIn, StandIn

__all__ = [
    "ExceptionStandIn",
    "Names",
    "StandIn",
    "pack_debug",
    "pack_exception",
    "pack_object",
    "pack_result",
    "unpack_debug",
    "unpack_exception",
    "unpack_object",
    "unpack_result",
]
