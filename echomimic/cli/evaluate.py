"""``echomimic evaluate``: how good a video is, in one table; many videos; two sets beside each other."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from echomimic.cli.progress import TerminalBar

if TYPE_CHECKING:
    from echomimic.evaluate.batch import BatchItem, VideoRow
    from echomimic.evaluate.compare import Difference
    from echomimic.evaluate.require import Requirement
    from echomimic.evaluate.result import Evaluation
    from echomimic.evaluate.run import OwnNets

_FILE = click.Path(path_type=Path)
_NETS = ("syncnet", "fid", "fvd", "csim", "lpips")
COLOURS = {"good": "green", "poor": "red", "": ""}


@click.command()
@click.argument("video", type=_FILE, required=False)
@click.option("--speech", type=_FILE, help="What is said in it. [default: the video's own sound]")
@click.option("--portrait", type=_FILE, help="The picture that it was made from.")
@click.option("--reference", type=_FILE, help="The video that it ought to equal.")
@click.option(
    "--compare", type=_FILE, nargs=2, metavar="A B", help="Two folders, manifests or videos instead of VIDEO."
)
@click.option(
    "--require", multiple=True, metavar="RULE", help='Such as "lag<=45"; exit code 1 when a video breaks it.'
)
@click.option("--html", type=_FILE, help="Write the report to this one file.")
@click.option("--sheet", type=_FILE, help="Write the worst moments to this picture (.png, .jpg).")
@click.option("--csv", "table", type=_FILE, help="Write every figure to this file.")
@click.option(
    "--syncnet", type=_FILE, metavar="NET", help="Your SyncNet (ONNX or TorchScript), for Sync-C and Sync-D."
)
@click.option("--fid", type=_FILE, metavar="NET", help="Your Inception net, for FID against --reference.")
@click.option("--fvd", type=_FILE, metavar="NET", help="Your video net, for FVD against --reference.")
@click.option("--csim", type=_FILE, metavar="NET", help="Your face net, for CSIM against --portrait.")
@click.option("--lpips", type=_FILE, metavar="NET", help="Your LPIPS net, against --reference.")
@click.option("--overwrite", is_flag=True, help="Replace the files to write if they exist.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors and broken rules.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one line of JSON per video instead of the table."
)
def evaluate(
    video: Path | None,
    compare: tuple[Path, Path] | None,
    require: tuple[str, ...],
    html: Path | None,
    sheet: Path | None,
    table: Path | None,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Say how good VIDEO is: a video, a folder of videos, or a manifest (.csv, .jsonl).

    \b
    echomimic evaluate talk.mp4 --portrait face.jpg
    echomimic evaluate takes/ --html report.html
    echomimic evaluate --compare before/ after/
    echomimic evaluate talk.mp4 --require "lag<=45" --require "identity>=0.9"
    """
    from echomimic.evaluate.batch import BatchItem, is_batch
    from echomimic.evaluate.require import read_requirement

    if (video is None) == (compare is None):
        raise click.UsageError("give a video, a folder or a manifest, or --compare A B")
    rules = [read_requirement(text) for text in require]
    nets = _nets(given)
    shared = {name: given[name] for name in ("speech", "portrait", "reference")}
    if compare is not None:
        _compare(compare, shared, nets, quiet, as_json)
        return
    assert video is not None
    many = is_batch(video)
    if many and not (html or sheet or table):
        table, sheet = Path("evaluation.csv"), Path("evaluation.png")
    asked = BatchItem(video, **shared)
    _check_outputs(overwrite, _inputs(asked, many), html=html, sheet=sheet, table=table)
    rows = _rows(asked, many, nets, quiet or as_json)
    _print(rows, many, quiet, as_json)
    _write(rows, html, sheet, table, quiet or as_json)
    if _broken(rows, rules) or any(row.evaluation is None for row in rows):
        sys.exit(1)


def _nets(given: dict[str, Any]) -> OwnNets:
    from echomimic.evaluate.run import OwnNets

    return OwnNets(**{name: given[name] for name in _NETS})


