"""How torch computes on a CPU; imported before torch.

Results are to be the same bytes whatever runs beside them, so that the number of threads is fixed.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
