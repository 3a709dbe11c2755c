"""Takes: rendered, edited in part, compared, made again, deleted."""

import io
from collections.abc import Iterator
from typing import Any

import av
import numpy as np
import pytest

from echomimic.media.video_reader import VideoReader
from echomimic.provenance.show import read_provenance
from tests.studio.door import Door

SETTINGS = {"size": 128}
MUTE = {"op": "mute", "start": 0.4, "stop": 1.0}


@pytest.fixture(scope="module")
def take(door: Door, portrait_id: str, speech_id: str) -> Iterator[str]:
    """A small preview of three seconds, rendered; its edits go after every test."""
    job = door.order(portrait=portrait_id, speech=speech_id, settings=SETTINGS)
    assert door.work() == 1
    assert door.client.get(f"/api/jobs/{job['id']}").json()["error"] is None
    yield str(job["take"])
    door.client.delete(f"/api/takes/{job['take']}")


@pytest.fixture(autouse=True)
def unedited(door: Door, take: str) -> Iterator[None]:
    yield
    if door.client.get(f"/api/takes/{take}").status_code == 200:
        edit(door, take)


def edit(door: Door, take: str, *edits: dict[str, object]) -> dict[str, Any]:
    """Puts a list of edits and renders what they change."""
    answer = door.client.put(f"/api/takes/{take}/edits", json={"edits": list(edits)})
    assert answer.status_code == 202, answer.text
    door.work()
    if answer.json()["job"]:
        job = door.client.get(f"/api/jobs/{answer.json()['job']['id']}").json()
        assert (job["state"], job["error"]) == ("done", None)
    return dict(answer.json())


def frames(door: Door, take: str) -> list[bytes]:
    """The decoded frames of the video."""
    path = door.studio.home.take(take) / "video.mp4"
    return [frame.tobytes() for frame in VideoReader(path)]


def different(before: list[bytes], after: list[bytes]) -> list[int]:
    assert len(before) == len(after)
    return [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]


def test_a_job_leaves_a_take_that_can_be_seen(door: Door, take: str) -> None:
    shown = door.client.get(f"/api/takes/{take}").json()
    assert (shown["state"], shown["ready"], shown["revision"], shown["editable"]) == ("done", True, 1, True)
    assert (shown["frames"], shown["fps"], shown["width"], shown["seconds"]) == (75, 25.0, 128, 3.0)
    assert shown["settings"] == SETTINGS
    video = door.client.get(f"/api/takes/{take}/video").content
    with av.open(io.BytesIO(video)) as container:
        assert [s.type for s in container.streams] == ["video", "audio"]
        assert "AI-generated" in container.metadata["comment"]
    part = door.client.get(f"/api/takes/{take}/video", headers={"range": "bytes=0-9"})
    assert (part.status_code, len(part.content)) == (206, 10)
    for picture in ("thumb", "frame?time=1", "map?time=1"):
        assert door.client.get(f"/api/takes/{take}/{picture}").status_code == 200
    assert door.client.get(f"/api/jobs/{shown['job']}/preview").headers["content-type"] == "image/jpeg"
    assert not list(door.studio.home.take(take).glob("playing*"))


def test_an_edit_of_a_second_leaves_all_other_frames_the_same_bytes(door: Door, take: str) -> None:
    before = frames(door, take)
    answer = edit(door, take, {"op": "gain", "track": "head", "start": 1.0, "stop": 2.0, "amount": 0.0})
    assert answer["frames"] == [[25, 50]]
    changed = different(before, frames(door, take))
    assert 20 <= len(changed) <= 25 + 12
    assert min(changed) >= 24
    assert max(changed) < 50 + 12
    assert door.client.get(f"/api/takes/{take}").json()["revision"] == 2
    edit(door, take)
    assert len(different(before, frames(door, take))) <= 25 + 12, "undo draws no more than the edit did"


def test_edits_that_change_nothing_render_nothing(door: Door, take: str) -> None:
    answer = edit(door, take, {"op": "gain", "track": "head", "start": 1, "stop": 2, "amount": 1.0})
    assert (answer["job"], answer["frames"]) == (None, [])
    assert len(door.client.get(f"/api/takes/{take}/edits").json()["edits"]) == 1


def test_edits_show_in_the_curves_before_they_are_saved(door: Door, take: str) -> None:
    mute = {"op": "mute", "track": "mouth", "start": 1.0, "stop": 2.0}
    plain = door.client.get(f"/api/takes/{take}/curves").json()["tracks"]
    tried = door.client.post(f"/api/takes/{take}/curves", json={"edits": [mute]}).json()["tracks"]
    opening, muted = (np.array(tracks["mouth"]["opening"]) for tracks in (plain, tried))
    assert len(opening) == 75
    assert opening[30:45].max() > 0.05
    assert abs(muted[30:45]).max() < 0.001
    assert (opening[:25] == muted[:25]).all()
    assert (opening[50:] == muted[50:]).all()
    assert plain["head"] == tried["head"]
    part = door.client.get(f"/api/takes/{take}/curves?start=1&stop=2").json()
    assert part["tracks"]["mouth"]["opening"] == plain["mouth"]["opening"][25:50]
    assert door.client.get(f"/api/takes/{take}/edits").json()["edits"] == []


