"""What the face locator and the pose encoder see: V1's face mask, V1's landmark maps, V2's hand maps.

A guide draws the frames it is asked for, when it is asked for them: nothing is kept for the whole video.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from echomimic.conditions import Conditions
from echomimic.diffusion.pictures import shown, target
from echomimic.errors import DriverError, NoFaceError
from echomimic.faces.crop import Mask, Rect, Size, cut_mask, face_box, face_mask
from echomimic.media.image import Picture
from echomimic.motion.body import BodyPose
from echomimic.motion.draw import as_guide, face_map, pose_map
from echomimic.motion.driver import read_motion
from echomimic.motion.edit import resample, there_and_back
from echomimic.motion.face import FaceMotion
from echomimic.motion.formats import OFFICIAL_FPS

Order = npt.NDArray[np.intp]


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

    mask: Mask
    still: bool = True

    def pictures(self, frames: Sequence[int]) -> Tensor:
        """The mask, whatever the frames."""
        return torch.from_numpy(self.mask)[None, None]

    def digest(self) -> str:
        """Of the mask."""
        return digest_of(self.mask)


@dataclass(frozen=True, eq=False)
class LandmarkGuide:
    """V1 pose: line drawings of a face in motion; ``motion`` is in pixels of the video, ``order`` (F,) says which of
    its frames belongs to each frame of the video."""

    motion: FaceMotion
    order: Order
    size: Size
    draw_mouth: bool = False
    still: bool = False

    def pictures(self, frames: Sequence[int]) -> Tensor:
        """The drawings of ``frames``."""
        points = (self.motion.points[self.order[frame]] for frame in frames)
        return _maps(as_guide(face_map(p, self.size, draw_mouth=self.draw_mouth) for p in points))

    def digest(self) -> str:
        """Of the points and of how they are drawn."""
        return digest_of(self.motion.points, self.order, repr((self.size, self.draw_mouth)))


@dataclass(frozen=True, eq=False)
class HandGuide:
    """V2: line drawings of the hands; ``exact`` as the official script draws them, which is right for squares."""

    pose: BodyPose
    order: Order
    size: Size
    exact: bool = False
    still: bool = False

    def pictures(self, frames: Sequence[int]) -> Tensor:
        """The drawings of ``frames``."""
        drawn = (pose_map(self.pose, self.order[f], self.size, faithful=self.exact) for f in frames)
        return _maps(as_guide(drawn))

    def digest(self) -> str:
        """Of the hands and of how they are drawn."""
        return digest_of(self.pose.hands, self.pose.hand_score, self.order, repr((self.size, self.exact)))


def guide_for(conditions: Conditions, motion: "FaceMotion | BodyPose | None" = None) -> Guide:
    """The guide of the conditions' variant; ``motion`` is the driver's, read by :func:`motion_for` when not given."""
    row = conditions.settings.variant
    if row.guide == "mask":
        return MaskGuide(_mask(conditions))
    motion = motion_for(conditions) if motion is None else motion
    faithful = conditions.settings.faithful
    if row.guide == "hands":
        if not isinstance(motion, BodyPose):
            raise DriverError(f"{row.name} is driven by hands, but the driver shows a face; give V2 pose files")
        pose = motion if faithful else resample(motion, conditions.fps)
        return HandGuide(pose, there_and_back(len(pose), conditions.frames), target(conditions), faithful)
    if not isinstance(motion, FaceMotion):
        raise DriverError(f"{row.name} is driven by a face, but the driver shows hands; give V1 pose files or a video")
    face = motion if faithful else resample(motion, conditions.fps)
    order = there_and_back(len(face), conditions.frames)
    return LandmarkGuide(_onto_portrait(face, conditions), order, target(conditions), conditions.settings.draw_mouth)


def motion_for(conditions: Conditions) -> "FaceMotion | BodyPose":
    """Generates or reads the motion that was asked for; raises :class:`DriverError` when it is of no use here."""
    row, driver = conditions.settings.variant, conditions.driver
    if driver in ("auto", "none"):
        if row.guide == "hands":
            raise DriverError(f"{row.name} needs a driver; give --driver a folder of V2 pose files or a .npz")
        return _spoken(conditions)
    motion = read_motion(driver, conditions.fps if conditions.settings.faithful else OFFICIAL_FPS)
    found = motion.body if row.guide == "hands" else motion.face
    if found is None:
        has = "a face" if row.guide == "hands" else "hands"
        raise DriverError(f"{driver} holds {has} only, which cannot drive {row.name}; give another driver")
    return found


def _spoken(conditions: Conditions) -> FaceMotion:
    """The portrait's own face, moved by the speech, in pixels of the picture."""
    from echomimic.motion.speech import perform
    from echomimic.motion.sync import motion_from_performance

    if conditions.face is None:
        raise NoFaceError("landmarks need a face in the portrait; use a picture that shows one clearly")
    performance = perform(conditions.speech, conditions.frames, conditions.fps, seed=conditions.settings.seed)
    height, width = conditions.picture.shape[:2]
    return motion_from_performance(performance, conditions.face.points, (width, height))


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
        features: Tensor = self.guider(self.guide.pictures(frames).to(self.device, dtype))
        if self.guide.still:
            self._still = features
        return features


def digest_of(*parts: "npt.NDArray[Any] | str") -> str:
    """A short name of arrays and texts."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else repr(part.shape).encode())
        digest.update(b"" if isinstance(part, str) else np.ascontiguousarray(part).data)
    return digest.hexdigest()[:32]


def _maps(guide: npt.NDArray[np.float32]) -> Tensor:
    """(3, n, H, W) → (n, 3, H, W)."""
    return torch.from_numpy(guide).transpose(0, 1)


def _mask(conditions: Conditions) -> Mask:
    """The face mask of the shown part; without a face it covers everything."""
    settings, (width, height) = conditions.settings, target(conditions)
    if conditions.face is None:
        return np.ones((height, width), np.float32)
    size = (conditions.picture.shape[1], conditions.picture.shape[0])
    box = face_box(conditions.face)
    mask = face_mask(box, settings.facemask_ratio, size, faithful=settings.faithful)
    return cut_mask(mask, shown(conditions), (width, height))


def _onto_portrait(motion: FaceMotion, conditions: Conditions) -> FaceMotion:
    """The motion in pixels of the video, done by the portrait's face.

    Generated motion is the portrait's already. ``faithful``: a driver's own points, stretched to the video.
    """
    size, rect = target(conditions), shown(conditions)
    if conditions.driver in ("auto", "none"):
        return FaceMotion(placed(motion.points, rect, size), motion.fps, size, motion.seen)
    if conditions.settings.faithful or conditions.face is None:
        return motion.resized(*size)
    from echomimic.motion.sync import sync_face

    return sync_face(motion, placed(conditions.face.points, rect, size), size)


def placed(points: npt.NDArray[np.float32], rect: Rect, size: Size) -> npt.NDArray[np.float32]:
    """Points (…, 3) in pixels of the video, which shows ``rect`` of the picture at ``size``."""
    scale = np.array([size[0] / (rect[2] - rect[0]), size[1] / (rect[3] - rect[1])], np.float32)
    corner = np.array([rect[0], rect[1], 0], np.float32)
    return np.asarray((points - corner) * np.append(scale, scale[0]), np.float32)
