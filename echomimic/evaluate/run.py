"""The whole way of an evaluation: open what was given, watch the video once, fill the table."""

from __future__ import annotations

import functools
import hashlib
import math
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path

import numpy as np

from echomimic.errors import NoFaceError, SettingsError
from echomimic.evaluate.face_meter import FaceMeter, Meter
from echomimic.evaluate.hand_meter import HandMeter
from echomimic.evaluate.identity import IdentityMeter, best_judge
from echomimic.evaluate.likeness import LikenessMeter, SeamMeter, Sitter
from echomimic.evaluate.lips import Heard, disagreement, hear
from echomimic.evaluate.metrics import BLACK, METRICS, NETS
from echomimic.evaluate.net_meters import CsimMeter, FidMeter, FvdMeter, LpipsMeter
from echomimic.evaluate.nets import load_net
from echomimic.evaluate.observe import Observed, Pass, watch
from echomimic.evaluate.picture_meter import PictureMeter, repeats
from echomimic.evaluate.reference import Companion, ReferenceMeter
from echomimic.evaluate.result import Evaluation, Values
from echomimic.evaluate.sync_meter import SyncMeter
from echomimic.evaluate.worst import worst_moments
from echomimic.faces.detect import find_faces
from echomimic.media.audio import Speech
from echomimic.media.image import read_picture
from echomimic.media.probe import MediaInfo, probe
from echomimic.media.video import VideoReader
from echomimic.progress import Report, silent

SAMPLES = 12
"""Frames, evenly spread, in which dear things are measured (identity, hands):
one in half a second to five seconds."""
_DENSEST, _SPARSEST = 0.5, 5.0
NET_SAMPLES = 64
"""Frames that FID, LPIPS and CSIM look at in a short video."""


