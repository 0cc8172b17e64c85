"""What a run ran on: the versions, the device and the commit that a result is recorded with."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from deepseq.lab.errors import UsageError, one_line

__all__ = ["commit", "describe"]


def describe() -> dict[str, Any]:
    """The environment of this process, as result.json records it; the first call starts JAX.

    Raises:
      UsageError: JAX cannot start the platform it was told to use.
    """
    import jax  # not at the top: a wrong command line is told before JAX is loaded

    try:
        devices = jax.devices()
    except RuntimeError as error:
        raise UsageError(f"JAX cannot start ({one_line(error)}); check JAX_PLATFORMS") from error
    kind = _processor() if devices[0].platform == "cpu" else devices[0].device_kind
    return {
        "python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in ("jax", "jaxlib", "numpy")},
        "device": kind if len(devices) == 1 else f"{len(devices)} x {kind}",
        "cores": (
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        ),
        "platform": " ".join(
            filter(None, (platform.system(), platform.machine(), *platform.libc_ver()))
        ),
        "commit": commit(Path(__file__).resolve().parents[2]),
    }


def commit(root: Path) -> str | None:
    """The git commit checked out at ``root``, with "+changes" where files differ from it; None
    where there is none.
    """
    top, head = (
        _git(root, "rev-parse", "--show-toplevel"),
        _git(root, "rev-parse", "--verify", "HEAD"),
    )
    # an installed copy may lie inside somebody else's tree
    if not head or Path(top or "").resolve() != root:
        return None
    return head + ("+changes" if _git(root, "status", "--porcelain") else "")


def _git(root: Path, *arguments: str) -> str | None:
    command = ("git", "--no-optional-locks", "-C", str(root), *arguments)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
