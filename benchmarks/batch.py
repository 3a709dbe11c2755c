"""Batches, measured: a list with bad rows, 10,000 rows, killed drivers, two actors, a lost node, S3.

python -m benchmarks.batch [mixed check kills speed node s3]   (default: all; needs extra `batch`, and moto)
"""

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from echomimic.media.audio import RATE, Speech

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "echomimic" / "example"
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))}


def echomimic(*arguments: object, held: Callable[[], None] | None = None) -> tuple[int, float]:
    """(exit code, seconds) of a command; ``held`` is called in its process before it begins."""
    began = time.monotonic()
    command = [sys.executable, "-m", "echomimic", *map(str, arguments)]
    done = subprocess.run(command, env=ENVIRONMENT, cwd=ROOT, capture_output=True, preexec_fn=held)
    if done.returncode not in (0, 1):
        print(done.stderr.decode()[-500:])
    return done.returncode, time.monotonic() - began


def write(folder: Path, rows: list[dict[str, object] | str]) -> Path:
    """A manifest with ``rows``."""
    path = folder / "jobs.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return path


def speech(folder: Path, seconds: float) -> str:
    """A WAV of the example's speech, repeated to ``seconds``."""
    import wave

    import numpy as np

    heard = Speech.open(EXAMPLE / "speech.flac")
    samples = np.resize(heard.read(0, heard.samples), round(seconds * RATE))
    with wave.open(str(folder / f"{seconds:g}.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((samples * 32767).astype(np.int16).tobytes())
    return f"{seconds:g}.wav"


def good(folder: Path, count: int, seconds: float = 0.6, size: int = 128) -> list[dict[str, object] | str]:
    """Rows that differ in their seed."""
    sound, portrait = speech(folder, seconds), str(EXAMPLE / "portrait.jpg")
    return [
        {"id": f"r{i:03}", "portrait": portrait, "speech": sound, "seed": i, "size": size}
        for i in range(count)
    ]


def states(out: Path) -> dict[str, int]:
    """How many rows ended how, from the report."""
    counts: dict[str, int] = json.loads((out / "report.json").read_text())["counts"]
    return counts


def mixed(folder: Path) -> None:
    """24 rows, six of them bad in six ways; then again; then each good row by itself."""
    (folder / "noise.png").write_bytes(b"no picture")
    rows = good(folder, 18)
    first = rows[0] if isinstance(rows[0], dict) else {}
    bad: list[dict[str, object] | str] = [
        {**first, "id": "b1", "portrait": "missing.jpg"},
        {**first, "id": "b2", "portrait": "noise.png"},
        {**first, "id": "b3", "seed": -1},
        {**first, "id": "b4", "stepz": 1},
        {**first, "id": "r001"},
        "{broken",
    ]
    for i, row in enumerate(bad):
        rows.insert(4 * i + 2, row)
    path, out = write(folder, rows), folder / "out"
    code, took = echomimic("batch", path, "-o", out, "-q")
    print(f"mixed: exit {code}, {states(out)}, {took:.1f} s")
    code, took = echomimic("batch", path, "-o", out, "-q")
    print(f"mixed, again: exit {code}, {states(out)}, {took:.1f} s")
    equal = 0
    for row in good(folder, 18):
        assert isinstance(row, dict)
        one = folder / "one.mp4"
        options = ("--size", row["size"], "--seed", row["seed"], "-q", "--overwrite")
        echomimic("animate", row["portrait"], folder / str(row["speech"]), "-o", one, *options)
        equal += one.read_bytes() == (out / f"{row['id']}.mp4").read_bytes()
    print(f"mixed: {equal} of 18 videos are the bytes of a single run")


def check(folder: Path) -> None:
    """Ten thousand rows, only checked."""
    path = write(folder, good(folder, 10_000))
    code, took = echomimic("batch", path, "-o", folder / "out", "--check")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"check: 10,000 rows, exit {code}, {took:.1f} s, peak {peak:.0f} MiB")


def kills(folder: Path) -> None:
    """The driver killed at ten random moments, then run to its end."""
    path, out, dice = write(folder, good(folder, 8, 1.2)), folder / "out", random.Random(1)
    command = [sys.executable, "-m", "echomimic", "batch", str(path), "-o", str(out), "-q"]
    for _ in range(10):
        going = subprocess.Popen(command, env=ENVIRONMENT, cwd=ROOT)
        time.sleep(0.5 + 6.0 * dice.random())
        going.send_signal(signal.SIGKILL)
        going.wait()
    made = sum(1 for _ in out.glob("r*.json"))
    code, _ = echomimic("batch", path, "-o", out, "-q")
    echomimic("batch", path, "-o", folder / "whole", "-q")
    equal = sum(p.read_bytes() == (out / p.name).read_bytes() for p in (folder / "whole").glob("*.mp4"))
    rest = sorted(p.name for p in out.iterdir() if p.suffix not in (".mp4", ".json"))
    print(
        f"kills: {made} of 8 rows done after ten kills; exit {code}, {states(out)}; {equal} equal; "
        f"left: {rest}"
    )


def one_core() -> None:
    """Holds this process and its children to one of the cores it has."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])


def speed(folder: Path, clips: int = 16) -> None:
    """Clips of ten seconds by one process (whose threads use several cores), by one held to one core, by two
    actors."""
    path, two = write(folder, good(folder, clips, 10.0, 512)), ("--ray", "local", "--workers", 2)
    took: dict[str, float] = {}
    ways: list[tuple[str, tuple[object, ...], Callable[[], None] | None]] = [
        ("one process", (), None), ("one process on one core", (), one_core), ("two actors", two, None)
    ]  # fmt: skip
    for name, options, held in ways:
        used = _cpu_seconds()
        _, took[name] = echomimic("batch", path, "-o", folder / name, "-q", *options, held=held)
        print(f"speed: {name} {took[name]:.1f} s ({_cpu_seconds() - used:.1f} of CPU)", flush=True)
    first, *others = (sorted((folder / name).glob("*.mp4")) for name, _, _ in ways)
    equal = sum(
        all(p.read_bytes() == q.read_bytes() for q in row) for p, *row in zip(first, *others, strict=True)
    )
    alone, held_back, actors = took.values()
    print(f"speed: two actors are {alone / actors:.2f} times one process, {held_back / actors:.2f} times one "
          f"on one core; {equal} of {clips} equal")  # fmt: skip


def _cpu_seconds() -> float:
    """Of all children that ended; Ray's own servers, which leave their parents, are not among them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def node(folder: Path) -> None:
    """A cluster of two nodes that loses one of them."""
    from ray.cluster_utils import Cluster

    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT)}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = cluster.add_node(num_cpus=1)
    path, out = write(folder, good(folder, 6, 3.0)), folder / "out"
    options = ("--ray", cluster.address, "--workers", "2", "-q")
    command = [sys.executable, "-m", "echomimic", "batch", str(path), "-o", str(out), *options]
    going = subprocess.Popen(command, env=ENVIRONMENT, cwd=ROOT)
    while len(list(out.glob("r*.json"))) < 2 and going.poll() is None:
        time.sleep(0.05)
    cluster.remove_node(second, allow_graceful=False)
    code = going.wait(timeout=300)
    tries = [row["attempts"] for row in json.loads((out / "report.json").read_text())["rows"]]
    print(f"node: exit {code}, {states(out)}, tries {tries}")
    cluster.shutdown()  # type: ignore[no-untyped-call, unused-ignore]


