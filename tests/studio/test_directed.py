"""What directing a preview means for V1 and V2: the motion they follow."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from echomimic.flow import Result
from echomimic.motion.files.motion_file import Motion
from echomimic.motion.load import motion_from
from echomimic.motion.speech.default_pose import default_pose
from echomimic.request import Request
from echomimic.studio import work
from echomimic.studio.worker import Worker
from tests.motion.people import openings
from tests.motion.test_region_hands import waving
from tests.studio.door import Door

MUTE = {"op": "mute", "track": "mouth", "start": 1.0, "stop": 2.0}
STILL = {"op": "mute", "track": "hands", "start": 1.0, "stop": 2.0}


@pytest.fixture(scope="module")
def take(door: Door, portrait_id: str, speech_id: str) -> Iterator[str]:
    """A small preview of three seconds, its mouth and its hands at rest in the second one."""
    job = door.order(portrait=portrait_id, speech=speech_id, settings={"size": 128}, edits=[MUTE, STILL])
    assert door.work() == 1
    yield str(job["take"])
    door.client.delete(f"/api/takes/{job['take']}")


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch, weights_there: None) -> list[Request]:
    """What V1 and V2 are asked for; nothing is rendered."""
    asked: list[Request] = []

    def run(request: Request, *_: object) -> Result:
        asked.append(request)
        Path(request.output).write_bytes(b"a video")
        return Result(str(request.output), 72, 3.0, 24.0, 512, 512, 0, "v1", 1.0)

    monkeypatch.setattr(work, "run", run)
    monkeypatch.setattr(Worker, "engine", lambda *_: None)
    return asked


def rendered(door: Door, take: str, model: str) -> dict[str, object]:
    """The take that was made again with another model."""
    job = door.order(take=take, settings={"model": model})
    assert Worker(door.studio.home, door.studio.database, "diffusion").work_once()
    done = door.client.get(f"/api/jobs/{job['id']}").json()
    assert (done["state"], done["error"]) == ("done", None)
    door.client.delete(f"/api/takes/{job['take']}")
    return dict(done)


def followed(monkeypatch: pytest.MonkeyPatch) -> list[Motion]:
    """The motions that are followed, read while they are there."""
    kept: list[Motion] = []
    run = vars(work)["run"]  # what `requests` put there

    def noting(request: Request, *more: object) -> Result:
        kept.append(motion_from(request.driver))
        made: Result = run(request, *more)
        return made

    monkeypatch.setattr(work, "run", noting)
    return kept


def test_v1_pose_follows_the_face_that_was_directed(
    door: Door, take: str, requests: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = followed(monkeypatch)
    rendered(door, take, "v1-pose")
    face = kept[0].face
    assert face is not None
    opening = openings(face)
    assert len(opening) == 75
    assert np.ptp(opening[30:45]) < 0.01 < np.ptp(opening[:25])


def test_v1_says_that_it_hears_the_sound_alone(door: Door, take: str, requests: list[Request]) -> None:
    done = rendered(door, take, "v1")
    assert requests[0].driver == "auto"
    assert "follows the sound alone" in str(done["notes"])


def test_v2_follows_the_hands_that_were_directed(
    door: Door, take: str, requests: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("echomimic.driving.body.portrait_body", lambda _: default_pose(1, 24.0, (512, 512)))
    kept = followed(monkeypatch)
    rendered(door, take, "v2")
    body = kept[0].body
    assert body is not None
    wrists = body.hands[:, 0, 0, 1]
    assert len(wrists) == 72
    assert np.ptp(wrists[28:44]) < 1e-6 < np.ptp(wrists[:24])


def test_hands_show_as_curves_and_drawn_and_a_take_lends_none(
    door: Door, take: str, portrait_id: str, speech_id: str, weights_there: None
) -> None:
    out = io.BytesIO()
    np.savez(out, **Motion(body=waving()).body.arrays())  # type: ignore[union-attr]
    moving = door.upload("motion", out.getvalue(), "hands.npz")
    at = f"/api/takes/{take}"
    assert door.client.get(f"{at}/hands").json()["tracks"]["hands"] == {"left": [], "right": []}
    lent = {"op": "replace", "track": "hands", "start": 1.0, "stop": 2.0, "source": take}
    assert door.client.put(f"{at}/edits", json={"edits": [lent]}).status_code == 422
    assert door.client.get(f"{at}/map?time=1&of=pose").headers["content-type"] == "image/png"
    job = door.order(
        portrait=portrait_id, speech=speech_id, settings={"model": "v2"}, request={"driver": moving}
    )
    try:
        shown = door.client.get(f"/api/takes/{job['take']}/hands").json()
        tried = door.client.post(f"/api/takes/{job['take']}/hands", json={"edits": [STILL]}).json()
    finally:
        door.client.delete(f"/api/jobs/{job['id']}")
    assert len(shown["tracks"]["hands"]["left"]) == shown["frames"]
    assert np.ptp(shown["tracks"]["hands"]["left"][30:44]) > 0.05
    assert np.ptp(tried["tracks"]["hands"]["left"][30:44]) < 1e-3
