"""The worst moments as pictures: one contact sheet, each frame with what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from echomimic.evaluate.result import Evaluation, WorstMoment
from echomimic.media.image import Picture, resize
from echomimic.media.video import VideoReader

TILE, CAPTION = 288, 44
_MOST = 20


@dataclass(frozen=True)
class BadFrame:
    """A worst moment of a video, and the picture shown then (None when it cannot be decoded)."""

    video: str
    moment: WorstMoment
    picture: Picture | None


def bad_frames(evaluation: Evaluation) -> list[BadFrame]:
    """The pictures of one video's worst moments, in their order in time."""
    moments = sorted(evaluation.worst, key=lambda m: m.seconds)
    if not moments:
        return []
    pictures = VideoReader(evaluation.video).at([m.seconds for m in moments])
    return [BadFrame(evaluation.video, m, p) for m, p in zip(moments, pictures, strict=True)]


def worst_sheet(evaluations: Sequence[Evaluation], columns: int = 4, most: int = _MOST) -> Picture:
    """The worst `most` moments of all videos as one picture, worst first;
    a plain line when there are none."""
    ranked = sorted((m.severity, e.video, m.seconds) for e in evaluations for m in e.worst)[::-1][:most]
    chosen = {(video, seconds) for _, video, seconds in ranked}
    found = [f for e in evaluations for f in bad_frames(e) if (f.video, f.moment.seconds) in chosen]
    found.sort(key=lambda f: -f.moment.severity)
    if not found:
        return _said("no frame lies outside the good ranges", columns * TILE)
    tiles = [_tile(frame, several=len(evaluations) > 1) for frame in found]
    columns = min(columns, len(tiles))
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    return np.concatenate([np.concatenate(tiles[i : i + columns], 1) for i in range(0, len(tiles), columns)])


def _tile(frame: BadFrame, several: bool) -> Picture:
    tile = np.full((TILE + CAPTION, TILE, 3), 255, np.uint8)
    if frame.picture is not None:
        height, width = frame.picture.shape[:2]
        shrink = (TILE - 8) / max(height, width)
        small = resize(frame.picture, max(1, round(width * shrink)), max(1, round(height * shrink)))
        top, left = (TILE - small.shape[0]) // 2, (TILE - small.shape[1]) // 2
        tile[top : top + small.shape[0], left : left + small.shape[1]] = small
    moment = frame.moment
    _write(tile, f"{moment.seconds:.2f} s  {moment.title}", (6, TILE + 13), (150, 30, 20))
    _write(
        tile,
        f"{moment.text}  {Path(frame.video).name if several else ''}".strip(),
        (6, TILE + 33),
        (60, 60, 60),
    )
    return tile


def _said(text: str, width: int) -> Picture:
    picture = np.full((CAPTION, width, 3), 255, np.uint8)
    _write(picture, text, (8, 28), (60, 60, 60))
    return picture


def _write(picture: Picture, text: str, at: tuple[int, int], colour: tuple[int, int, int]) -> None:
    plain = text.encode("ascii", "replace").decode()
    cv2.putText(picture, plain, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
