"""The scripts of this directory are modules of ``tests.reliability``, which is found from the root of the project."""

from __future__ import annotations

import sys
from pathlib import Path

_ROOT = str(Path(__file__).resolve().parents[2])

if _ROOT not in sys.path:
    sys.path.append(_ROOT)  # at the end: what is installed comes first