def s3(folder: Path) -> None:
    """In and out of an object store on this machine (moto)."""
    import fsspec
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=5557)
    server.start()
    os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ["AWS_ENDPOINT_URL"] = ENVIRONMENT["AWS_ENDPOINT_URL"] = "http://127.0.0.1:5557"
    ENVIRONMENT.update({k: v for k, v in os.environ.items() if k.startswith("AWS")})
    store = fsspec.filesystem("s3")
    store.mkdir("films")
    near = good(folder, 2)
    store.put(str(EXAMPLE / "portrait.jpg"), "films/in/p.jpg")
    store.put(str(folder / "0.6.wav"), "films/in/s.wav")
    echomimic("batch", write(folder, near), "-o", folder / "near", "-q")
    far = [
        {**row, "portrait": "s3://films/in/p.jpg", "speech": "s3://films/in/s.wav"}
        for row in near
        if isinstance(row, dict)
    ]
    code, _ = echomimic(
        "batch", write(folder, [*far]), "-o", "s3://films/out", "--work", folder / "work", "-q"
    )
    equal = sum(
        store.cat_file(f"films/out/{p.name}") == p.read_bytes() for p in (folder / "near").glob("*.mp4")
    )
    print(f"s3: exit {code}, {equal} of 2 equal, in the store: {sorted(store.ls('films/out'))}")
    server.stop()


PARTS: dict[str, Callable[[Path], None]] = {
    "mixed": mixed, "check": check, "kills": kills, "speed": speed, "node": node, "s3": s3
}  # fmt: skip


def main() -> None:
    """Runs the parts that were asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=list(PARTS))
    for part in parser.parse_args().parts:
        with tempfile.TemporaryDirectory() as folder:
            PARTS[part](Path(folder))


if __name__ == "__main__":
    main()
