"""The visible label: words in a corner of the frames, legible on any background.

Sizes come from China's GB 45438-2025 (letters at least 5 % of the shorter side, at least 2 s at the start)
and contrast from WCAG 2.2 (4.5 : 1); the EU's code of practice of June 2026 asks for a clear mark at first
exposure.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from echomimic.errors import SettingsError
from echomimic.media.image import Picture
from echomimic.request import Settings

TEXTS = {"eu": "AI GENERATED", "cn": "人工智能生成"}
"""Ready-made labels; any other text is shown as it is."""

# Opacity of the black box behind white letters: on white the contrast is still 11 : 1.
_BOX = 0.72
_MARGIN, _PADDING, _LINE = 0.6, 0.35, 1.5
"""Distance from the frame's edge, room around the letters, and from line to line, in letter heights."""


@dataclass(frozen=True, eq=False)
class Label:
    """A label laid out for frames of one size, for the first ``frames`` of them."""

    box: tuple[int, int, int, int]
    letters: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]"
    """(h, w, 1) 0…1 coverage of the box by letters"""
    frames: int

    def draw(self, frame: Picture, index: int) -> Picture:
        """``frame`` (H, W, 3) uint8 with the label;
        the frame itself when ``index`` lies behind the labelled ones."""
        if index >= self.frames:
            return frame
        left, top, right, bottom = self.box
        marked: Picture = frame.copy()
        behind = marked[top:bottom, left:right].astype(np.float32) * np.float32(1 - _BOX)
        marked[top:bottom, left:right] = (behind + (255 - behind) * self.letters).round().astype(np.uint8)
        return marked


def make_label(settings: Settings, width: int, height: int, fps: float, frames: int) -> Label | None:
    """The label that ``settings`` ask for on frames of ``width`` × ``height``; None when they ask for none.

    Raises :class:`SettingsError` when the text does not fit, or has letters that the shipped font lacks.
    """
    if settings.label == "none":
        return None
    text = TEXTS.get(settings.label, settings.label).strip()
    letters = _fit(text, settings.label_size, width, height)
    rows, columns = letters.shape
    gap = round(_MARGIN * settings.label_size * min(width, height))
    left = gap if settings.label_place.endswith("left") else width - gap - columns
    top = gap if settings.label_place.startswith("top") else height - gap - rows
    left, top = max(0, left), max(0, top)
    shown = round(settings.label_seconds * fps) if settings.label_seconds else frames
    return Label((left, top, left + columns, top + rows), letters[..., None], min(frames, shown))


def _fit(
    text: str, size: float, width: int, height: int
) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    """(h, w) 0…1: the text in as many lines as the width needs, letters ``size`` of the shorter side high."""
    tall = size * min(width, height)
    font = _font(tall)
    _check_letters(text, font)
    room = width - 2 * round((_MARGIN + _PADDING) * tall)
    lines = _wrap(text, font, room)
    pad, step = round(_PADDING * tall), round(_LINE * tall)
    columns = round(max(font.getlength(line) for line in lines)) + 2 * pad
    rows = step * len(lines) + 2 * pad
    if columns > width or rows > height:
        raise SettingsError(f"the label {text!r} does not fit on {width}x{height}; give a shorter one")
    picture = Image.new("L", (columns, rows))
    draw = ImageDraw.Draw(picture)
    for i, line in enumerate(lines):
        draw.text((pad, pad + i * step + step // 2), line, font=font, fill=255, anchor="lm")
    letters: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = np.asarray(picture, np.float32) / np.float32(
        255
    )
    return letters


def _wrap(text: str, font: ImageFont.FreeTypeFont, room: float) -> list[str]:
    """Lines no wider than ``room``: broken at spaces where there are some, else between letters."""
    lines: list[str] = [""]
    for word in text.split(" "):
        for piece in [word] if font.getlength(word) <= room else list(word):
            joint = " " if lines[-1] and piece == word else ""
            if lines[-1] and font.getlength(lines[-1] + joint + piece) > room:
                lines.append(piece)
            else:
                lines[-1] += joint + piece
    return lines


def _check_letters(text: str, font: ImageFont.FreeTypeFont) -> None:
    missing = font.getmask("\uffff").getbbox(), bytes(font.getmask("\uffff"))
    for letter in text:
        if letter != " " and (font.getmask(letter).getbbox(), bytes(font.getmask(letter))) == missing:
            raise SettingsError(
                f"the label's font has no {letter!r}; use Latin, Greek, Cyrillic or simplified Chinese"
            )


@lru_cache(maxsize=8)
def _font(capital: float) -> ImageFont.FreeTypeFont:
    """The shipped font with capitals at least ``capital`` pixels high."""
    with as_file(files(__package__).joinpath("fonts/NotoSansSC-Bold-subset.otf")) as path:
        size = max(6, round(capital / 0.733))  # capitals of Noto Sans are 0.733 em high
        while True:
            font = ImageFont.truetype(str(path), size)
            box = font.getbbox("I", anchor="ls")
            if -box[1] >= capital:
                return font
            size += 1
