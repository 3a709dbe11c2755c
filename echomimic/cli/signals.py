"""Ctrl-C, ``kill`` and a closed terminal all stop a job the same clean way."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

# Seconds in which a second signal changes nothing, so that cleaning up is not interrupted itself.
_PATIENCE = 3.0

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


@contextlib.contextmanager
def stoppable() -> Iterator[list[int]]:
    """While it lasts, these signals raise ``KeyboardInterrupt``; yields the growing list of those that came.

    The list is needed because a library in the middle of its import may turn the interruption into another
    error. Signals that are ignored (``nohup``) stay ignored; outside the main thread nothing changes.
    """
    came: list[int] = []
    first: list[float] = []

    def stop(number: int, _: Any) -> None:
        came.append(number)
        if first and time.monotonic() - first[0] < _PATIENCE:
            return  # what the first one began is cleaning up
        first[:] = [time.monotonic()]
        raise KeyboardInterrupt

    numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []
    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
