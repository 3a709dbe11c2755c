"""The motion recordings the package's small nets are trained on, and how they are split by person.

`talking_motion.npz` and `talking_motion.json` beside it: clips of talking heads at 25 fps as displacement of
the face mesh, head pose and log-mel. Neither pictures nor sound.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from echomimic.motion.speech.log_mel import Level, loud, normalise

Array = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

FPS = 25
MEL_PER_FRAME = 4

LIPS = np.array(
    [
        *(61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 146, 91, 181, 84, 17, 314, 405, 321, 375),
        *(78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 95, 88, 178, 87, 14, 317, 402, 318, 324),
    ]
)
"""The 40 mesh points of both lips, outer and inner contour."""

RESEARCH_ONLY = frozenset({"smeetrs/deep_avsr", "jixinya/EAMM"})
"""Repositories whose clips come from corpora that are for research only (LRS, MEAD):
nothing here learns from them."""

INNER_TOP, INNER_BOTTOM, LEFT_CORNER, RIGHT_CORNER = 13, 14, 61, 291


@dataclass(frozen=True)
class Clip:
    """One recording of F frames.

    shape: (F, 468, 3) displacement from the clip's own closed-mouth neutral. mel: (4F, 80) raw log-mel.
    rotation: (F, 3, 3) canonical to image, y up. centre: (F, 2) head position, image x right, y down, eye
    distances. iris: (F, 2) mean shift of both irises in eye widths. lid: (F,) openness of the eyes, 1 when
    open.
    """

    name: str
    person: str
    kind: str
    repository: str
    shape: Array
    mel: Array
    rotation: Array
    centre: Array
    iris: Array
    lid: Array

    def __len__(self) -> int:
        return len(self.shape)

    @property
    def generated(self) -> bool:
        """Whether another model made this clip."""
        return self.kind.startswith("generated")


@dataclass(frozen=True)
class Recordings:
    """What there is to learn from: the clips, the mean face (468, 3) and each point's mirror image (468,)."""

    clips: list[Clip]
    mean: Array
    mirror: Indices


def load(path: Path) -> Recordings:
    """Read the recordings that may be learned from;
    the json with names and people must lie beside the npz."""
    data = np.load(path)
    rows = json.loads(path.with_suffix(".json").read_text())
    shape = (data["coef"].astype(np.float32) @ data["pca"].astype(np.float32)).reshape(-1, 468, 3)
    mel = data["mel_u8"].astype(np.float32) * np.float32(data["mel_scale"][0]) + np.float32(
        data["mel_scale"][1]
    )
    tracks = {"shape": shape, "pose": data["pose"].astype(np.float32)}
    tracks |= {name: data[name].astype(np.float32) for name in ("iris", "eye")}
    clips = []
    for row, stop, count in zip(rows, np.cumsum(data["frames"]), data["frames"], strict=True):
        part = slice(int(stop - count), int(stop))
        if row["repo"] in RESEARCH_ONLY:
            continue
        sound = realign(
            mel[part.start * MEL_PER_FRAME : part.stop * MEL_PER_FRAME], -row["audio_shift_frames"]
        )
        clips.append(_clip(row, sound, {name: track[part] for name, track in tracks.items()}))
    return Recordings(clips, data["mean"], data["mirror"])


def _clip(row: dict[str, str], mel: Array, tracks: dict[str, Array]) -> Clip:
    pose, iris, eye = tracks["pose"], tracks["iris"], tracks["eye"].mean(1)
    return Clip(
        row["name"],
        row["person"],
        row["kind"],
        row["repo"],
        tracks["shape"],
        mel,
        pose[:, :9].reshape(-1, 3, 3),
        pose[:, 10:12] * np.array([1, -1], np.float32) / pose[:, 9].mean(),
        np.asarray((iris[:, :2] + iris[:, 2:]) / 2, np.float32),
        eye / np.quantile(eye, 0.8),
    )


def realign(mel: Array, frames: int) -> Array:
    """The sound `frames` frames later; the end it moves away from is held.

    `audio_shift_frames` says how far a clip's sound was moved to undo its own offset, but the stored sound
    was moved twice: nets trained only on clips that needed no shift find the others' mouths late by exactly
    minus that number (r of the opening 0.28 as stored, 0.55 moved back once). So one of the two moves is
    undone.
    """
    index = np.arange(len(mel)) - frames * MEL_PER_FRAME
    return np.asarray(mel[np.clip(index, 0, len(mel) - 1)], dtype=np.float32)


def clip_level(mel: Array) -> Level:
    """The level of a recorded clip, as `mel.measure` has it for a sound."""
    energy = mel.mean(1)
    peak = loud(energy)
    spectrum = mel[energy > peak - 6.0].mean(0)
    return Level(float(spectrum.mean()), (spectrum - spectrum.mean()).astype(np.float32), peak)


def clip_input(clip: Clip) -> Array:
    """(4F, 80) normalised log-mel: what the net hears."""
    return normalise(clip.mel, clip_level(clip.mel))


def folds(clips: list[Clip], count: int = 5, seed: int = 1) -> list[set[str]]:
    """People in `count` groups; a fold holds out whole people."""
    people = sorted({clip.person for clip in clips})
    np.random.default_rng(seed).shuffle(people)
    return [set(people[i::count]) for i in range(count)]
