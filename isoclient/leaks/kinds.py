"""All kinds of things that are looked at.

A further one is a class, as :class:`isoclient.leaks.kind.Kind` has it, and a line here.
"""

from __future__ import annotations

from typing import Final

from isoclient.leaks.contexts import DecimalContexts, Seed
from isoclient.leaks.event_loops import Faults, Policy
from isoclient.leaks.handlers import Handlers
from isoclient.leaks.kind import Kind
from isoclient.leaks.loggers import Loggers
from isoclient.leaks.module_globals import Globals
from isoclient.leaks.open_files import OpenFiles
from isoclient.leaks.processes import Processes
from isoclient.leaks.replaced_modules import ReplacedModules
from isoclient.leaks.surroundings import Directory, Environ, ImportPath, Locale, Umask
from isoclient.leaks.tasks import Tasks
from isoclient.leaks.temporary_files import TemporaryFiles
from isoclient.leaks.threads import Threads
from isoclient.leaks.warning_filters import WarningFilters

__all__ = ["KINDS"]

KINDS: Final[tuple[type[Kind], ...]] = (
    Threads,
    Tasks,
    OpenFiles,
    Processes,
    TemporaryFiles,
    Environ,
    Directory,
    Umask,
    Locale,
    ImportPath,
    ReplacedModules,
    Handlers,
    Globals,
    Loggers,
    WarningFilters,
    Seed,
    DecimalContexts,
    Policy,
    Faults,
)
