"""CSIM, LPIPS, FID and FVD with the user's own networks;
each says its protocol, and compares only with itself."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from echomimic.evaluate.face_meter import Shot
from echomimic.evaluate.likeness import Sitter
from echomimic.evaluate.nets import JudgeNet, Tensor, planes
from echomimic.evaluate.reference import Companion
from echomimic.faces.detect import Face
from echomimic.faces.geometry import umeyama
from echomimic.faces.square import Pyramid, Square
from echomimic.media.image import Picture, resize

# Where ArcFace's 112-pixel input has eyes, nose and mouth corners.
_ARCFACE = np.array(
    [[38.29, 51.70], [73.53, 51.50], [56.03, 71.74], [41.55, 92.37], [70.73, 92.20]], np.float32
)
_ARC_SIDE = 112
# What FID's Inception and FVD's I3D take: other sizes give figures that compare with nobody's.
_INCEPTION_SIDE, _VIDEO_SIDE, CLIP = 299, 224, 16
_LPIPS_SIDE = 256
_CLIP_STEP = 8


def cosine(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Cosine of the angle between two vectors; 0 when one is zero."""
    a, b = np.ravel(np.asarray(first, np.float64)), np.ravel(np.asarray(second, np.float64))
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / length if length else 0.0


def arcface_crop(picture: Picture, face: Face) -> Tensor:
    """(1, 3, 112, 112) in −1 to 1: eyes, nose and mouth corners laid where ArcFace has them."""
    points = face.points[:, :2]
    five = np.stack(
        [points[[33, 133]].mean(0), points[[362, 263]].mean(0), points[1], points[61], points[291]]
    )
    scale, rotation, shift = umeyama(_ARCFACE, five.astype(np.float32))
    x, y = scale * rotation @ np.array([_ARC_SIDE / 2, _ARC_SIDE / 2]) + shift
    angle = float(np.arctan2(rotation[1, 0], rotation[0, 0]))
    crop = Pyramid(picture).cut(Square(float(x), float(y), scale * _ARC_SIDE, angle), _ARC_SIDE)
    return planes(crop * 2 - 1)


class CsimMeter:
    """Series: csim, the cosine between a face network's outputs for portrait and frame.

    The network takes (N, 3, 112, 112) RGB in −1 to 1, aligned as for ArcFace, and gives (N, D).
    """

    def __init__(self, net: JudgeNet, sitter: Sitter, every: int) -> None:
        self._net, self._every = net, every
        self._base = net(arcface_crop(sitter.picture, sitter.face))[0]
        self.protocol = f"CSIM: {net.label}; 112 px, aligned by the face mesh; every {every} frames"

    def read(self, shot: Shot) -> dict[str, float]:
        if shot.face is None or shot.number % self._every:
            return {}
        return {"csim": cosine(self._base, self._net(arcface_crop(shot.picture, shot.face))[0])}

    def totals(self) -> dict[str, float]:
        return {}


def perceptual_distance(net: JudgeNet, first: Tensor, second: Tensor) -> float:
    """LPIPS of two pictures (1, 3, H, W) in −1 to 1.

    A network of two inputs is LPIPS itself and gives the distance. One of a single input gives feature maps
    (1, C, h, w): each is normalised over C, and their squared difference summed over C, averaged over place,
    added up over the maps (Zhang et al. 2018, eq. 1, all weights one).
    """
    if net.inputs == 2:
        return float(np.ravel(net(first, second)[0])[0])
    total = 0.0
    for a, b in zip(net(first), net(second), strict=True):
        a, b = (x.astype(np.float64) / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-10) for x in (a, b))
        total += float(((a - b) ** 2).sum(1).mean())
    return total


class LpipsMeter:
    """Series: lpips against the reference, at 256 pixels, in every so many frames."""

    def __init__(self, net: JudgeNet, companion: Companion, every: int) -> None:
        self._net, self._companion, self._every = net, companion, every
        heads = "own heads" if net.inputs == 2 else "no heads"
        self.protocol = f"LPIPS: {net.label}; {_LPIPS_SIDE} px, {heads}; every {every} frames"

    def read(self, shot: Shot) -> dict[str, float]:
        if shot.number % self._every:
            return {}
        other = self._companion.picture(shot.number)
        if other is None:
            return {}
        pair = (planes(resize(p, _LPIPS_SIDE, _LPIPS_SIDE)[None]) / 127.5 - 1 for p in (shot.picture, other))
        return {"lpips": perceptual_distance(self._net, *pair)}

    def totals(self) -> dict[str, float]:
        return {}


