"""The two judges of the person, the hands' scores, and pictures out of the middle of a video."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from echomimic.evaluate import hand_meter, identity
from echomimic.evaluate.face_meter import Shot
from echomimic.evaluate.hand_meter import HandMeter
from echomimic.evaluate.identity import DlibJudge, IdentityJudge, IdentityMeter, ShapeJudge
from echomimic.evaluate.likeness import Sitter
from echomimic.faces.body import Hand
from echomimic.faces.detect import find_faces
from echomimic.media.image import Picture, read_picture
from echomimic.media.video import VideoReader
from tests.evaluate.clips import EXAMPLE

NETWORK = identity.network_path()


@pytest.fixture(scope="module")
def portrait() -> Sitter:
    picture = read_picture(EXAMPLE / "portrait.jpg")
    return Sitter(picture, find_faces(picture, refine=False)[0])


def stranger(sitter: Sitter) -> Sitter:
    """Somebody with another face: the same picture, pulled narrow above and wide below, and mirrored."""
    height, width = sitter.picture.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    pull = 1.5 - 0.9 * y / height
    warped = cv2.remap(sitter.picture, (x - width / 2) * pull + width / 2, y, cv2.INTER_LINEAR)
    picture = np.asarray(cv2.flip(warped, 1), np.uint8)
    return Sitter(picture, find_faces(picture, refine=False)[0])


def told(judge: IdentityJudge, base: Sitter, other: Sitter) -> float:
    meter = IdentityMeter(judge, base, 1)
    return meter.read(Shot(0, other.picture, other.face))["identity"]


def check(judge: IdentityJudge, portrait: Sitter) -> None:
    assert told(judge, portrait, portrait) == pytest.approx(1, abs=1e-4)
    shrunk = cv2.resize(portrait.picture, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    small: Picture = np.asarray(shrunk, np.uint8)
    same = Sitter(small, find_faces(small, refine=False)[0])
    alike, unlike = told(judge, portrait, same), told(judge, portrait, stranger(portrait))
    assert alike > 0.95
    assert unlike < alike - 0.05


def test_without_packages_the_shape_tells(portrait: Sitter) -> None:
    check(ShapeJudge(), portrait)


@pytest.mark.skipif(NETWORK is None, reason="needs the extra `evaluate`")
def test_the_network_tells_and_its_package_is_never_imported(portrait: Sitter) -> None:
    assert NETWORK is not None
    judge = DlibJudge(NETWORK)
    check(judge, portrait)
    assert "sha256 55533b28a958" in judge.name
    assert "face_recognition_models" not in sys.modules


def test_without_a_portrait_the_first_face_is_the_base(portrait: Sitter) -> None:
    meter = IdentityMeter(ShapeJudge(), None, 2)
    shots = [Shot(i, portrait.picture, portrait.face) for i in range(3)]
    assert meter.read(shots[0]) == {}
    assert meter.read(shots[1])["identity"] == pytest.approx(1, abs=1e-4)
    assert meter.read(shots[2]) == {}


def test_hands_are_scored_while_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    def find(picture: Picture) -> list[Hand]:
        looks.append(int(picture[0, 0, 0]))
        return [Hand(np.zeros((21, 3), np.float32), s, 1.0) for s in (0.9, 0.7)] if picture[0, 0, 0] else []

    monkeypatch.setattr(hand_meter, "find_hands", find)
    shown, empty = np.full((8, 8, 3), 9, np.uint8), np.zeros((8, 8, 3), np.uint8)
    meter = HandMeter(2)
    assert meter.read(Shot(0, shown, None)) == {"hands": pytest.approx(0.8)}
    assert meter.read(Shot(1, shown, None)) == {}
    bare = HandMeter(1)
    looks.clear()
    for number in range(20):
        assert bare.read(Shot(number, empty, None)) == {}
    assert len(looks) == 4


def test_pictures_from_the_middle_are_those_that_iterating_shows(clip: Path) -> None:
    reader = VideoReader(clip)
    frames = list(reader)
    chosen = [0, 11, 12, len(frames) - 1]
    found = list(reader.at([i / reader.fps for i in chosen]))
    for index, picture in zip(chosen, found, strict=True):
        assert picture is not None
        assert np.array_equal(picture, frames[index]), index