def _rows(item: BatchItem, many: bool, nets: OwnNets, silent: bool) -> list[VideoRow]:
    from echomimic.evaluate.batch import VideoRow, evaluate_all, items_in
    from echomimic.evaluate.run import evaluate as evaluated

    with TerminalBar(silent) as report:
        if many:
            return list(evaluate_all(items_in(item.video, item), nets, report))
        given = {"speech": item.speech, "portrait": item.portrait, "reference": item.reference}
        return [VideoRow(item, evaluated(item.video, nets=nets, report=report, **given))]


def _inputs(asked: BatchItem, many: bool) -> list[Path | None]:
    """Every file that is read, also those that lie beside the videos of a folder or stand in a manifest."""
    from echomimic.evaluate.batch import items_in

    items = items_in(asked.video, asked) if many else []
    return [path for item in (asked, *items) for path in vars(item).values()]


def _check_outputs(overwrite: bool, inputs: Sequence[Path | None], **paths: Path | None) -> None:
    """Raises OutputError now rather than after the work."""
    from echomimic.errors import OutputError
    from echomimic.media.output import check_file

    endings = {"html": (".html", ".htm"), "sheet": (".png", ".jpg", ".jpeg"), "table": (".csv",)}
    for name, path in paths.items():
        if path is not None and path.suffix.lower() not in endings[name]:
            raise OutputError(f"{path} ought to end in {' or '.join(endings[name])}; give it such a name")
        if path is not None:
            check_file(path, overwrite, inputs)


def _write(
    rows: list[VideoRow], html: Path | None, sheet: Path | None, table: Path | None, silent: bool
) -> None:
    from echomimic.evaluate.batch import to_csv
    from echomimic.evaluate.page import report_page
    from echomimic.evaluate.sheet import worst_sheet
    from echomimic.media.output import write_whole

    done = [row.evaluation for row in rows if row.evaluation is not None]
    if table:
        write_whole(table, to_csv(rows).encode())
    if sheet:
        write_whole(sheet, _picture_bytes(worst_sheet(done), sheet.suffix))
    if html:
        write_whole(html, report_page(rows).encode())
    if not silent:
        for path in (p for p in (table, sheet, html) if p):
            click.echo(f"wrote {path}")


def _picture_bytes(picture: Any, suffix: str) -> bytes:
    import io

    from PIL import Image

    stored = io.BytesIO()
    Image.fromarray(picture).save(stored, "PNG" if suffix.lower() == ".png" else "JPEG", quality=88)
    return stored.getvalue()


def _broken(rows: Sequence[VideoRow], rules: Sequence[Requirement]) -> bool:
    """Prints every rule that a video breaks; whether there was one."""
    broken = False
    for row in rows:
        for rule in rules:
            failure = rule.failure(row.evaluation) if row.evaluation is not None else ""
            broken |= bool(failure)
            if failure:
                click.secho(f"{row.item.video}: {failure}", fg="red", err=True)
    return broken


def _print(rows: list[VideoRow], many: bool, quiet: bool, as_json: bool) -> None:
    import json

    for row in rows:
        if row.evaluation is None and not as_json:
            click.secho(f"{row.item.video}: {row.error}", fg="red", err=True)
        elif as_json:
            failed = {"video": str(row.item.video), "error": row.error}
            click.echo(row.evaluation.to_json() if row.evaluation else json.dumps(failed, ensure_ascii=False))
    if quiet or as_json:
        return
    if many:
        _summary(rows)
    elif rows[0].evaluation is not None:
        _one(rows[0].evaluation)


def _one(e: Evaluation) -> None:
    """The table of one video, its worst moments, and by what it was judged."""
    from rich.table import Table

    console = _console()
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for justify in ("left", "right", "left", "left", "left"):
        table.add_column(justify=justify, no_wrap=True)
    for group, members in groupby(e.figures, key=lambda f: f.group):
        measured = [f for f in members if f.value is not None]
        if not measured:
            continue
        table.add_row(f"[bold]{group}[/]")
        for f in measured:
            colour = COLOURS[f.verdict]
            value = f"[{colour}]{f.shown}[/]" if colour else f.shown
            mark = {"good": "[green]good[/]", "poor": "[red]poor[/]", "": ""}[f.verdict]
            wanted = f"[dim]{f.wanted}[/]" if f.wanted else ""
            table.add_row(f"  {f.title}", value, f.unit, mark, wanted)
    facts = f"{e.seconds:.2f} s, {e.frames} frames at {e.fps:g} fps, {e.size[0]}x{e.size[1]}"
    console.print(f"{e.video}: {facts}", markup=False, highlight=False)
    console.print(table, highlight=False)
    _moments(console, e)
    for title, lines in (("by", e.protocol), ("note", e.notes), ("not measured", e.unmeasured)):
        for line in lines:
            console.print(f"{title}: {line}", markup=False, highlight=False, style="dim")


