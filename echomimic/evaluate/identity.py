"""Whether it is still the same person: dlib's public-domain network where it is installed, else mesh and
picture.

The network and the package that carries it: dlib's face ResNet (CC0) in ``face-recognition-models``, extra
``evaluate``. Its file is opened by path; that package's own code is never imported, and its 68-point file
(whose licence excludes commercial use) is never touched.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from echomimic.arrays import Floats
from echomimic.evaluate.face_meter import Shot
from echomimic.evaluate.likeness import Sitter, aligned
from echomimic.faces.detect import Face
from echomimic.faces.geometry import MESH_POINTS, canonical_face, head_pose
from echomimic.faces.square import Pyramid
from echomimic.media.image import Picture

PACKAGE, NETWORK = "face-recognition-models", "dlib_face_recognition_resnet_model_v1.dat"
# Mesh points in dlib's order: outer and inner corner of the image-right eye, of the other, base of the
# nose.
_FIVE = (263, 362, 33, 133, 2)
_CHIP, _PADDING = 150, 0.25
"""dlib's own size and margin of the picture that the network looks at."""
# The side of the aligned crop that is compared without a network: features count, pores and noise do not.
_ROUGH_SCALE = 48
# The rows of the aligned crop from the brows to the tip of the nose: what speech leaves alone.
_FACE_STRIP = (0.14, 0.62)
# Root mean square between two people's mesh shapes (eye distances) is about this; one person's frames stay
# under a third of it (measured on the shipped example and three portraits).
_SHAPE_SPREAD = 0.045


class IdentityJudge(Protocol):
    """Turns a face into what identifies it, and compares two of these."""

    name: str
    """One line: the method, and the digest of its weights."""

    def describe(self, picture: Picture, face: Face) -> Any:
        """What identifies this face."""
        ...

    def similarity(self, first: Any, second: Any) -> float:
        """1 the same, towards 0 (or below) different."""
        ...


def network_path() -> Path | None:
    """Where dlib's face network was installed; None without the packages."""
    if importlib.util.find_spec("dlib") is None:
        return None
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = [Path(str(file.locate())) for file in files if file.name == NETWORK]
    return found[0] if found and found[0].is_file() else None


def best_judge() -> IdentityJudge:
    """dlib's network where it is installed, else the judge that needs nothing."""
    path = network_path()
    return ShapeJudge() if path is None else _dlib_judge(path)


@functools.lru_cache(maxsize=1)
def _dlib_judge(path: Path) -> IdentityJudge:
    return DlibJudge(path)


def digest(path: Path) -> str:
    """The first 12 digits of a file's SHA-256."""
    with path.open("rb") as file:
        return (
            hashlib.file_digest(file, "sha256").hexdigest()[:12]
            if hasattr(hashlib, "file_digest")
            else _sum(file)
        )


def _sum(file: Any) -> str:
    total = hashlib.sha256()
    for block in iter(lambda: file.read(1 << 20), b""):
        total.update(block)
    return total.hexdigest()[:12]


class DlibJudge:
    """dlib's face ResNet: 128 numbers per face; similarity = 1 − d² / 2 for the distance d of two faces.

    dlib counts two faces as one person's when d < 0.6, which is a similarity above 0.82.
    """

    def __init__(self, path: Path) -> None:
        import dlib

        self._dlib = dlib
        self._network = dlib.face_recognition_model_v1(str(path))
        self.name = f"identity: dlib face ResNet (sha256 {digest(path)}), aligned by the face mesh, 1 − d²/2"

    def describe(self, picture: Picture, face: Face) -> npt.NDArray[np.float64]:
        dlib = self._dlib
        x0, y0, x1, y1 = (round(v) for v in face.box)
        points = dlib.points([dlib.point(*(round(float(v)) for v in face.points[i, :2])) for i in _FIVE])
        found = dlib.full_object_detection(dlib.rectangle(x0, y0, x1, y1), points)
        chip = dlib.get_face_chip(np.ascontiguousarray(picture), found, _CHIP, _PADDING)
        return np.array(self._network.compute_face_descriptor(chip), np.float64)

    def similarity(self, first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
        return 1 - float(((first - second) ** 2).sum()) / 2


class ShapeJudge:
    """Without any network: the mesh's shape after the pose is taken out, and the face from brows to nose as a
    picture.

    similarity = (exp(−(rms / spread)²) + correlation of the pictures) / 2. Coarser than a network: it tells
    other people apart when they look different, and it falls when light or expression change much.
    """

    name = "identity: mesh shape and likeness of the face's picture (no network; extra `evaluate` has one)"

    def describe(self, picture: Picture, face: Face) -> tuple[Floats, Floats]:
        crop, _ = aligned(Pyramid(picture), face.points, _ROUGH_SCALE)
        grey = cv2.GaussianBlur(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (0, 0), 2.0)
        rows = slice(*(round(share * len(grey)) for share in _FACE_STRIP))
        strip = grey[rows, round(0.15 * len(grey)) : round(0.85 * len(grey))]
        return _shape(face.points), strip.astype(np.float32)

    def similarity(self, first: tuple[Floats, Floats], second: tuple[Floats, Floats]) -> float:
        rms = float(np.sqrt(((first[0] - second[0]) ** 2).sum(1).mean()))
        alike = float(np.corrcoef(first[1].ravel(), second[1].ravel())[0, 1])
        return (float(np.exp(-((rms / _SHAPE_SPREAD) ** 2))) + alike) / 2


@functools.cache
def _bony() -> npt.NDArray[np.int64]:
    """Mesh points above the mouth: in the canonical face, those higher than the base of the nose."""
    return np.flatnonzero(canonical_face()[:, 1] > canonical_face()[2, 1])


def _shape(points: Floats) -> Floats:
    return head_pose(points).to_canonical(points[:MESH_POINTS])[_bony()][:, :2]


class IdentityMeter:
    """Series: identity against the portrait,
    in every so many frames (else against the first face of the video)."""

    def __init__(self, judge: IdentityJudge, sitter: Sitter | None, every: int) -> None:
        self._judge, self._every, self._due = judge, every, every // 2
        self._base = None if sitter is None else judge.describe(sitter.picture, sitter.face)

    def read(self, shot: Shot) -> dict[str, float]:
        if shot.face is None or (shot.number < self._due and self._base is not None):
            return {}
        found = self._judge.describe(shot.picture, shot.face)
        if self._base is None:
            self._base = found
            return {}
        self._due = shot.number + self._every
        return {"identity": self._judge.similarity(self._base, found)}

    def totals(self) -> dict[str, float]:
        return {}
