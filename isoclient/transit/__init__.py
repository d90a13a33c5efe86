"""What crosses from one process to the other and is more than bytes: exceptions, objects and debug information.

Exceptions and debug information always arrive, if need be as a stand-in; objects arrive, or say why they cannot. The
modules build on each other from left to right::

    classes  <-  bounds, anatomy  <-  reduction, standins, tracebacks
    reduction  <-  constructors  <-  unpickling  <-  trees  <-  exceptions  <-  records
    shared_mocks  <-  trees  <-  exceptions  <-  twins
    reduction, shared_mocks, twins  <-  references
    parts, tracebacks, references  <-  objects
    unpickling, objects  <-  app_results

Importing this package is cheap: :mod:`tblib` and :mod:`dill` are imported when the first traceback or the first lambda
needs them.
"""

from __future__ import annotations

from isoclient.transit.app_results import OF_RESULT, pack_result, unpack_result
from isoclient.transit.exceptions import pack_exception, unpack_exception
from isoclient.transit.objects import pack_object, unpack_object
from isoclient.transit.references import Names
from isoclient.transit.standins import ExceptionStandIn, StandIn
from isoclient.transit.trees import pack_debug, unpack_debug

__all__ = [
    "OF_RESULT",
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
