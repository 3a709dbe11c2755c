"""Pictures the page lays over others, and single frames of a video."""

import io
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

from echomimic.errors import DriverError
from echomimic.media.image import Picture
from echomimic.motion.body_pose import BodyPose
from echomimic.motion.draw.guide_maps import face_map, pose_map


def overlay(points: npt.NDArray[np.float32], width: int, height: int) -> bytes:
    """The landmark map of a face as PNG, see-through where nothing is drawn."""
    return see_through(face_map(points, (width, height), draw_mouth=True, draw_iris=True, draw_oval=True))


def body_overlay(pose: BodyPose, width: int, height: int) -> bytes:
    """The pose map of a body and hands as PNG, see-through where nothing is drawn."""
    return see_through(pose_map(pose.resized(width, height), 0, (width, height), faithful=False))


def see_through(drawn: Picture) -> bytes:
    """A drawing on black as PNG whose black is see-through."""
    alpha = np.where(drawn.max(2, keepdims=True) > 0, 255, 0).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(np.concatenate([drawn, alpha], axis=2)).save(out, "PNG", compress_level=1)
    return out.getvalue()


def frame_at(path: Path, seconds: float) -> Picture:
    """The frame of a video that is shown at a moment; the last one after its end.
    Raises :class:`DriverError`."""
    with av.open(str(path.absolute())) as container:
        stream = container.streams.video[0]
        base = stream.time_base
        assert base is not None
        container.seek(max(0, int(seconds / base)), stream=stream)
        found: av.VideoFrame | None = None
        for frame in container.decode(stream):
            if found is not None and (frame.time or 0.0) > seconds + 1e-4:
                break
            found = frame
        if found is None:
            raise DriverError("the video holds no frame; upload another")
        return np.asarray(found.to_ndarray(format="rgb24"))
