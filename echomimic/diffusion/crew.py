"""One video on several devices: each has a copy of the networks and predicts every n-th window of a step.

The predictions are handed back in the order of the windows, wherever they were made, so blending adds the
same numbers in the same order as on one device, and the video is the same bit for bit on equal devices.
"""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeAlias

import torch
from torch import Tensor

Predict: TypeAlias = Callable[[Tensor, int, Sequence[int]], Tensor]
"""(latents of a window, timestep, its frame numbers) → velocity of each frame."""

Task: TypeAlias = tuple[Tensor, int, Sequence[int]]
"""What a :data:`Predict` is called with."""


class Crew:
    """Predictors of several devices, one thread each; a context manager that ends the threads.

    ``threads`` are the cores that each thread's own computations take, None for PyTorch's choice.
    """

    def __init__(self, predictors: Sequence[Predict], threads: int | None = None) -> None:
        self.predictors = tuple(predictors)
        self._threads = [lane(f"device-{i}", threads) for i in range(len(self.predictors))]

    def __enter__(self) -> "Crew":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        for thread in self._threads:
            thread.shutdown(wait=True, cancel_futures=True)

    def predictions(self, tasks: Sequence[Task]) -> Generator[Tensor, None, None]:
        """The prediction of every task, in their order.
        An error of a device is raised here, in its task's place."""
        if len(self.predictors) == 1:
            yield from (self.predictors[0](*task) for task in tasks)
            return
        count = len(self.predictors)
        waiting = [
            self._threads[i % count].submit(self.predictors[i % count], *task) for i, task in enumerate(tasks)
        ]
        try:
            for future in waiting:
                yield future.result()
        finally:
            for future in waiting:
                future.cancel()


def lane(name: str, threads: int | None) -> ThreadPoolExecutor:
    """A thread for one device; what PyTorch computes in it on the CPU takes ``threads`` cores (None: as it
    likes)."""
    pool = ThreadPoolExecutor(1, name)
    if threads is not None:
        before = torch.get_num_threads()
        pool.submit(torch.set_num_threads, threads).result()
        torch.set_num_threads(before)  # or every later thread of the process would begin with fewer
    return pool


def cores_each(devices: Sequence[torch.device]) -> int | None:
    """Cores for each of several CPU "devices", so that they do not fight for them; None where there is no
    need."""
    on_cpu = sum(device.type == "cpu" for device in devices)
    return max(1, torch.get_num_threads() // on_cpu) if on_cpu > 1 else None
