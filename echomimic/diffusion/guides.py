"""What the face locator and the pose encoder see: V1's face mask, V1's landmark maps, V2's hand maps.

A guide draws the frames it is asked for, when it is asked for them: nothing is kept for the whole video.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from echomimic.arrays import AnyArray, Floats
from echomimic.conditions import Conditions
from echomimic.diffusion.placement import upload
from echomimic.driving import hands, landmarks
from echomimic.framing.crop import cut_mask, face_box, face_mask
from echomimic.framing.rectangle import Size
from echomimic.media.image import Picture
from echomimic.motion.body_pose import BodyPose
from echomimic.motion.draw.guide_maps import as_guide, face_map, pose_map
from echomimic.motion.face_motion import FaceMotion
from echomimic.progress import Report, silent


class Guide(Protocol):
    """``still`` guides show the same picture for every frame."""

    @property
    def still(self) -> bool: ...

    def pictures(self, frames: Sequence[int]) -> Tensor:
        """(n, C, H, W) float32 in 0…1 of ``frames``; one for all when still."""
        ...

    def digest(self) -> str:
        """A short name of what it draws."""
        ...


@dataclass(frozen=True, eq=False)
class MaskGuide:
    """V1 audio: one mask (H, W) in 0…1 of where the face is."""

    mask: Floats
    still: bool = True

    def pictures(self, frames: Sequence[int]) -> Tensor:
        """The mask, whatever the frames."""
        return torch.from_numpy(self.mask)[None, None]

    def digest(self) -> str:
        """Of the mask."""
        return array_digest(self.mask)


@dataclass(frozen=True, eq=False)
class LandmarkGuide:
    """V1 pose: line drawings of a face in motion; ``motion`` is in pixels of the video, frame by frame."""

    motion: FaceMotion
    size: Size
    draw_mouth: bool = False
    still: bool = False

    def pictures(self, frames: Sequence[int]) -> Tensor:
        """The drawings of ``frames``."""
        points = (self.motion.points[frame] for frame in frames)
        return _maps(as_guide(face_map(p, self.size, draw_mouth=self.draw_mouth) for p in points))

    def digest(self) -> str:
        """Of the points and of how they are drawn."""
        return array_digest(self.motion.points, repr((self.size, self.draw_mouth)))


@dataclass(frozen=True, eq=False)
class HandGuide:
    """V2: line drawings of the hands; ``exact`` as the official script draws them,
    which is right for squares."""

    pose: BodyPose
    size: Size
    exact: bool = False
    still: bool = False

    def pictures(self, frames: Sequence[int]) -> Tensor:
        """The drawings of ``frames``."""
        drawn = (pose_map(self.pose, f, self.size, faithful=self.exact) for f in frames)
        return _maps(as_guide(drawn))

    def digest(self) -> str:
        """Of the hands and of how they are drawn."""
        return array_digest(self.pose.hands, self.pose.hand_score, repr((self.size, self.exact)))


def guide_for(conditions: Conditions, report: Report = silent) -> Guide:
    """The guide of the conditions' variant. Raises :class:`DriverError` when its driver is of no use here."""
    settings, size = conditions.settings, conditions.view.size
    if settings.variant.guide == "mask":
        return MaskGuide(_mask(conditions))
    if settings.variant.guide == "hands":
        return HandGuide(hands(conditions, report), size, settings.faithful)
    return LandmarkGuide(landmarks(conditions, report), size, settings.draw_mouth)


def guide_pictures(conditions: Conditions) -> Iterator[Picture]:
    """What the guide shows, frame by frame, to look at: (H, W, 3) uint8."""
    guide = guide_for(conditions)
    for frame in range(conditions.frames):
        drawn = (guide.pictures([frame])[0] * 255).to(torch.uint8).permute(1, 2, 0).numpy()
        yield np.ascontiguousarray(np.broadcast_to(drawn, (*drawn.shape[:2], 3)))


class GuideFeatures:
    """A guide seen through the guider: (n or 1, 320, h, w) for a window's frames; of a still guide once."""

    def __init__(self, guider: nn.Module, guide: Guide, device: torch.device) -> None:
        self.guider, self.guide, self.device = guider, guide, device
        self._still: Tensor | None = None

    @torch.inference_mode()
    def __call__(self, frames: Sequence[int]) -> Tensor:
        """Features of ``frames``."""
        if self._still is not None:
            return self._still
        dtype = next(self.guider.parameters()).dtype
        features: Tensor = self.guider(upload(self.guide.pictures(frames), self.device, dtype))
        if self.guide.still:
            self._still = features
        return features


def array_digest(*parts: "AnyArray | str") -> str:
    """A short name of arrays and texts."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else repr(part.shape).encode())
        digest.update(b"" if isinstance(part, str) else np.ascontiguousarray(part).data)
    return digest.hexdigest()[:32]


def _maps(guide: npt.NDArray[np.float32]) -> Tensor:
    """(3, n, H, W) → (n, 3, H, W)."""
    return torch.from_numpy(guide).transpose(0, 1)


def _mask(conditions: Conditions) -> Floats:
    """The face mask of the shown part; without a face it covers everything."""
    settings, (width, height) = conditions.settings, conditions.view.size
    if conditions.face is None:
        return np.ones((height, width), np.float32)
    size = (conditions.picture.shape[1], conditions.picture.shape[0])
    box = face_box(conditions.face)
    mask = face_mask(box, settings.facemask_ratio, size, faithful=settings.faithful)
    return cut_mask(mask, conditions.view.rect, (width, height))
