"""The demo's fleet, its faults and its witness; the tests and the benchmarks stand on them too."""

from __future__ import annotations

import sys
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent

# consul-dev is no package (its name has a dash): its modules are imported by their own names.
if str(REPO / "consul-dev") not in sys.path:
    sys.path.append(str(REPO / "consul-dev"))
