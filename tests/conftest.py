"""Settings that shorten the suite: compiled programs are kept, whole nets compiled quickly, garbage
is sought less often.

Programs are kept between tests and test runs, for this process and those that the tests start.
"""

import gc
import os
from pathlib import Path

import pytest

kept = Path(
    os.environ.get(
        "JAX_COMPILATION_CACHE_DIR", Path(__file__).resolve().parents[1] / ".pytest_cache" / "jax"
    )
)
# one folder for each of pytest-xdist's workers: none may read what another is still writing
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(kept / os.environ.get("PYTEST_XDIST_WORKER", ""))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
# torch's: its nets here are small, and every core has a worker
os.environ.setdefault("OMP_NUM_THREADS", "1")
# LLVM's optimisations of programs that run for a millisecond; XLA's own stay on
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_backend_optimization_level=0"
).strip()
gc.set_threshold(50_000)  # tracing makes many objects, hardly any of them garbage


@pytest.fixture(scope="module")
def compiled_quickly():
    """Without LLVM's optimisations, for tests of whole nets: there they cost more than they save.

    What nets are made of (cells, convolutions, norms, attention, losses) is tested with them, as it
    is run."""
    import jax  # after the settings above, which it reads

    quick = "jax_disable_most_optimizations"
    before = jax.config.read(quick)
    jax.config.update(quick, True)
    yield
    jax.config.update(quick, before)
    jax.clear_caches()  # what was compiled so is for no other test
