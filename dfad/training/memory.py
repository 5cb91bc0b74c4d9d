"""Freed memory kept for the next step instead of given back to the kernel."""

from __future__ import annotations

import ctypes
import platform

_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -3, -1  # of mallopt(3)
_LARGEST, _NEVER = 1 << 30, -1


def keep_freed_memory() -> bool:
    """Let the C library reuse large blocks; give whether it could be told.

    glibc maps every block above 32 MB anew and unmaps it when it is freed, and the kernel clears each of its pages
    again: the activations of every training step on a CPU. What that costs, `python -m bench.memory` measures.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST) and libc.mallopt(_M_TRIM_THRESHOLD, _NEVER))
