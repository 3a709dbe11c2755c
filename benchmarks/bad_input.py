"""Bad input over every command, by the thousand: each has to end in one line that names a remedy, and change
nothing.

``python -m benchmarks.bad_input --count 1500 --results bad.jsonl`` goes on where an earlier run stopped.
Seeded and in one process. Counts tracebacks, faults in this program, hangs, leftovers, lost inputs and
messages without a remedy.
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import random
import re
import shutil
import signal
import tempfile
import time
import traceback
import warnings
import wave
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import bad_nodes
from benchmarks.spoilt import SPOIL, odd_motion

HANGS = 30
"""Seconds after which a command counts as hanging."""

_VERBS = (
    "add|allow|ask|change|check|choose|close|connect|convert|copy|cut|describe|download|export|free|get|give|go|install|"
    "leave|load|log|lower|make|move|name|put|pip|quote|raise|read|refit|reinstall|remove|rename|render|resample|run|save|scale|see|select|send|set|trim|try|turn|"
    "unset|update|upload|use|wait|write"
)
REMEDY = re.compile(
    rf"(?:[;:,(] ?|\band |\bor |\bthen |^(?:error: )?)(?:please |either |first |`)?(?:{_VERBS})\b"
)
"""A message tells what to do: an imperative after a pause."""

NUMBERS: Sequence[str] = (
    "nan", "inf", "-inf", "1e308", "-1", "0", "0.5", "1e-9", "9" * 400, "", "x", "0x10", "1,5", "-0.0",
    "1e999", "½",
)  # fmt: skip
_FLAGS_WITH_NUMBERS = {
    "animate": [
        *(
            "--face",
            "--seed",
            "--expressiveness",
            "--head-motion",
            "--blink-rate",
            "--gaze",
            "--fps",
            "--length",
        ),
        *("--width", "--height", "--size", "--cfg", "--steps", "--sample-rate", "--facemask-ratio"),
        *("--facecrop-ratio", "--context-frames", "--context-overlap", "--label-seconds", "--label-size"),
    ],
    "extract": ["--face"],
    "speak": ["--gestures", "--seed", "--fps", "--expressiveness", "--head-motion", "--blink-rate", "--gaze"],
    "edit": [
        "--fps",
        "--start",
        "--stop",
        "--smooth",
        "--length",
        "--mouth",
        "--brows",
        "--eyes",
        "--head",
        "--hands",
    ],
}
_WORDS = {
    "--model": ("v9", "", "V1", "preview\n"),
    "--crop": ("tail", ""),
    "--lips": ("nobody",),
    "--driver": ("nothing", "", "Auto", "auto ", "."),
    "--scheduler": ("", "ddim2", "../x"),
}


class Material:
    """Sound inputs, made once."""

    def __init__(self, folder: Path) -> None:
        from echomimic.cli.demo import EXAMPLE

        self.portrait = folder / "portrait.jpg"
        shutil.copyfile(EXAMPLE / "portrait.jpg", self.portrait)
        self.speech, self.motion, self.film = (
            folder / "speech.wav",
            folder / "motion.npz",
            folder / "film.mp4",
        )
        with wave.open(str(self.speech), "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            tone = np.sin(np.arange(6400) * 0.1) * np.sin(np.arange(6400) * 0.002) * 9000
            file.writeframes(tone.astype(np.int16).tobytes())
        run(["motion", "speak", str(self.speech), "-o", str(self.motion), "-q"])
        run(["animate", str(self.portrait), str(self.speech), "-o", str(self.film), "--size", "128", "-q"])
        self.every = (self.portrait, self.speech, self.motion, self.film)


def run(arguments: Sequence[str]) -> tuple[int | str, str]:
    """Exit code (or what escaped) and standard error of one command in this process."""
    from echomimic.cli import main

    said, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(told), warnings.catch_warnings():
        warnings.simplefilter("always")
        try:
            main(list(arguments))
            return 0, said.getvalue()
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else 0, said.getvalue()
        except BaseException as escaped:
            return "".join(traceback.format_exception_only(escaped)).strip(), said.getvalue()


class Hang(BaseException):
    """A command took too long."""


def _alarm(*_: object) -> None:
    raise Hang


def command(number: int, folder: Path, good: Material, doors: bool = False) -> list[str]:
    """The arguments of case ``number``; what it needs is made in ``folder``."""
    rng = random.Random(f"bad input {number}")
    kind = rng.choice(
        ("file", "file", "file", "file", "number", "number", "word", "output", "output", "motion")
    )
    kind = rng.choice(("door", "python")) if doors else kind
    name = rng.choice(sorted(_COMMANDS))
    return list(_MAKERS[kind](name, rng, folder, good))


def _base(name: str, folder: Path, good: Material, swap: dict[str, Path] | None = None) -> list[str]:
    """A command that would work, with some of its files exchanged."""
    files = {"portrait": good.portrait, "speech": good.speech, "motion": good.motion, "film": good.film} | (
        swap or {}
    )
    files = {"out": folder / f"out{_ENDINGS.get(name, '.npz')}"} | files
    return [
        str(files.get(word[1:], word)) if word.startswith("@") else word for word in _COMMANDS[name].split()
    ]


_COMMANDS = {
    "animate": "animate @portrait @speech -o @out --size 64 --length 2 -q",
    "driven": "animate @portrait @speech -o @out --driver @motion --size 64 --length 2 -q",
    "filmed": "animate @portrait @film -o @out --driver @film --size 64 --length 2 -q",
    "demo": "demo -o @out --size 64 --length 2 -q",
    "extract": "motion extract @film -o @out -q",
    "speak": "motion speak @speech -o @out --portrait @portrait -q",
    "sync": "motion sync @motion -o @out --portrait @portrait -q",
    "edit": "motion edit @motion -o @out -q",
    "lips": "motion edit @motion -o @out --lips-from @motion -q",
    "show": "motion show @motion --png @out --portrait @portrait -q",
    "info": "motion info @motion",
    "check": "weights check @motion",
    "convert": "weights convert @motion -o @out",
    "list": "weights list --weights @motion",
    "evaluate": "evaluate @film --portrait @portrait --speech @speech -q",
    "v1": "animate @portrait @speech -o @out --model v1 --weights @motion -q",
}
_ENDINGS = {
    "animate": ".mp4",
    "driven": ".mp4",
    "filmed": ".mp4",
    "demo": ".mp4",
    "show": ".png",
    "v1": ".mp4",
}


def _file(name: str, rng: random.Random, folder: Path, good: Material) -> list[str]:
    """One of the files is spoilt, or of another sort."""
    named = [word[1:] for word in _COMMANDS[name].split() if word.startswith("@") and word != "@out"]
    if not named:
        return _number("animate", rng, folder, good)
    which = rng.choice(named)
    sound = getattr(good, which)
    kind = rng.choice([*SPOIL, "foreign"])
    spoilt = rng.choice(good.every) if kind == "foreign" else SPOIL[kind](folder, rng, sound)
    return _base(name, folder, good, {which: spoilt})


def _number(name: str, rng: random.Random, folder: Path, good: Material) -> list[str]:
    name = rng.choice(sorted(_FLAGS_WITH_NUMBERS))
    flag = rng.choice(_FLAGS_WITH_NUMBERS[name])
    base = _base(name, folder, good)
    if flag == "--length" and name == "animate":
        base = [word for word in base if word not in ("--length", "2")]
    if flag in ("--size", "--width", "--height"):
        base = [word for word in base if word not in ("--size", "64")]
    return [*base, flag, rng.choice(NUMBERS)]


def _word(name: str, rng: random.Random, folder: Path, good: Material) -> list[str]:
    flag = rng.choice(sorted(_WORDS))
    return [*_base("animate", folder, good), flag, rng.choice(_WORDS[flag])]


_DOOR_COMMANDS = {
    "batch": "batch @rows -o @out -q",
    "checked": "batch @rows -o @out --check -q",
    "verify": "provenance verify @film",
    "marks": "provenance show @film",
    "signed": "provenance verify @film --root @portrait",
    "live": "live @portrait",
    "studio": "studio --folder @out",
}
_ROWS: Sequence[str] = (
    "", "{broken", "[1, 2]", "null", "7", '"x"', "{}", "[" * 50_000, '{"id": "\\u0000"}', "\0", "\ufeff{}",
    "id,portrait,speech\n1",
    '{"id": ["a"], "portrait": {}, "speech": 3}', '{"id": "../../x"}',
    '{"speech": "s.wav", "portrait": null}',
    '{"stepz": 1e999}'
)  # fmt: skip
_COLUMNS = (
    "seed",
    "fps",
    "length",
    "width",
    "size",
    "model",
    "driver",
    "face",
    "output",
    "id",
    "label",
    "cfg",
    "sign",
)
_VALUES: Sequence[object] = (
    *("", "x", "nan", "../x", "/etc/passwd", "a\0b", "a\nb", "\ud800", "9" * 300, "auto"),
    *(-1, 1e308, float("nan"), float("inf"), 10**30, None, True, [], {}, [1], 0.5, 99),
)


def _door(name: str, rng: random.Random, folder: Path, good: Material) -> list[str]:
    """The doors beside the classic commands: lists of jobs, provenance,
    and what the servers are started with."""
    name = rng.choice(("batch", "batch", "batch", "checked", "verify", "marks", "signed", "live", "studio"))
    if name in ("live", "studio"):
        flag = rng.choice(("--port", "--host", "--fps", "--size", "--workers", "--no-such"))
        # never a port that would do: a server that starts runs on
        ends = ["--port", rng.choice(("-1", "70000", "x", "")), flag, rng.choice(NUMBERS)]
        return [_DOOR_COMMANDS[name].split()[0], *([str(good.portrait)] if name == "live" else []), *ends]
    words = [
        word.removeprefix("@") if word.startswith("@") else word for word in _DOOR_COMMANDS[name].split()
    ]
    spoil = SPOIL[rng.choice(list(SPOIL))]
    made = {
        "rows": _rows(rng, folder, good),
        "out": folder / "out",
        "portrait": good.portrait,
        "film": good.film,
    }
    if name in ("verify", "marks", "signed"):
        made["film"] = spoil(folder, rng, rng.choice(good.every))
    return [str(made[word]) if f"@{word}" in _DOOR_COMMANDS[name].split() else word for word in words]


def _rows(rng: random.Random, folder: Path, good: Material) -> Path:
    """A list of jobs in which at least one thing is wrong."""
    if rng.random() < 0.3:
        return SPOIL[rng.choice(list(SPOIL))](folder, rng, good.motion)
    path = folder / f"rows{rng.choice(('.jsonl', '.csv', '.tsv', '.parquet', '.json', ''))}"
    row = {"portrait": str(good.portrait), "speech": str(good.speech), "size": 64, "length": 2}
    bad = row | {rng.choice((*_COLUMNS, *row)): rng.choice(_VALUES)}
    lines = [json.dumps(bad), rng.choice((*_ROWS, json.dumps(bad)))]
    path.write_text("\n".join(lines), "utf-8", errors="surrogatepass")
    return path


def _python(name: str, rng: random.Random, folder: Path, good: Material) -> list[str]:
    """Options of :func:`echomimic.animate` itself, of any type: its name and the number of its value."""
    from echomimic.keywords import Options

    option = rng.choice(sorted(Options.__annotations__))
    return [
        "python",
        str(good.portrait),
        str(good.speech),
        str(folder / "o.mp4"),
        option,
        str(rng.randrange(len(_VALUES))),
    ]


def call(arguments: Sequence[str]) -> tuple[int | str, str]:
    """As :func:`run`, through Python: an error of ours is code 2 and its line."""
    import echomimic

    portrait, speech, output, option, which = arguments[1:]
    options: Any = {"size": 64, "length": 2} | {option: _VALUES[int(which)]}
    if option in ("width", "height"):
        del options["size"]
    try:
        echomimic.animate(portrait, speech, output, **options)
        return 0, ""
    except echomimic.EchoMimicError as error:
        return 2, str(error)
    except BaseException as escaped:
        return "".join(traceback.format_exception_only(escaped)).strip(), ""


def _output(name: str, rng: random.Random, folder: Path, good: Material) -> list[str]:
    """The output is a place that must not, or cannot, be written."""
    name = rng.choice(("animate", "filmed", "extract", "edit", "show", "speak", "sync", "convert"))
    ending = _ENDINGS.get(name, ".npz")
    own = [
        getattr(good, word[1:]) for word in _COMMANDS[name].split() if word.startswith("@") and word != "@out"
    ]
    link = folder / f"link{ending}"
    link.symlink_to(rng.choice([*own, Path("nowhere"), Path(link.name)]))
    hard = folder / f"hard{ending}"
    os.link(rng.choice(own), hard)
    places = [
        *own,
        link,
        hard,
        good.portrait.parent,
        Path("/dev/null"),
        Path("/dev/full"),
        Path("/proc/x.mp4"),
        Path("/"),
    ]
    places += [
        folder / f"no/such{ending}",
        folder / ("n" * rng.randrange(240, 301) + ending),
        folder,
        Path("."),
        Path(""),
    ]
    places += [
        folder / f"a\nb{ending}" / "x",
        folder / f".{ending}",
        folder / f"o{ending}.",
        folder / f"x{ending}/y{ending}",
    ]
    places += [good.portrait.parent / ".." / good.portrait.parent.name / p.name for p in own]
    base = _base(name, folder, good, {"out": rng.choice(places)})
    return [*base, "--overwrite"] if rng.random() < 0.7 else base


def _motion(name: str, rng: random.Random, folder: Path, good: Material) -> list[str]:
    np.savez_compressed(folder / "odd.npz", **odd_motion(rng))  # type: ignore[arg-type]
    name = rng.choice(("driven", "sync", "edit", "lips", "show", "info"))
    base = _base(name, folder, good, {"motion": folder / "odd.npz"})
    extra = rng.choice(
        ([], ["--mirror"], ["--mouth", "0.5"], ["--head", "0"], ["--fps", "30"], ["--smooth", "0.1"])
    )
    return [*base, *(extra if name == "edit" else [])]


_MAKERS: dict[str, Any] = {
    "file": _file,
    "number": _number,
    "word": _word,
    "output": _output,
    "motion": _motion,
    "door": _door,
    "python": _python,
}


def _state(folder: Path) -> dict[str, str]:
    return {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir()) if p.is_file()
    }


def judge(code: int | str, said: str, before: set[str], folder: Path, kept: bool) -> list[str]:
    """What is wrong with how a command ended."""
    wrong = []
    if not isinstance(code, int):
        wrong.append("hang" if "Hang" in code else "traceback")
    if "Traceback" in said or "Warning:" in said:
        wrong.append("traceback")
    if "fault in this program" in said:
        wrong.append("fault")
    hidden = [
        p.name for p in folder.iterdir() if p.name not in before and (p.name.startswith(".") or code != 0)
    ]
    if hidden and code not in (0, 1):
        wrong.append("leftover")
    if not kept:
        wrong.append("lost input")
    lines = [line for line in said.strip().splitlines() if line]
    if code == 2 and (not lines or len(lines) > 1 + sum(x.startswith("note") for x in lines)):
        wrong.append("not one line")
    if code == 2 and lines and not REMEDY.search(lines[-1]):
        wrong.append("no remedy")
    return wrong


def case(number: int, good: Material, doors: bool = False) -> dict[str, Any]:
    """Runs one case."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arguments = command(number, folder, good, doors)
        before, inputs = {p.name for p in folder.iterdir()}, _state(good.portrait.parent)
        signal.signal(signal.SIGALRM, _alarm)
        signal.alarm(HANGS)
        began = time.monotonic()
        try:
            code, said = (call if arguments[0] == "python" else run)(arguments)
        except Hang:
            code, said = "Hang", ""
        finally:
            signal.alarm(0)
        kept = _state(good.portrait.parent) == inputs
        wrong = judge(code, said, before, folder, kept)
    return {"case": number, "arguments": arguments, "code": code, "said": said[-600:], "wrong": wrong,
            "seconds": round(time.monotonic() - began, 2)}  # fmt: skip


