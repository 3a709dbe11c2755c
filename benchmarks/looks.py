"""How portraits stand what speech asks of them: ``python -m benchmarks.looks FOLDER_OR_PICTURES… sheet.jpg``.

One row for each portrait, one column for each look: as the photo is, lips closed, open, rounded, wide, half a
blink, a blink, the head turned to either side with the mouth open. ``--close`` shows the face only,
``--stray`` prints how many pixels beside the head stand out of their surroundings, which is what a torn edge
looks like.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.sheet import sheet
from echomimic import conditions
from echomimic.errors import InputError
from echomimic.faces.geometry import OVAL
from echomimic.media.audio import RATE, Speech
from echomimic.media.image import Picture, read_picture
from echomimic.motion.performance import Performance, at_rest
from echomimic.motion.speech.mouth_model import mouth_model
from echomimic.preview.engine import renderer_for
from echomimic.request import Settings

PICTURES = {".png", ".jpg", ".jpeg", ".webp"}
FPS = 25.0

MOUTHS: dict[str, tuple[float, float, float]] = {
    "closed": (0.0, 0.0, 0.0),
    "open": (0.22, -0.01, 0.0),
    "rounded": (0.07, -0.11, 0.03),
    "wide": (0.06, 0.10, -0.01),
}
"""Opening, widening and protrusion in outer eye distances: the 95th percentiles of recorded speech, about."""
BLINKS = {"half blink": 0.5, "blink": 1.0}
TURNS = {"turned left": -15.0, "turned right": 15.0}
"""Degrees of yaw."""


def mouth(opening: float, widening: float, protrusion: float) -> npt.NDArray[np.float32]:
    """(K,) the likeliest coefficients of the speech model's basis with these measures,
    outer eye distances."""
    basis = mouth_model().basis
    measures = np.stack(
        [
            basis[:, 13, 1] - basis[:, 14, 1],
            basis[:, 291, 0] - basis[:, 61, 0],
            basis[:, [0, 13, 14, 17], 2].mean(1),
        ]
    )
    # Directions are as likely as they are large in the recordings that the basis was fitted to.
    spread = np.linalg.norm(basis.reshape(len(basis), -1), axis=1)
    return np.asarray(
        spread * (np.linalg.pinv(measures * spread) @ [opening, widening, protrusion]), np.float32
    )


def looks() -> dict[str, Performance]:
    """Three frames each; the middle one is the look, the others speak, so that the lips count as talking."""
    talking = at_rest(3, FPS, mouth_model().basis)
    talking = replace(talking, expression=np.stack([mouth(*MOUTHS["open"])] * 3))
    made = {"photo": at_rest(3, FPS, mouth_model().basis)}
    for name, measures in MOUTHS.items():
        expression = talking.expression.copy()
        expression[1] = mouth(*measures)
        made[name] = replace(talking, expression=expression)
    for name, blink in BLINKS.items():
        made[name] = replace(made["photo"], blink=np.full((3, 2), blink, np.float32))
    for name, degrees in TURNS.items():
        rotation = np.zeros((3, 3), np.float32)
        rotation[:, 1] = np.radians(degrees)
        made[name] = replace(made["open"], rotation=rotation)
    return made


def portrait_conditions(path: Path, size: int) -> conditions.Conditions:
    """The portrait framed as ``animate`` would, with a second of silence."""
    speech = Speech.from_array(np.zeros(RATE, np.float32), RATE)
    return conditions.gather(
        read_picture(path), speech, Settings(size=size), allow_silence=True, name=path.name
    )


def rows(paths: list[Path], size: int, close: bool) -> Iterator[tuple[Path, list[Picture]]]:
    """Each portrait's looks, square pictures; a portrait that is refused is told and left out."""
    for path in paths:
        try:
            given = portrait_conditions(path, size)
            renderer = renderer_for(given)
        except InputError as error:
            print(f"{path.name}: {error}", flush=True)
            continue
        cut = face_box(given) if close else (slice(None), slice(None))
        yield path, [renderer.render(look, 1)[cut] for look in looks().values()]


def face_box(given: conditions.Conditions) -> tuple[slice, slice]:
    """Rows and columns of a square around the face in the frame."""
    assert given.face is not None
    view = given.view
    points = view.to_video(given.face.points)[list(OVAL), :2]
    centre, half = points.mean(0), 0.62 * float(np.ptp(points, axis=0).max())
    (x0, y0), (x1, y1) = (np.clip(centre + s * half, 0, view.size).astype(int) for s in (-1, 1))
    return slice(y0, y1), slice(x0, x1)


def stray_pixels(frame: Picture) -> int:
    """How many pixels differ by more than 40 levels from the median of the 5 × 5 around them."""
    around = cv2.medianBlur(frame, 5)
    return int((np.abs(frame.astype(np.int16) - around).max(2) > 40).sum())


def main() -> None:
    """Renders the looks of every portrait and writes one picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("portraits", type=Path, nargs="+")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--close", action="store_true")
    parser.add_argument("--stray", action="store_true")
    options = parser.parse_args()
    cells: list[Picture] = []
    for path, frames in rows(list(found(options.portraits)), options.size, options.close):
        if options.stray:
            print(path.name, *(stray_pixels(frame) for frame in frames), flush=True)
        height, width = frames[0].shape[:2]
        side = max(height, width)
        pad = (
            ((side - height) // 2, -(-(side - height) // 2)),
            ((side - width) // 2, -(-(side - width) // 2)),
            (0, 0),
        )
        cells += [np.pad(frame, pad, constant_values=255) for frame in frames]
    Image.fromarray(sheet(cells, len(looks()), options.width)).save(options.picture, quality=88)


def found(given: list[Path]) -> Iterator[Path]:
    """Pictures as given, and those in the folders."""
    for path in given:
        if path.is_dir():
            yield from sorted(child for child in path.iterdir() if child.suffix.lower() in PICTURES)
        else:
            yield path


if __name__ == "__main__":
    main()
