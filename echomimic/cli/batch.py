"""``echomimic batch``: many videos from one list."""

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from echomimic.errors import SettingsError
from echomimic.progress import TITLES

if TYPE_CHECKING:
    from echomimic.batch.manifest import ManifestRow, Refusal
    from echomimic.batch.places import Folder
    from echomimic.batch.pool import Pool
    from echomimic.batch.run import State


@click.command()
@click.argument("manifest")
@click.option("-o", "--output", required=True, help="Folder or URL (s3://…) of the results.")
@click.option(
    "--name", default="{id}.mp4", show_default=True, help="Name of each video; {id} and {stem} are filled in."
)
@click.option("--set", "overrides", multiple=True, metavar="OPTION=VALUE", help="Set an option in every row.")
@click.option("--overwrite", is_flag=True, help="Render again what is there but was made differently.")
@click.option(
    "--ray", default="none", show_default=True, help="none: this process; local, auto or an address: Ray."
)
@click.option("--workers", default="", metavar="N or MIN-MAX", help="Ray actors; default: one per core.")
@click.option(
    "--gpus-per-job",
    type=float,
    default=-1,
    help="Share of a GPU per V1/V2 row; default 1 where there is one.",
)
@click.option(
    "--retries",
    type=click.IntRange(0, 100),
    default=2,
    show_default=True,
    help="New tries after a lost worker.",
)
@click.option(
    "--shard", default="1/1", show_default=True, metavar="I/N", help="Only every N-th row, from the I-th."
)
@click.option("--now", is_flag=True, help="Ctrl-C stops running rows at once instead of finishing them.")
@click.option("--check", is_flag=True, help="Only check the manifest.")
@click.option("--work", type=click.Path(path_type=Path), help="Local folder for what is fetched or uploaded.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one line of JSON.")
def batch(
    manifest: str, output: str, overrides: tuple[str, ...], shard: str, check: bool, **choices: Any
) -> None:
    """Make a video for every row of MANIFEST (.jsonl, .csv, .parquet, or - for standard input).

    Rows that are done are skipped, so the same command goes on after any interruption. Exit code 1 when a row
    failed.
    """
    from echomimic.batch import manifest as lists

    rows, refused = lists.read_manifest(manifest, _pairs(overrides), choices["name"])
    rows = lists.in_loading_order(lists.shard(rows, shard))
    if check:
        _print_refused(refused)
        click.echo(f"{manifest}: {len(rows)} rows can be rendered, {len(refused)} are wrong")
        sys.exit(1 if refused else 0)
    _print_refused(refused)
    part = "" if shard == "1/1" else f"-{shard.replace('/', '-of-')}"
    state, name = _run(manifest, rows, refused, output, part, choices)
    _print_report(state, f"{output}/{name}", choices)
    from echomimic.batch.run import succeeded

    sys.exit(130 if state.draining else 0 if succeeded(state) else 1)


def _pairs(overrides: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in overrides]
    wrong = next((name for name, sign, _ in pairs if not sign), None)
    if wrong is not None:
        raise SettingsError(f"--set {wrong} has no value; write --set OPTION=VALUE")
    return {name.strip().replace("-", "_"): value for name, _, value in pairs}


def _run(
    source: str,
    rows: "list[ManifestRow]",
    refused: "list[Refusal]",
    output: str,
    part: str,
    choices: Any,
) -> "tuple[State, str]":
    from echomimic.batch.keep import check_report, refuse_lost_inputs
    from echomimic.batch.places import Folder
    from echomimic.batch.run import alone_in, run_batch, write_report

    work = choices["work"] or _work_folder(output)
    folder, name = Folder(output, work / "out"), f"report{part}.json"
    folder.prepare()
    check_report(folder, name, source, choices["overwrite"])
    rows, further = refuse_lost_inputs(rows, folder, source)
    _print_refused(further)
    refused = [*refused, *further]
    with alone_in(folder, name):
        pool = _pool(folder, work, choices)
        try:
            with Board(choices["quiet"] or choices["as_json"]) as show:
                state = run_batch(
                    rows, refused, pool, retries=choices["retries"], now=choices["now"], show=show
                )
        finally:
            pool.close()
        write_report(state, folder, name)
    return state, name


def _work_folder(output: str) -> Path:
    import hashlib
    import os

    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache) / "echomimic" / "batch" / hashlib.sha256(output.encode()).hexdigest()[:16]


def _pool(folder: "Folder", work: Path, choices: Any) -> "Pool":
    from echomimic.batch.pool import LocalPool
    from echomimic.batch.work import BatchWork

    if choices["ray"] == "none":
        return LocalPool(BatchWork(folder, work / "in", choices["overwrite"]))
    from echomimic.batch.ray_pool import RayPool

    place = folder.place if folder.remote else str(Path(folder.place).absolute())
    make = (place, str(work / "out"), str(work / "in"), choices["overwrite"])
    return RayPool(choices["ray"], make, _workers(choices["workers"]), choices["gpus_per_job"])


def _workers(text: str) -> tuple[int, int]:
    import os

    if not text:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return cores, cores
    found = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text)
    low, high = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= low <= high:
        raise SettingsError(f"--workers {text!r} is not N or MIN-MAX; give for example 4 or 1-8")
    return low, high


class Board:
    """Rows done, running rows with their stage, rate and time left; plain lines where no terminal is."""

    def __init__(self, quiet: bool) -> None:
        self._quiet, self._said = quiet, 0
        self._live: Any = None

    def __enter__(self) -> "Board":
        if not self._quiet and sys.stderr is not None and sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), transient=True, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, state: "State") -> None:
        """Shows where the batch stands."""
        if self._quiet:
            return
        head = _headline(state)
        if self._live is not None:
            rows = [
                f"  {name}: {TITLES[p.stage]} {p.done}/{p.total}" for name, p in sorted(state.stages.items())
            ]
            self._live.update("\n".join((head, *rows)), refresh=True)
        elif len(state.outcomes) != self._said:
            self._said = len(state.outcomes)
            click.echo(head, err=True)


def _headline(state: "State") -> str:
    import time

    bad = sum(o.state not in ("done", "skipped") for o in state.outcomes)
    gone = time.monotonic() - state.began
    made = sum(o.state == "done" for o in state.outcomes)
    rate = f", {made / gone * 60:.1f} a minute" if made and gone > 1 else ""
    left = f", {_clock(state.left)} left" if state.left is not None else ""
    last = "; finishing the running rows, Ctrl-C again stops them" if state.draining else ""
    return f"{len(state.outcomes)} of {state.total} rows, {bad} not rendered{rate}{left}{last}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _print_refused(refused: "list[Refusal]") -> None:
    for row in refused:
        click.secho(f"line {row.line}{f' ({row.id})' if row.id else ''}: {row.reason}", fg="red", err=True)


def _print_report(state: "State", place: str, choices: Any) -> None:
    from echomimic.batch.run import report_of

    if choices["as_json"]:
        click.echo(json.dumps(report_of(state)))
        return
    for outcome in state.outcomes:
        if outcome.state not in ("done", "skipped") and outcome.kind != "ManifestError":
            reason = f": {outcome.reason}" if outcome.reason else ""
            click.secho(f"line {outcome.line} ({outcome.id}) {outcome.state}{reason}", fg="red", err=True)
    if not choices["quiet"]:
        counts = report_of(state)["counts"]
        told = ", ".join(f"{n} {what}" for what, n in counts.items()) if isinstance(counts, dict) else ""
        click.echo(f"{told}; report: {place}")
