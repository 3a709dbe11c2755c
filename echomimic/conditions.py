"""Request and settings become conditions: everything an engine needs, read and checked,
before any rendering."""

import logging
from dataclasses import dataclass, field
from pathlib import Path

from echomimic.errors import NoFaceError, SpeechError
from echomimic.faces.detect import Face, find_faces
from echomimic.framing.view import View, view_of
from echomimic.media.audio import Speech
from echomimic.media.image import Picture, read_picture
from echomimic.motion.files.motion_file import Motion
from echomimic.motion.files.official_poses import OFFICIAL_FPS
from echomimic.motion.load import Driver
from echomimic.option import check_number
from echomimic.progress import Progress, Report, say, silent
from echomimic.request import USUAL_WINDOW, Settings

_LOG = logging.getLogger(__package__)

SMALLEST_FACE = 18
"""Width in pixels of the smallest face whose mesh can be trusted."""

CHANCE = 10
"""Width in pixels below which a find is a chance pattern, not a face."""


@dataclass(frozen=True, eq=False)
class Conditions:
    """What an engine renders from.

    ``picture`` (H, W, 3) uint8 is the whole portrait; ``face`` the chosen face in it, None only where the
    model can do without; ``view`` the part and size that is shown. ``frames`` pictures at ``fps`` are to be
    made. ``settings`` are resolved. ``driver`` is the source of motion, read once when it is needed.
    ``output`` is where the video goes, if to a file. ``notes`` are remarks for the user, one line each.
    """

    picture: Picture
    face: Face | None
    view: View
    speech: Speech
    frames: int
    fps: float
    settings: Settings
    driver: Driver = field(default_factory=Driver)
    output: Path | None = None
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """How long the video lasts."""
        return self.frames / self.fps

    @property
    def canvas(self) -> Picture | None:
        """The picture that frames are pasted back into, with even sides; None when they are not."""
        if not self.settings.paste_back:
            return None
        height, width = self.picture.shape[:2]
        return self.picture[: height - height % 2, : width - width % 2]


def gather(
    portrait: Picture | Path | str,
    speech: Speech | Path | str,
    settings: Settings | None = None,
    *,
    driver: str | Path | Motion = "auto",
    face: int = 0,
    allow_silence: bool = False,
    name: str = "",
    output: Path | None = None,
    report: Report = silent,
) -> Conditions:
    """Reads the portrait and the speech, finds the face, lays out the view and fixes the length.

    ``portrait`` and ``speech`` are files, or an (H, W, 3) uint8 array and a :class:`Speech`. ``driver`` is
    the source of motion: ``auto``, ``none``, a file or folder, or a motion itself. ``face`` says which when
    there are several, 0 is the largest. ``name`` is what errors call the portrait. Raises
    :class:`NoFaceError`, :class:`SpeechError` (silence) or another :class:`InputError`.
    """
    face = check_number("face", face, 0, None, whole=True)
    picture, speech, name = _read(portrait, speech, name, report)
    given = settings or Settings()
    unused, settings = given.unused(), given.resolved()
    if speech.silent and not allow_silence:
        raise SpeechError(
            f"{speech.name} is silent; give a recording with speech, or --allow-silence for an idle video"
        )
    report(Progress("face", 0, 1))
    chosen = _choose_face(picture, face, name, settings)
    strange = _human_notes(chosen, name, settings)
    report(Progress("face", 1, 1))
    view, note = view_of(picture, chosen, settings)
    fps = settings.fps or settings.variant.fps
    frames = settings.length or max(1, round(speech.seconds * fps))
    _LOG.info("shown: %s of the portrait at %dx%d; %d frames at %g fps", view.rect, *view.size, frames, fps)
    notes = [*speech.notes, *strange, *([note] if note else []), *_size_notes(picture, settings)]
    notes += [f"{option} does not change what {settings.model} renders" for option in unused]
    notes += [*_value_notes(given), *_silence_notes(speech, frames / fps, fps)]
    followed = driver_for(driver, settings, fps)
    return Conditions(picture, chosen, view, speech, frames, fps, settings, followed, output, tuple(notes))