def node_case(number: int, door: bad_nodes.Door) -> dict[str, Any]:
    """Runs one case through the nodes."""
    signal.signal(signal.SIGALRM, _alarm)
    signal.alarm(HANGS)
    began = time.monotonic()
    try:
        row = bad_nodes.case(number, door)
    except Hang:
        row = {"case": number, "arguments": [], "code": "Hang", "said": "", "wrong": ["hang"]}
    finally:
        signal.alarm(0)
    return row | {"seconds": round(time.monotonic() - began, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1500)
    parser.add_argument("--results", type=Path, default=Path("bad_input.jsonl"))
    parser.add_argument("--doors", action="store_true", help="batch, provenance, servers and Python instead")
    parser.add_argument("--nodes", action="store_true", help="the ComfyUI nodes instead, on a stand-in")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so long; the next run goes on")
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    done = (
        [json.loads(line) for line in options.results.read_text().splitlines()]
        if options.results.exists()
        else []
    )
    left = sorted(set(range(options.count)) - {row["case"] for row in done})
    until = time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory() as folder, options.results.open("a") as file:
        good = Material(Path(folder))
        nodes = bad_nodes.Door(Path(folder), *good.every) if options.nodes else None
        for number in left:
            if time.monotonic() > until:
                break
            row = node_case(number, nodes) if nodes else case(number, good, options.doors)
            done.append(row)
            file.write(json.dumps(row) + "\n")
            file.flush()
    ended = Counter(str(row["code"]) for row in done)
    wrong = Counter(kind for row in done for kind in row["wrong"])
    print(
        f"{len(done)} of {options.count} cases; exit codes {dict(ended)}; wrong: {dict(wrong) or 'nothing'}"
    )
    for row in done:
        if row["wrong"]:
            print(row["case"], row["wrong"], row["code"], row["arguments"], row["said"].strip()[-300:])


if __name__ == "__main__":
    main()
