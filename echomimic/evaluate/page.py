"""The report as a page: one HTML file with its pictures and curves inside, which asks nothing of anybody."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from itertools import groupby
from pathlib import Path

import numpy as np

from echomimic.evaluate.batch import VideoRow, summarise
from echomimic.evaluate.result import Evaluation, Figure, Values
from echomimic.evaluate.sheet import BadFrame, bad_frames
from echomimic.media.image import resize
from echomimic.media.probe import jpeg
from echomimic.version import VERSION

_CURVES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("Lip opening", ("opening", "heard_opening", "reference_opening"), "eye distances"),
    ("Lips against sound", ("disagreement",), "deviations"),
    ("Trembling", ("jitter",), "eye distances"),
    ("Head", ("pitch", "yaw", "roll"), "degrees"),
    ("Eyes", ("lid",), "lid gap over width"),
    ("Detail of the mouth", ("mouth_sharpness",), "share of the portrait's"),
    ("Colour of the skin", ("colour",), "ΔE"),
    ("PSNR", ("psnr",), "dB"),
)
_COLOURS = ("#2563a8", "#c2571a", "#3c8d40")
_WIDE, _HIGH, _THUMB = 860, 90, 200
_MOST_POINTS = 860
_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;max-width:900px;margin:2em auto;padding:0 1em;
  color:#222;background:#fff}
h1{font-size:1.5em}h2{font-size:1.2em;margin-top:2em;overflow-wrap:anywhere}
h3{font-size:.95em;margin:1.2em 0 .2em}
table{border-collapse:collapse;width:100%}
td,th{padding:.2em .6em;text-align:left;border-bottom:1px solid #e4e4e4}
td.n{text-align:right;font-variant-numeric:tabular-nums}tr.g th{background:#f4f4f4;border:0;padding-top:.5em}
.good{color:#236b2b}.poor{color:#a3260f;font-weight:600}.quiet{color:#666;font-size:.9em}
figure{display:inline-block;margin:0 .5em .8em 0;vertical-align:top}
figcaption{font-size:.85em;max-width:200px}
svg{display:block;width:100%;height:auto;background:#fafafa}
"""


def report_page(rows: Sequence[VideoRow]) -> str:
    """The whole page for one or many videos."""
    many = len(rows) > 1
    parts = [_summary(rows)] if many else []
    parts += [_error(row) if row.evaluation is None else _video(row.evaluation) for row in rows]
    title = f"{len(rows)} videos" if many else Path(rows[0].item.video).name if rows else "nothing"
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>Evaluation: {escape(title)}</title>"
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>{_STYLE}</style></head><body><h1>Evaluation: {escape(title)}</h1>"
        f'{"".join(parts)}<p class="quiet">EchoMimic {VERSION}, echomimic evaluate</p></body></html>\n'
    )


def _summary(rows: Sequence[VideoRow]) -> str:
    head = "<tr><th>Figure<th>Videos<th>Mean<th>Least<th>Most<th>Good</tr>"
    lines = []
    for s in summarise(rows):
        numbers = "".join(f'<td class="n">{v:.{s.metric.digits}f}' for v in (s.mean, s.least, s.most))
        good = "" if s.good is None else f"{s.good:.0%}"
        lines.append(
            f'<tr><td>{escape(s.metric.title)}<td class="n">{s.count}{numbers}<td class="n">{good}</tr>'
        )
    return f"<table>{head}{''.join(lines)}</table>"


def _error(row: VideoRow) -> str:
    return f'<h2>{escape(str(row.item.video))}</h2><p class="poor">{escape(row.error)}</p>'


def _video(e: Evaluation) -> str:
    facts = f"{e.seconds:.2f} s, {e.frames} frames at {e.fps:g} fps, {e.size[0]}×{e.size[1]}"
    notes = "".join(
        f"<li>{escape(line)}"
        for line in (*e.protocol, *e.notes, *(f"not measured, {u}" for u in e.unmeasured))
    )
    return (
        f'<h2>{escape(e.video)}</h2><p class="quiet">{facts}</p>{_table(e.figures)}'
        f"<h3>Worst moments</h3>{_frames(e)}{''.join(_curve(e, *curve) for curve in _CURVES)}"
        f'<h3>How it was measured</h3><ul class="quiet">{notes}</ul>'
    )


def _table(figures: Sequence[Figure]) -> str:
    lines = []
    for group, members in groupby(figures, key=lambda f: f.group):
        measured = [f for f in members if f.value is not None]
        if measured:
            lines.append(
                f'<tr class="g"><th colspan="4">{escape(group)}</tr>' + "".join(map(_line, measured))
            )
    return f"<table>{''.join(lines)}</table>"


def _line(f: Figure) -> str:
    wanted = f"good: {escape(f.wanted)}" if f.wanted else ""
    return (
        f'<tr title="{f.name}"><td>{escape(f.title)}<td class="n {f.verdict}">{f.shown} {escape(f.unit)}'
        f'<td class="{f.verdict}">{f.verdict}<td class="quiet">{wanted}</tr>'
    )


def _frames(e: Evaluation) -> str:
    shown = [_figure(frame) for frame in bad_frames(e)]
    return "".join(shown) or "<p>None: no moment lies outside the good ranges.</p>"


def _figure(frame: BadFrame) -> str:
    told = f"{frame.moment.seconds:.2f} s: {frame.moment.title}"
    caption = f"<figcaption>{escape(told)}<br>{escape(frame.moment.text)}</figcaption>"
    if frame.picture is None:
        return f"<figure>{caption}</figure>"
    height = max(1, round(frame.picture.shape[0] * _THUMB / frame.picture.shape[1]))
    stored = base64.b64encode(jpeg(resize(frame.picture, _THUMB, height), 80)).decode()
    image = (
        f'<img width="{_THUMB}" height="{height}" alt="{escape(told)}" src="data:image/jpeg;base64,{stored}">'
    )
    return f"<figure>{image}{caption}</figure>"


def _curve(e: Evaluation, title: str, names: tuple[str, ...], unit: str) -> str:
    """One chart, with its own scale; nothing when none of its series was measured."""
    known = [
        (name, e.series[name]) for name in names if name in e.series and np.isfinite(e.series[name]).any()
    ]
    if not known:
        return ""
    low = min(float(np.nanmin(values)) for _, values in known)
    high = max(float(np.nanmax(values)) for _, values in known)
    lines = "".join(_polyline(values, low, high, _COLOURS[i]) for i, (_, values) in enumerate(known))
    legend = ", ".join(
        f'<span style="color:{_COLOURS[i]}">{name}</span>' for i, (name, _) in enumerate(known)
    )
    scale = f"{low:.3g} to {high:.3g} {escape(unit)}, 0 to {e.seconds:.1f} s"
    return (
        f'<h3>{escape(title)} <span class="quiet">{legend}; {scale}</span></h3>'
        f'<svg viewBox="0 0 {_WIDE} {_HIGH}" role="img" aria-label="{escape(title)}">{lines}</svg>'
    )


def _polyline(values: Values, low: float, high: float, colour: str) -> str:
    frames = np.flatnonzero(np.isfinite(values))
    frames = frames[:: max(1, len(frames) // _MOST_POINTS)]
    x = frames * (_WIDE / max(1, len(values) - 1))
    y = _HIGH - 4 - (values[frames] - low) * ((_HIGH - 8) / max(high - low, 1e-9))
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return f'<polyline fill="none" stroke="{colour}" stroke-width="1.4" points="{points}"/>'
