"""The C library's allocator, told to keep the memory a training step frees.

On CPU, XLA allocates its temporaries afresh at every call, and glibc hands blocks this large back
to the kernel, which must then fault every page in again: a fifth of a convolutional training step.
"""

import ctypes
import sys

__all__ = ["keep_freed_memory"]

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # glibc's malloc.h


def keep_freed_memory() -> bool:
    """Keeps freed memory in the process for the next step; call it once, when the program starts,
    before JAX allocates.

    Returns:
      Whether it took: True with glibc, False (and nothing changed) elsewhere. The process stays at
        its peak size.
    """
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None)
    # musl has mallopt's name too, but not its meaning
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_ARENA_MAX, 1))
    return all(
        [libc.mallopt(ctypes.c_int(what), ctypes.c_int(value)) == 1 for what, value in settings]
    )
