"""Advisory file locks, which the kernel drops with their holder.

A held lock therefore proves a living process, and no file that a dead one left can pretend to be one.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def take_lock(path: Path, patience_seconds: float = 1.0) -> int:
    """Return the descriptor of a file that this process now holds; raises BlockingIOError when another one does.

    The patience outlasts those who only look: `is_held` has the lock for an instant.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise
            time.sleep(0.01)
        else:
            return descriptor


def is_held(path: Path) -> bool:
    """Return whether a living process holds the lock on `path`; a missing file is held by none."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def one_at_a_time(folder: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of an existing folder while the block runs; `on_wait` is called once if another process has it.

    The folder itself is locked, so that no lock file stays behind.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
