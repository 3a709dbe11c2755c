"""Which devices there are for a lane, each with a worker of its own."""

import functools
import shutil
import subprocess

LIST = ("nvidia-smi", "--query-gpu=index", "--format=csv,noheader")


def devices(lane: str) -> dict[str, dict[str, str]]:
    """Names of the workers of a lane, each with the environment that shows it only its device."""
    if lane != "diffusion":
        return {lane: {}}
    gpus = _gpus()
    return (
        {f"cuda:{index}": {"CUDA_VISIBLE_DEVICES": index} for index in gpus} if len(gpus) > 1 else {lane: {}}
    )


@functools.cache
def _gpus() -> tuple[str, ...]:
    """Indices of NVIDIA's devices, asked without loading torch into the server."""
    if shutil.which(LIST[0]) is None:
        return ()
    try:
        told = subprocess.run(LIST, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in told.splitlines() if line.strip().isdigit())
