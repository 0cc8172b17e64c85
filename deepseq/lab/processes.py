"""Independent trainings in processes of their own: one that runs on one core leaves the others
idle.

Not in threads: two programs of XLA at once in one process can wait for each other for ever.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

from deepseq.train.allocator import keep_freed_memory
from deepseq.train.checkpoints import quiet_orbax
from deepseq.train.loop import Interrupted

__all__ = ["results"]

_WAIT = 0.2  # seconds between looks at whether to stop


def results(
    work: Callable[..., Any], jobs: Sequence[tuple], together: int, stopping: Callable[[], bool]
) -> Iterator[Any]:
    """``work(*job, stopping)`` for every job, in their order, ``together`` at a time.

    Args:
      work: a function of a module, whose arguments and result can be pickled; with one at a time it
        is called here.
      jobs: its arguments.
      together: processes; 1 makes none.
      stopping: asked while waiting; here, ``work`` is given it to ask it too.

    Raises:
      Interrupted: ``stopping`` said so; what runs is stopped, its result lost. Whatever ``work``
        raises.
    """
    if together == 1 or len(jobs) < 2:
        for job in jobs:
            if stopping():
                raise Interrupted(0, {})
            yield work(*job, stopping)
        return
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(together, len(jobs)), spawn, _begin, (os.getpid(),))
    try:
        for future in [pool.submit(work, *job, _never) for job in jobs]:
            yield _result(future, stopping)
    finally:  # at once: a generator that is given up must not wait for what nobody wants
        running = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in running:
            process.terminate()
        for process in running:
            process.join()


def _never() -> bool:
    return False


def _result(future: Future, stopping: Callable[[], bool]) -> Any:
    while not future.done():
        if stopping():
            raise Interrupted(0, {})
        time.sleep(_WAIT)
    return future.result()


def _begin(parent: int) -> None:
    """Ctrl-C is the parent's to handle; and where the parent is killed, nothing is left running."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_outlive_nobody, args=(parent,), daemon=True).start()
    keep_freed_memory()
    quiet_orbax()


def _outlive_nobody(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