class Gaussian:
    """Mean and covariance of vectors that come one by one."""

    def __init__(self) -> None:
        self.count = 0
        self._sum: npt.NDArray[np.float64] = np.zeros(0)
        self._products: npt.NDArray[np.float64] = np.zeros(0)

    def add(self, vectors: npt.ArrayLike) -> None:
        """Takes (N, D)."""
        rows = np.atleast_2d(np.asarray(vectors, np.float64))
        self._sum = rows.sum(0) + (self._sum if self.count else 0)
        self._products = rows.T @ rows + (self._products if self.count else 0)
        self.count += len(rows)

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        return self._sum / self.count

    @property
    def covariance(self) -> npt.NDArray[np.float64]:
        """With N − 1, as numpy.cov."""
        return (self._products - self.count * np.outer(self.mean, self.mean)) / max(1, self.count - 1)


def frechet_distance(first: Gaussian, second: Gaussian) -> float:
    """|m₁ − m₂|² + tr(C₁ + C₂ − 2 (C₁ C₂)^½) (Heusel et al. 2017),
    the root's trace from symmetric eigenvalues."""
    values, vectors = np.linalg.eigh(first.covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    crossed = np.linalg.eigvalsh(root @ second.covariance @ root)
    traces = (
        np.trace(first.covariance) + np.trace(second.covariance) - 2 * np.sqrt(np.maximum(crossed, 0)).sum()
    )
    return float(((first.mean - second.mean) ** 2).sum() + traces)


class FidMeter:
    """Total: fid between the video's frames and the reference's.

    The network takes (N, 3, 299, 299) RGB in 0 to 1 and gives (N, D); further axes are averaged away.
    """

    def __init__(self, net: JudgeNet, companion: Companion, every: int) -> None:
        self._net, self._companion, self._every = net, companion, every
        self._ours, self._theirs = Gaussian(), Gaussian()
        self.protocol = (
            f"FID: {net.label}; {_INCEPTION_SIDE} px, every {every} frames of this one video: "
            "far fewer pictures than papers use, so never beside their numbers"
        )

    def read(self, shot: Shot) -> dict[str, float]:
        if shot.number % self._every:
            return {}
        for picture, into in (
            (shot.picture, self._ours),
            (self._companion.picture(shot.number), self._theirs),
        ):
            if picture is not None:
                seen = planes(resize(picture, _INCEPTION_SIDE, _INCEPTION_SIDE)[None]) / np.float32(255)
                into.add(_flat(self._net(seen)[0]))
        return {}

    def totals(self) -> dict[str, float]:
        if min(self._ours.count, self._theirs.count) < 2:
            return {}
        return {"fid": frechet_distance(self._ours, self._theirs)}


def _flat(features: Tensor) -> Tensor:
    """(N, D, …) → (N, D)."""
    return np.asarray(features.reshape(*features.shape[:2], -1).mean(2), np.float32)


class FvdMeter:
    """Total: fvd between clips of 16 frames, one starting at every eighth frame, of the video and of the
    reference.

    The network takes (N, 3, 16, 224, 224) RGB in 0 to 1 and gives (N, D).
    """

    def __init__(self, net: JudgeNet, companion: Companion) -> None:
        self._net, self._companion = net, companion
        self._ours, self._theirs = Gaussian(), Gaussian()
        self._clip: deque[tuple[Picture, Picture]] = deque(maxlen=CLIP)
        self.protocol = (
            f"FVD: {net.label}; clips of {CLIP} frames at {_VIDEO_SIDE} px, every {_CLIP_STEP} frames of "
            "this one video: never beside the numbers of papers"
        )

    def read(self, shot: Shot) -> dict[str, float]:
        other = self._companion.picture(shot.number)
        if other is None:
            return {}
        self._clip.append(
            (resize(shot.picture, _VIDEO_SIDE, _VIDEO_SIDE), resize(other, _VIDEO_SIDE, _VIDEO_SIDE))
        )
        if len(self._clip) == CLIP and (shot.number + 1 - CLIP) % _CLIP_STEP == 0:
            for into, frames in zip((self._ours, self._theirs), zip(*self._clip, strict=True), strict=True):
                clip = np.moveaxis(planes(np.stack(frames)), 0, 1)[None] / np.float32(255)
                into.add(_flat(self._net(clip)[0]))
        return {}

    def totals(self) -> dict[str, float]:
        if self._ours.count < 2:
            return {}
        return {"fvd": frechet_distance(self._ours, self._theirs)}