def _moments(console: Any, e: Evaluation) -> None:
    if not e.worst:
        console.print("worst moments: none outside the good ranges", highlight=False)
        return
    console.print("[bold]Worst moments[/]", highlight=False)
    for m in e.worst:
        console.print(f"  {m.seconds:7.2f} s  {m.title}  {m.text}", markup=False, highlight=False)


def _console() -> Any:
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=120, no_color=True)


def _grid(*titles: str) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for i, title in enumerate(titles):
        table.add_column(title, justify="right" if i else "left", no_wrap=True)
    return table


def _summary(rows: list[VideoRow]) -> None:
    from echomimic.evaluate.batch import summarise

    done = [row for row in rows if row.evaluation is not None]
    table = _grid("figure", "videos", "mean", "least", "most", "unit", "good")
    for s in summarise(rows):
        numbers = [f"{value:.{s.metric.digits}f}" for value in (s.mean, s.least, s.most)]
        colour = "" if s.good is None else "green" if s.good == 1 else "red" if s.good < 0.5 else "yellow"
        good = "" if s.good is None else f"[{colour}]{s.good:.0%}[/]"
        table.add_row(s.metric.title, str(s.count), *numbers, s.metric.unit, good)
    console = _console()
    console.print(f"{len(done)} of {len(rows)} videos", highlight=False)
    console.print(table, highlight=False)
    lines = dict.fromkeys(line for row in done if row.evaluation for line in row.evaluation.notes)
    for line in lines:
        console.print(f"note: {line}", markup=False, highlight=False, style="dim")


def _compare(
    sets: tuple[Path, Path], shared: dict[str, Any], nets: OwnNets, quiet: bool, as_json: bool
) -> None:
    from echomimic.evaluate.batch import BatchItem, is_batch
    from echomimic.evaluate.compare import differences, paired

    first, second = (
        _rows(BatchItem(path, **shared), is_batch(path), nets, quiet or as_json) for path in sets
    )
    for row in (*first, *second):
        if row.evaluation is None:
            click.secho(f"{row.item.video}: {row.error}", fg="red", err=True)
    pairs = paired(first, second)
    found = differences(pairs)
    if as_json:
        import json

        click.echo(json.dumps({"pairs": len(pairs), **{d.metric.name: _told(d) for d in found}}))
    elif not quiet:
        _differences(found, sets, len(pairs))


def _told(d: Difference) -> dict[str, Any]:
    numbers = (d.first, d.second, d.difference, d.low, d.high)
    rounded = (None if n is None else float(f"{n:.6g}") for n in numbers)
    return {**dict(zip(("a", "b", "difference", "low", "high"), rounded, strict=True)), "better": d.better}


def _differences(found: Sequence[Difference], sets: tuple[Path, Path], pairs: int) -> None:
    table = _grid("figure", "A", "B", "B - A", "95 % interval", "unit", "better")
    for d in found:
        digits = d.metric.digits
        span = "" if d.low is None or d.high is None else f"{d.low:+.{digits}f} to {d.high:+.{digits}f}"
        title = d.metric.title + (f" (from {d.metric.target:g})" if d.metric.better == "nearer" else "")
        values = f"{d.first:.{digits}f}", f"{d.second:.{digits}f}", f"{d.difference:+.{digits}f}"
        table.add_row(title, *values, span, d.metric.unit, d.better or "-")
    console = _console()
    console.print(f"A: {sets[0]}   B: {sets[1]}   {pairs} pairs", markup=False, highlight=False)
    console.print(table, highlight=False)
    console.print(
        "paired percentile bootstrap, 10,000 resamples; '-': the interval holds 0",
        style="dim",
        highlight=False,
    )