@dataclass(frozen=True)
class OwnNets:
    """Networks that the user has, by path (ONNX or TorchScript);
    see docs/evaluate.md for what each takes and gives."""

    syncnet: Path | None = None
    fid: Path | None = None
    fvd: Path | None = None
    csim: Path | None = None
    lpips: Path | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """The names of those that were given."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name) is not None)


@dataclass(frozen=True)
class _Given:
    """What was opened for one evaluation."""

    reader: VideoReader
    media: MediaInfo
    speech: Speech | None
    sitter: Sitter | None
    reference: Path | None


def evaluate(
    video: Path | str,
    *,
    speech: Path | str | None = None,
    portrait: Path | str | None = None,
    reference: Path | str | None = None,
    nets: OwnNets | None = None,
    report: Report = silent,
) -> Evaluation:
    """How good a video is: lips and sound, steadiness, life, look, person; with a reference, how near it
    comes.

    speech: what is said in it; without, the video's own sound. portrait: the picture it was made from;
    without, its own first face stands in. Same files give the same figures. Raises the errors of
    :mod:`echomimic.errors`.
    """
    given = _open(Path(video), speech, portrait, reference)
    nets = nets or OwnNets()
    meters, protocol = _meters(given, nets)
    seen = watch(given.reader, meters, given.reader.frames, report)
    heard = None
    if given.speech is not None and not given.speech.silent:
        heard = hear(given.speech, seen.frames, given.reader.fps, report)
    observed = _observed(given, seen, heard)
    figures = tuple(m.figure(observed) for m in METRICS if m.group != NETS or _asked(m.name, nets))
    return Evaluation(
        video=str(video),
        frames=seen.frames,
        fps=given.reader.fps,
        size=given.reader.size,
        figures=figures,
        series=observed.series,
        worst=worst_moments(observed),
        protocol=(*_judges(given, heard), *protocol),
        notes=_notes(given, heard),
    )


def _asked(name: str, nets: OwnNets) -> bool:
    return ("syncnet" if name.startswith("sync_") else name) in nets.given


def _open(
    video: Path, speech: Path | str | None, portrait: Path | str | None, reference: Path | str | None
) -> _Given:
    media, reader = probe(video), VideoReader(video)
    own = speech is None
    sound = Speech.open(video) if own and media.sound_start is not None else None
    if not own:
        sound = Speech.open(Path(str(speech)))
    sitter = None if portrait is None else _sitter(Path(portrait))
    return _Given(reader, media, sound, sitter, None if reference is None else Path(reference))


def _sitter(portrait: Path) -> Sitter:
    picture = read_picture(portrait)
    faces = find_faces(picture)
    if not faces:
        raise NoFaceError(f"no face was found in {portrait}; give the portrait that the video was made from")
    return Sitter(picture, faces[0])


def _every(given: _Given, samples: int) -> int:
    """The stride that gives so many samples, or one in `_SPARSEST` seconds when that is more."""
    longest = max(1, round(_SPARSEST * given.reader.fps))
    return min(longest, max(1, math.ceil(given.reader.frames / samples)))


def _dear(given: _Given) -> int:
    """The stride for what costs a tenth of a second a frame."""
    return max(_every(given, SAMPLES), round(_DENSEST * given.reader.fps))


def _meters(given: _Given, nets: OwnNets) -> tuple[list[Meter], tuple[str, ...]]:
    every = _dear(given)
    meters: list[Meter] = [
        FaceMeter(),
        PictureMeter(),
        LikenessMeter(given.sitter),
        IdentityMeter(best_judge(), given.sitter, every),
        HandMeter(every),
    ]
    if given.sitter is not None:
        meters.append(SeamMeter(given.sitter.picture, every))
    companion = None if given.reference is None else Companion(given.reference, given.reader.fps)
    if companion is not None:
        meters.append(ReferenceMeter(companion))
    own = _own(given, nets, companion)
    return [*meters, *own], tuple(meter.protocol for meter in own)


_Own = SyncMeter | CsimMeter | LpipsMeter | FidMeter | FvdMeter


def _own(given: _Given, nets: OwnNets, companion: Companion | None) -> list[_Own]:
    """The meters of the networks that were given;
    raises SettingsError when one lacks what it compares with."""
    for name in ("fid", "fvd", "lpips"):
        if getattr(nets, name) and companion is None:
            raise SettingsError(f"{name} compares with a reference video; give --reference too")
    if nets.csim and given.sitter is None:
        raise SettingsError("csim compares with the portrait; give --portrait too")
    if nets.syncnet and given.speech is None:
        raise SettingsError("syncnet listens to the speech, and the video has no sound; give --speech too")
    every, made = _every(given, NET_SAMPLES), list[_Own]()
    if nets.syncnet and given.speech is not None:
        made.append(SyncMeter(load_net(nets.syncnet), given.speech, given.reader.fps))
    if nets.csim and given.sitter is not None:
        made.append(CsimMeter(load_net(nets.csim), given.sitter, every))
    if companion is not None:
        made += [LpipsMeter(load_net(nets.lpips), companion, every)] if nets.lpips else []
        made += [FidMeter(load_net(nets.fid), companion, every)] if nets.fid else []
        made += [FvdMeter(load_net(nets.fvd), companion)] if nets.fvd else []
    return made


def _observed(given: _Given, seen: Pass, heard: Heard | None) -> Observed:
    series: dict[str, Values] = dict(seen.series)
    series["black"] = (series["luma"] < BLACK).astype(np.float64)
    series["frozen"] = repeats(series.get("change", np.full(seen.frames, np.nan)))
    series["lost"] = 1.0 - series["face"]
    if heard is not None:
        series["heard_opening"], series["heard_width"] = heard.opening, heard.width
        series["disagreement"] = disagreement(
            series.get("opening", np.full(seen.frames, np.nan)), heard, given.reader.fps
        )
    sound = None if given.speech is None else given.speech.seconds
    return Observed(given.reader.fps, seen.frames, series, seen.totals, given.media, sound, heard)


@functools.cache
def ear_digest() -> str:
    """The first 12 digits of the SHA-256 of the mouth net that judges lips by sound."""
    stored = files("echomimic.motion").joinpath("models/mouth.safetensors").read_bytes()
    return hashlib.sha256(stored).hexdigest()[:12]


def _judges(given: _Given, heard: Heard | None) -> tuple[str, ...]:
    lines = ["face: MediaPipe's face mesh, followed frame by frame; lengths in outer eye distances"]
    if heard is not None:
        lines.append(
            f"lips: motion heard in the speech by the preview's own ear (mouth net, sha256 {ear_digest()})"
        )
    base = "the portrait" if given.sitter else "the first face of the video itself"
    lines.append(f"{best_judge().name}; against {base}")
    if given.reference:
        lines.append(
            "reference: at the same moments; PSNR over RGB, SSIM of brightness at 512 pixels at most"
        )
    return tuple(lines)


def _notes(given: _Given, heard: Heard | None) -> tuple[str, ...]:
    notes = []
    if heard is not None and "model preview" in given.media.comment:
        notes.append(
            "the preview made this video and its own ear judges the lips: they agree too well by nature"
        )
    elif heard is not None:
        notes.append(
            "the ear that judges the lips hears as the preview does: fair for V1, V2 and recordings only"
        )
    if given.speech is None:
        notes.append("the video has no sound and no --speech was given: lips and sound were not compared")
    elif heard is None:
        notes.append("the sound is silent: lips and sound were not compared")
    if given.sitter is None:
        notes.append("without --portrait, look and person are compared with the video's own first face")
    return tuple(notes)
