"""Each metric moves the right way when a fault is planted that it ought to see."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from echomimic.errors import NoFaceError, SettingsError
from echomimic.evaluate.result import Evaluation
from echomimic.evaluate.run import evaluate
from echomimic.media.image import Picture
from echomimic.media.video import VideoReader
from tests.evaluate.clips import EXAMPLE, distort, speech_part, write_clip, write_sound

PORTRAIT = EXAMPLE / "portrait.jpg"


def value(evaluation: Evaluation, name: str) -> float:
    found = evaluation[name]
    assert found is not None, evaluation.figure(name).note
    return found


def test_a_good_clip_is_called_good(good: Evaluation) -> None:
    poor = [f.name for f in good.figures if f.verdict == "poor"]
    assert poor == []
    assert abs(value(good, "lag_ms")) < 15
    assert value(good, "opening_r") > 0.85
    assert value(good, "closure") < 0.3
    assert value(good, "identity") > 0.9
    assert "its own ear judges the lips" in " ".join(good.notes)


@pytest.mark.parametrize("late", [0.08, -0.2])
def test_late_sound_is_found(late: float, good: Evaluation, clip: Path, tmp_path: Path) -> None:
    sound = speech_part(start=0.3 - late)
    shifted = evaluate(clip, speech=write_sound(tmp_path / "s.wav", sound))
    # sound that comes later leaves the mouth earlier
    assert value(shifted, "lag_ms") - value(good, "lag_ms") == pytest.approx(-1000 * late, abs=20)
    assert value(shifted, "opening_r") < value(good, "opening_r") - 0.2
    assert value(shifted, "width_r") < value(good, "width_r")


def test_a_sound_track_that_starts_late_counts_as_late(clip: Path, tmp_path: Path) -> None:
    import subprocess

    late = tmp_path / "late.mp4"
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        clip,
        "-itsoffset",
        "0.12",
        "-i",
        clip,
        "-map",
        "0:v",
        "-map",
        "1:a",
    ]
    if not _has_ffmpeg():
        pytest.skip("ffmpeg makes the late track")
    subprocess.run([*map(str, command), "-c", "copy", str(late)], check=True)
    found = evaluate(late)
    assert value(found, "start_gap_ms") == pytest.approx(120, abs=25)
    assert value(found, "lag_ms") == pytest.approx(-120, abs=25)


def _has_ffmpeg() -> bool:
    import shutil

    return shutil.which("ffmpeg") is not None


@pytest.mark.slow
def test_frozen_mouth_jitter_and_repeats(good: Evaluation, clip: Path, tmp_path: Path) -> None:
    first = next(iter(VideoReader(clip)))
    rng = np.random.default_rng(0)

    def frozen(_: int, frame: Picture) -> Picture:
        changed: Picture = frame.copy()
        changed[104:176] = first[104:176]
        return changed

    still = evaluate(distort(clip, tmp_path / "frozen.mp4", frozen), portrait=PORTRAIT)
    assert value(still, "mouth_motion") < 0.5 * value(good, "mouth_motion")
    assert value(still, "opening_r") < value(good, "opening_r") - 0.3

    def jittered(_: int, frame: Picture) -> Picture:
        move = np.array([[1, 0, rng.normal(0, 1.5)], [0, 1, rng.normal(0, 1.5)]], np.float32)
        return np.asarray(cv2.warpAffine(frame, move, (256, 256), borderMode=cv2.BORDER_REPLICATE), np.uint8)

    shaken = evaluate(distort(clip, tmp_path / "shaken.mp4", jittered), portrait=PORTRAIT)
    assert value(shaken, "jitter") > 2 * value(good, "jitter")
    assert value(shaken, "flicker") > value(good, "flicker")
    assert any(moment.title == "trembling" for moment in shaken.worst)

    frames = list(VideoReader(clip))
    halting = write_clip(
        tmp_path / "halting.mp4", [frames[i // 4 * 4] for i in range(len(frames))], 25, speech_part()
    )
    assert value(evaluate(halting), "frozen") > 60


def test_dark_soft_black_and_flickering_pictures(good: Evaluation, clip: Path, tmp_path: Path) -> None:
    def spoiled(number: int, frame: Picture) -> Picture:
        if number >= 38:
            return np.zeros_like(frame)
        soft = cv2.GaussianBlur(frame, (0, 0), 2.5)
        return (soft * (0.7 if number % 2 else 0.75)).astype(np.uint8)

    found = evaluate(distort(clip, tmp_path / "spoiled.mp4", spoiled), portrait=PORTRAIT)
    assert value(found, "colour") > value(good, "colour") + 5
    assert value(found, "mouth_sharpness") < 0.7 * value(good, "mouth_sharpness")
    assert value(found, "flicker") > 1
    assert value(found, "black") == pytest.approx(100 * (found.frames - 38) / found.frames, abs=0.1)
    assert value(found, "lost") > 10
    assert {"black", "no face"} & {moment.title for moment in found.worst}


def test_a_seam_is_seen_where_the_portrait_has_none(good: Evaluation, clip: Path, tmp_path: Path) -> None:
    def pasted(_: int, frame: Picture) -> Picture:
        changed = frame.astype(np.int16)
        changed[32:224, 48:208] += 14
        return np.clip(changed, 0, 255).astype(np.uint8)

    seamed = evaluate(distort(clip, tmp_path / "seam.mp4", pasted), portrait=PORTRAIT)
    assert value(seamed, "seam") > 8 > value(good, "seam")
    assert seamed.figure("seam").verdict == "poor"

    def labelled(_: int, frame: Picture) -> Picture:
        changed = frame.copy()
        changed[222:248, 120:248] = 30
        changed[228:242, 128:240:5] = 250
        return np.asarray(changed, np.uint8)

    told = evaluate(distort(clip, tmp_path / "label.mp4", labelled), portrait=PORTRAIT)
    assert told.figure("seam").verdict == "good", "a visible label was taken for a seam"


def test_against_itself_a_clip_is_perfect_and_a_rerun_the_same(clip: Path) -> None:
    first, second = (evaluate(clip, reference=clip) for _ in range(2))
    assert first["psnr"] == 100
    for name in ("ssim", "reference_opening_r", "reference_width_r"):
        assert value(first, name) == pytest.approx(1, abs=1e-9)
    assert value(first, "reference_lag_ms") == pytest.approx(0, abs=1e-6)
    assert first.to_json() == second.to_json()


@pytest.mark.slow
def test_a_coarser_file_and_a_late_picture_differ_from_the_reference(clip: Path, tmp_path: Path) -> None:
    def coarse(number: int, frame: Picture) -> Picture:
        small = cv2.resize(frame, (64, 64), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, (256, 256)), np.uint8)

    found = evaluate(distort(clip, tmp_path / "coarse.mp4", coarse), reference=clip)
    assert value(found, "psnr") < 40
    assert value(found, "ssim") < 0.95
    frames = list(VideoReader(clip))
    late = write_clip(tmp_path / "late.mp4", [*frames[:1] * 3, *frames[:-3]], 25, speech_part())
    assert value(evaluate(late, reference=clip), "reference_lag_ms") == pytest.approx(120, abs=20)


def test_inputs_that_cannot_be_used_are_told_in_a_line(clip: Path, tmp_path: Path) -> None:
    from PIL import Image

    Image.effect_noise((200, 200), 60).convert("RGB").save(tmp_path / "noise.png")
    with pytest.raises(NoFaceError, match="no face"):
        evaluate(clip, portrait=tmp_path / "noise.png")
    with pytest.raises(SettingsError, match="no figure"):
        evaluate(clip)["nonsense"]


def test_a_video_without_sound_or_face_still_has_figures(tmp_path: Path) -> None:
    grey = [np.full((120, 160, 3), 128, np.uint8)] * 8
    found = evaluate(write_clip(tmp_path / "grey.mp4", grey, 25, None))
    assert found["lag_ms"] is None
    assert found["identity"] is None
    assert (found["lost"], found["frozen"], found["black"]) == (100, 100, 0)
    assert "no sound" in " ".join(found.notes)
