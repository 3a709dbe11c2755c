"""Motion from a video. The clip beside this file was rendered by the preview engine
from the shipped portrait."""

from pathlib import Path

import av
import numpy as np
import pytest

from echomimic.errors import DriverError
from echomimic.media.video import VideoReader
from echomimic.motion.draw.contact_sheet import describe
from echomimic.motion.files.motion_file import Motion
from echomimic.motion.retarget.to_performance import performance_from_motion
from echomimic.motion.track.video import extract
from echomimic.progress import NoteTaker, Progress, silent
from tests.motion.people import face_of

CLIP = Path(__file__).with_name("clip.mp4")
# The clip's head was turned by 0.22 sin(2.6 t) radians, its mouth opened by the speech as follows in every
# third frame.
MOUTH = (0, 22, 62, 200, 163, 80, 42, 143, 0, 0, 13, 34, 82, 180, 62, 6, 81)


@pytest.fixture(scope="module")
def extracted() -> tuple[Motion, list[Progress]]:
    notes: list[Progress] = []
    return extract(CLIP, notes.append), notes


def video(path: Path, frames: list[np.ndarray]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_head_and_mouth_are_the_ones_that_were_rendered(extracted: tuple[Motion, list[Progress]]) -> None:
    motion = face_of(extracted[0])
    assert (len(motion), motion.fps, motion.size) == (50, 25.0, (256, 256))
    performance = performance_from_motion(motion)
    turned = np.sin(2.6 * np.arange(50) / 25)
    assert np.corrcoef(performance.rotation[:, 1], turned)[0, 1] > 0.98
    opened = np.linalg.norm(motion.points[:, 13] - motion.points[:, 14], axis=1)
    assert np.corrcoef(opened[::3], MOUTH)[0, 1] > 0.9


def test_progress_is_told_and_nothing_is_missing(extracted: tuple[Motion, list[Progress]]) -> None:
    motion, notes = extracted
    assert [note.done for note in notes][:3] == [0, 5, 10]
    assert {note.total for note in notes} == {50}
    assert describe(motion).face == 1.0
    assert describe(motion).jumps == ()


def test_frames_without_a_face_are_bridged_and_told(tmp_path: Path) -> None:
    frames = list(VideoReader(CLIP))[:16]
    for lost in (5, 6, 7):
        frames[lost] = np.zeros_like(frames[0])
    report = NoteTaker(silent)
    motion = face_of(extract(video(tmp_path / "gap.mp4", frames), report))
    assert np.flatnonzero(~motion.seen).tolist() == [5, 6, 7]
    assert report.notes == ["3 of 16 frames without a face were bridged"]
    steps = np.abs(np.diff(motion.points[:, :, 0], axis=0)).mean(1)
    assert steps[4:8].max() < 3 * np.median(steps) + 1


def test_one_of_two_faces(tmp_path: Path) -> None:
    frames = list(VideoReader(CLIP))[:6]
    small = [np.zeros((256, 512, 3), np.uint8) for _ in frames]
    for both, frame in zip(small, frames, strict=True):
        both[:, :256], both[64:192, 320:448] = frame, frame[::2, ::2]
    path = video(tmp_path / "two.mp4", small)
    places = [float(face_of(extract(path, face=number)).points[:, 1, 0].mean()) for number in (0, 1)]
    assert places[0] < 256 < places[1]
    with pytest.raises(DriverError, match="fewer than 3 faces"):
        extract(path, face=2)


def test_a_video_without_a_face(tmp_path: Path) -> None:
    path = video(tmp_path / "grey.mp4", [np.full((64, 64, 3), 90, np.uint8)] * 3)
    with pytest.raises(DriverError, match=r"no face was found in .*grey\.mp4"):
        extract(path)