def test_a_further_edit_replaces_one_that_waits(door: Door, take: str) -> None:
    mute = {"op": "mute", "track": "mouth", "start": 1.0, "stop": 1.5}
    jobs = [
        door.client.put(f"/api/takes/{take}/edits", json={"edits": [mute] * n}).json()["job"]["id"]
        for n in (1, 2)
    ]
    assert jobs[0] == jobs[1]
    assert door.work() == 1


def test_an_edit_of_what_another_window_changed_is_refused(door: Door, take: str) -> None:
    mine, theirs = (MUTE | {"track": track} for track in ("mouth", "head"))
    edit(door, take, theirs)
    answer = door.client.put(f"/api/takes/{take}/edits", json={"edits": [mine], "was": []})
    assert (answer.status_code, answer.json()["error"]["kind"]) == (409, "conflict")
    assert door.client.get(f"/api/takes/{take}/edits").json()["edits"] == [theirs]
    both = {"edits": [theirs, mine], "was": [theirs]}
    assert door.client.put(f"/api/takes/{take}/edits", json=both).status_code == 202


def test_every_edit_can_be_rendered(door: Door, take: str) -> None:
    motion = door.client.get(f"/api/takes/{take}/motion").content
    borrowed = door.upload("motion", motion, "motion.npz")
    span = {"start": 1.0, "stop": 2.0}
    for one in (
        {"op": "mirror"},
        {"op": "smooth", "seconds": 0.3},
        {"op": "blink", "eyes": "left"},
        {"op": "replace", "source": borrowed, "offset": 0},
        {"op": "replace", "source": take, "offset": 2.5},
    ):
        spans = edit(door, take, {**span, **one})["frames"]
        assert 25 <= spans[0][0] < spans[-1][1] <= 50, one
        edit(door, take)


def test_what_differs_is_told_and_the_same_again_takes_edits_along(
    door: Door, take: str, weights_there: None
) -> None:
    blink = {"op": "blink", "start": 0.5, "stop": 0.8}
    edit(door, take, blink)
    again = door.order(take=take, settings={"seed": 7})
    assert door.work() == 1
    shown = door.client.get(f"/api/takes/{again['take']}").json()
    assert shown["from"] == take
    assert shown["edits"] == [blink]
    assert shown["settings"] == {**SETTINGS, "seed": 7}
    assert shown["differs"] == [{"name": "seed", "value": 7, "other": 0}]
    v1 = door.order(take=take, settings={"model": "v1-pose"}, request={"driver": take})
    waits = door.client.get(f"/api/takes/{v1['take']}").json()
    assert (waits["model"], waits["editable"], waits["ready"], waits["state"]) == (
        "v1-pose",
        False,
        False,
        "queued",
    )
    assert door.client.put(f"/api/takes/{v1['take']}/edits", json={"edits": []}).status_code == 409
    assert door.client.delete(f"/api/jobs/{v1['id']}").status_code == 204
    assert door.client.get(f"/api/takes/{v1['take']}").status_code == 404
    assert door.client.delete(f"/api/takes/{again['take']}").status_code == 204
    assert not door.studio.home.take(str(again["take"])).exists()


def test_takes_are_named_starred_and_listed(door: Door, take: str, portrait_id: str) -> None:
    shown = door.client.patch(f"/api/takes/{take}", json={"name": "the\nbest", "star": True}).json()
    assert (shown["name"], shown["star"]) == ("thebest", True)
    assert [t["id"] for t in door.client.get("/api/takes?star=1").json()["takes"]] == [take]
    saved = door.client.get(f"/api/takes/{take}/video?download=1").headers["content-disposition"]
    assert "thebest-0.mp4" in saved
    assert door.client.delete(f"/api/assets/{portrait_id}").status_code == 409


def test_an_edited_take_still_says_what_it_is(door: Door, take: str) -> None:
    edit(door, take, {"op": "gain", "track": "head", "start": 1, "stop": 2, "amount": 0.5})
    found = read_provenance(door.studio.home.take(take) / "video.mp4")
    assert found.marked


@pytest.mark.slow
def test_a_take_is_measured_once(door: Door, take: str) -> None:
    first = door.client.get(f"/api/takes/{take}/evaluation").json()
    assert {"name", "value", "verdict"} <= set(first["figures"][0])
    assert door.client.get(f"/api/takes/{take}").json()["evaluation"] == first
    edit(door, take, {"op": "mute", "track": "mouth", "start": 1, "stop": 2})
    assert door.client.get(f"/api/takes/{take}").json()["evaluation"] is None


def test_a_video_whose_frames_are_unknown_is_rendered_as_a_whole(door: Door, take: str) -> None:
    (door.studio.home.take(take) / "keys.npy").unlink()
    edit(door, take, {"op": "gain", "track": "head", "start": 1, "stop": 1.2, "amount": 0.5})
    assert (door.studio.home.take(take) / "keys.npy").is_file()
