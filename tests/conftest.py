"""Compiled programs are kept between tests and test runs, for this process and those that the tests start."""

import os
from pathlib import Path

kept = Path(os.environ.get("JAX_COMPILATION_CACHE_DIR", Path(__file__).resolve().parents[1] / ".pytest_cache" / "jax"))
# one folder for each of pytest-xdist's workers: none may read what another is still writing
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(kept / os.environ.get("PYTEST_XDIST_WORKER", ""))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