def _size_notes(picture: Picture, settings: Settings) -> list[str]:
    height, width = picture.shape[:2]
    if not settings.paste_back or (width % 2 == 0 and height % 2 == 0):
        return []
    return [f"{width}x{height} rounded to even pixels: {width - width % 2}x{height - height % 2}"]


def _value_notes(given: Settings) -> list[str]:
    """What is said of numbers that are taken, because old workflows have them, and act as others."""
    if given.variant.engine != "diffusion":
        return []
    notes = [f"cfg {given.cfg:g} acts as 1, no guidance"] if given.cfg is not None and given.cfg < 1 else []
    return notes + ([] if given.context_frames else [f"context_frames 0 acts as {USUAL_WINDOW}, the usual"])


def _silence_notes(speech: Speech, seconds: float, fps: float) -> list[str]:
    """Said when the video outlasts the speech by more than rounding to frames explains."""
    if speech.silent or seconds - speech.seconds <= 1.5 / fps:
        return []
    return [f"the speech ends after {speech.seconds:.1f} s; the video goes on in silence to {seconds:.1f} s"]


def _read(
    portrait: Picture | Path | str, speech: Speech | Path | str, name: str, report: Report
) -> tuple[Picture, Speech, str]:
    """Picture, sound, and what to call the picture; files are read."""
    report(Progress("reading", 0, 1))
    if isinstance(portrait, (Path, str)):
        portrait, name = read_picture(portrait, lambda remark: say(report, remark)), name or str(portrait)
    heard = speech if isinstance(speech, Speech) else Speech.open(speech)
    report(Progress("reading", 1, 1))
    return portrait, heard, name or "the picture"


def driver_for(source: str | Path | Motion, settings: Settings, fps: float) -> Driver:
    """The driver that ``source`` names;
    ``faithful`` takes one pose file per frame of the video, as official."""
    rate = fps if settings.faithful else OFFICIAL_FPS
    return Driver(source, fps=rate, hands=settings.variant.subject == "body")


def _choose_face(picture: Picture, index: int, name: str, settings: Settings) -> Face | None:
    faces = [face for face in find_faces(picture) if _width(face) >= CHANCE]
    if not faces:
        if settings.variant.subject == "body" or (
            settings.variant.guide == "mask" and settings.no_face == "whole"
        ):
            return None
        raise NoFaceError(
            f"no face was found in {name}; use a picture that shows one face clearly, from the front"
        )
    if index >= len(faces):
        count = "1 face was" if len(faces) == 1 else f"{len(faces)} faces were"
        raise NoFaceError(
            f"face {index} was asked for, but {count} found in {name}; choose 0 to {len(faces) - 1}"
        )
    face = faces[index]
    _LOG.info("face %d of %d, %.0f pixels wide", index, len(faces), _width(face))
    if _width(face) < SMALLEST_FACE:
        raise NoFaceError(
            f"the face in {name} is too small: {_width(face):.0f} pixels wide, at least {SMALLEST_FACE} "
            "are needed; use a larger picture"
        )
    return face


def _human_notes(face: Face | None, name: str, settings: Settings) -> list[str]:
    """What is said of a face that is no person's. The preview, which gives it a mouth, asks first."""
    if face is None or face.human or settings.no_face == "any":
        return []
    said = f"this does not look like a human face: {name}"
    if settings.variant.engine == "preview":
        raise NoFaceError(
            f"{said}; use a picture of a person (drawn, carved or painted will do), "
            "or set no_face to any to animate it nevertheless"
        )
    return [f"{said}; the models have learned from people, so it may come out odd"]


def _width(face: Face) -> float:
    return float(face.points[:, 0].max() - face.points[:, 0].min())
