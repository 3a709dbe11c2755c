"""Several processes make one video: the numbers of one process, one line for an error, one who writes."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from echomimic.diffusion.crew import Crew
from echomimic.diffusion.exchange import SharedCrew
from echomimic.diffusion.loop import denoise
from echomimic.diffusion.schedule import Sampler
from echomimic.diffusion.windows import WindowPlan, WindowsFunction, open_windows, uniform_windows
from echomimic.errors import SettingsError
from echomimic.flow import animate, run_together
from echomimic.ranks import Ranks, ranks_of_process
from echomimic.request import Request, Settings

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "echomimic" / "example"


class Threads:
    """The exchange of one rank, when the ranks are threads of this process."""

    def __init__(self, rank: int, board: list[Any], meeting: threading.Barrier) -> None:
        self.rank, self.count, self._board, self._meeting = rank, len(board), board, meeting

    def gather(self, own: Tensor) -> list[Tensor]:
        self._board[self.rank] = own
        self._meeting.wait(20)
        found = [*self._board]
        self._meeting.wait(20)
        return found


def predict(window: Tensor, step: int, numbers: Sequence[int]) -> Tensor:
    return (window.cumsum(0) * 0.3).tanh() * (1 + 0.01 * numbers[0]) + step / 1000


def last(frames: int, windows: WindowsFunction, crew: Crew) -> Tensor:
    start = torch.randn(frames, 4, 2, 2, generator=torch.Generator().manual_seed(1))
    plan = WindowPlan(frames, 12, 7)
    *_, state = denoise(start, Sampler("ddim", 3), crew, lambda step: windows(plan, step))
    return state.latents


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("frames", [5, 31, 60])
@pytest.mark.parametrize("windows", [uniform_windows, open_windows])
def test_every_rank_has_the_latents_of_one(frames: int, windows: WindowsFunction, count: int) -> None:
    found: dict[int, Tensor] = {}
    board, meeting = [None] * count, threading.Barrier(count)

    def rank(number: int) -> None:
        with SharedCrew([predict] * (1 + number % 2), Threads(number, board, meeting)) as crew:  # type: ignore[arg-type]
            found[number] = last(frames, windows, crew)

    ranks = [threading.Thread(target=rank, args=(number,)) for number in range(count)]
    for thread in ranks:
        thread.start()
    for thread in ranks:
        thread.join(30)
    with Crew([predict]) as crew:
        one = last(frames, windows, crew)
    assert all(torch.equal(found[number], one) for number in range(count))


def test_ranks_are_what_torchrun_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ranks_of_process() == Ranks(0, 1, 0)
    for name, text in {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "MASTER_ADDR": "here"}.items():
        monkeypatch.setenv(name, text)
    assert ranks_of_process() == Ranks(3, 8, 1)
    monkeypatch.setenv("RANK", "x")
    assert ranks_of_process() == Ranks(0, 1, 0)


def test_the_preview_is_not_shared() -> None:
    request = Request(EXAMPLE / "portrait.jpg", EXAMPLE / "speech.flac", Path("out.mp4"))
    with pytest.raises(SettingsError, match="rendered by one process; start it without torchrun"):
        run_together(request, Settings(), lambda _: None, Ranks(0, 2))


def started(rank: int, count: int, port: int, *arguments: object) -> "subprocess.Popen[str]":
    """A process of ``echomimic animate`` as torchrun starts it."""
    ranks = {"RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": rank, "MASTER_PORT": port}
    environment = {**os.environ, **{k: str(v) for k, v in ranks.items()}, "MASTER_ADDR": "127.0.0.1"}
    command = [sys.executable, "-m", "echomimic", "animate", *map(str, arguments)]
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def together(*given: Sequence[object]) -> list[tuple[int, str, str]]:
    """(exit code, output, errors) of one process per list of arguments."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    going = [started(rank, len(given), port, *arguments) for rank, arguments in enumerate(given)]
    told = [process.communicate(timeout=240) for process in going]
    return [(process.returncode, *words) for process, words in zip(going, told, strict=True)]


@pytest.mark.slow
def test_two_processes_make_the_video_of_one_and_one_line_of_an_error(
    weights: Callable[[str], Path], tmp_path: Path
) -> None:
    files: list[object] = [EXAMPLE / "portrait.jpg", EXAMPLE / "speech.flac", "--weights", weights("v1")]
    small = [
        "--width",
        128,
        "--height",
        128,
        "--length",
        6,
        "--steps",
        2,
        "--device",
        "cpu",
        "--dtype",
        "fp32",
    ]
    windows = ["--context-frames", 4, "--context-overlap", 1, "--model", "v1-acc"]
    arguments = [*files, *small, *windows, "-o"]
    two, one = tmp_path / "two.mp4", tmp_path / "one.mp4"
    (code, said, noted), (helper, *silent) = together([*arguments, two], [*arguments, two])
    assert (code, helper, silent) == (0, 0, ["", ""]), noted
    assert "two.mp4: 6 frames" in said
    animate(
        EXAMPLE / "portrait.jpg",
        EXAMPLE / "speech.flac",
        one,
        weights=weights("v1"),
        model="v1-acc",
        width=128,
        height=128,
        length=6,
        steps=2,
        device="cpu",
        dtype="fp32",
        context_frames=4,
        context_overlap=1,
    )
    assert two.read_bytes() == one.read_bytes()
    other = [*arguments, tmp_path / "3.mp4"]
    (code, _, noted), (helper, *silent) = together(other, [*other, "--seed", 5])
    assert (code, helper, silent) == (2, 2, ["", ""])
    error = "error: process 1 (this is 0): another seed than process 0 has; give all of them the same files,"
    assert next(line for line in noted.splitlines() if line.startswith("error")).startswith(error)
    assert not (tmp_path / "3.mp4").exists()
