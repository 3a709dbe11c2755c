"""What comes in: judged by what it is, stored under names of ours, refused before it fills the disk."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from echomimic.option import options
from echomimic.request import Settings
from tests.studio.door import EXAMPLE, MOST, Door, sound

TRAVERSALS = (
    "..",
    "../",
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/etc/passwd",
    "%2e%2e%2f",
    "....//....//",
    "..\\..\\windows",
    "..%5c..%5c",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "//etc/passwd",
    "C:\\windows\\win.ini",
    "c:/",
    "\\\\server\\share",
    "%5c%5cserver%5cshare",
    "file:///etc/passwd",
    "~",
    "~root/.ssh",
    ".",
    "./studio.db",
    "studio.db",
    "token",
    "../token",
    "..%00/token",
    "%00",
    "a%00.jpg",
    "p%0a",
    "p%0d%0aset-cookie:x",
    "..;/",
    "..%c0%af",
    "%252e%252e",
    "%252e%252e%252f",
    "p/../../token",
    "p%2f..%2f..%2ftoken",
    "....",
    " ..",
    ".. ",
    "%20..%20",
    "..%2ftoken%3f",
)


def stored(door: Door) -> dict[Path, int]:
    folder = door.studio.home.folder
    return {
        p: p.stat().st_size
        for p in (*folder.glob("files/*/*"), *folder.glob("incoming/*"), *folder.glob("*.*/*"))
    }


@pytest.mark.parametrize("text", TRAVERSALS)
def test_names_are_never_paths(door: Door, text: str) -> None:
    secret = door.studio.home.folder / "token"
    secret.write_text("a secret")
    outside = set(door.studio.home.folder.parent.iterdir())
    for path in (
        f"/api/assets/{text}/file",
        f"/api/assets/{text}",
        f"/api/takes/{text}/video",
        f"/api/jobs/{text}/result",
        f"/api/takes/{text}/thumb",
        f"/{text}",
        f"/page/{text}",
    ):
        answer = door.client.get(path)
        assert answer.status_code in (200, 303, 404) and "secret" not in answer.text, path  # noqa: PT018
        assert answer.status_code != 200 or answer.headers["content-type"] == "application/json", path
    for field in ("portrait", "speech", "take"):
        assert door.client.post("/api/jobs", json={field: text}).status_code in (404, 422)
    assert door.client.post("/api/still", json={"portrait": text}).status_code == 404
    driver = {"portrait": "p", "speech": "s", "request": {"driver": text}}
    assert door.client.post("/api/jobs", json=driver).status_code == 404
    answer = door.client.post("/api/assets", params={"kind": "portrait", "name": text}, content=b"no picture")
    assert answer.status_code == 415
    assert set(door.studio.home.folder.parent.iterdir()) == outside


@pytest.mark.parametrize("name", [o.name for o in options(Settings) if o.type is Path or "url" in o.name])
def test_no_setting_names_a_file_or_an_address(
    door: Door, portrait_id: str, speech_id: str, name: str
) -> None:
    chosen = {"settings": {name: "/etc/passwd"}, "portrait": portrait_id}
    for path in ("/api/still", "/api/jobs"):
        answer = door.client.post(path, json={**chosen, "speech": speech_id})
        assert (answer.status_code, answer.json()["error"]["kind"]) == (422, "invalid"), path
    assert name not in {option["name"] for option in door.client.get("/api/options").json()["settings"]}


def test_no_other_server_setting_is_taken(door: Door, portrait_id: str, speech_id: str) -> None:
    for name in ("device", "devices", "offload", "resume"):
        body = {"portrait": portrait_id, "speech": speech_id, "settings": {name: "auto"}}
        assert door.client.post("/api/jobs", json=body).status_code == 422, name
    for name in ("output", "overwrite", "portrait", "speech"):
        body = {"portrait": portrait_id, "speech": speech_id, "request": {name: "/tmp/x"}}
        assert door.client.post("/api/jobs", json=body).status_code == 422, name


def broken() -> Iterator[tuple[str, bytes]]:
    """Files that are cut, changed or of another kind than told, always the same ones."""
    draw = random.Random(4)
    picture, speech = (EXAMPLE / "portrait.jpg").read_bytes(), sound(0.5)
    for number in range(25):
        data = bytearray(picture[: draw.randrange(2, 600)])
        data += bytes(draw.randrange(256) for _ in range(draw.randrange(100)))
        yield "portrait", bytes(data)
        yield "speech", bytes(draw.randrange(256) for _ in range(draw.randrange(1, 3000)))
        yield (
            "motion",
            b"PK\x03\x04" + bytes(draw.randrange(256) for _ in range(200)) if number % 2 else picture,
        )
        yield "video", speech[:40] + bytes(number)
    yield "portrait", speech
    yield "speech", picture
    yield "video", speech
    yield "speech", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"
    yield "video", b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:1/a.ts\n#EXT-X-ENDLIST\n"
    yield "speech", b"ffconcat version 1.0\nfile '/etc/passwd'\n"
    yield "speech", b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n"
    yield "video", b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"></MPD>'
    yield "portrait", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    yield "portrait", b"P6 30000 30000 255\n"


@pytest.mark.slow
def test_broken_files_are_refused_and_leave_nothing(door: Door) -> None:
    before, count = stored(door), 0
    for kind, data in broken():
        answer = door.client.post(f"/api/assets?kind={kind}", content=data)
        assert answer.status_code == 415, (kind, data[:40], answer.text)
        assert "\n" not in answer.json()["error"]["message"]
        assert str(door.studio.home.folder) not in answer.text
        count += 1
    assert count >= 100
    assert stored(door) == before


def test_a_phones_picture_with_a_second_one_in_it_is_a_jpeg(door: Door, tmp_path: Path) -> None:
    """Pillow calls it MPO."""
    with Image.open(EXAMPLE / "portrait.jpg") as picture:
        picture.save(tmp_path / "p.mpo", save_all=True, append_images=[picture])
    answer = door.client.post("/api/assets?kind=portrait", content=(tmp_path / "p.mpo").read_bytes())
    assert answer.status_code in (200, 201), answer.text
    assert door.client.get(f"/api/assets/{answer.json()['id']}/file").headers["content-type"] == "image/jpeg"


def test_too_much_is_refused_before_it_is_stored(door: Door) -> None:
    before = stored(door)
    answer = door.client.post("/api/assets?kind=speech", content=b"0" * (MOST + (1 << 17)))
    assert (answer.status_code, answer.json()["error"]["kind"]) == (413, "too_large")

    def unannounced() -> Iterator[bytes]:
        for _ in range(MOST >> 15):
            yield b"0" * (1 << 16)

    assert door.client.post("/api/assets?kind=speech", content=unannounced()).status_code == 413
    form = {"file": ("a.wav", b"0" * (MOST + (1 << 17)))}
    assert door.client.post("/api/assets?kind=speech", files=form).status_code == 413
    assert stored(door) == before


def test_the_same_file_twice_is_one_asset(door: Door, portrait_id: str) -> None:
    data = (EXAMPLE / "portrait.jpg").read_bytes()
    again = door.client.post("/api/assets?kind=portrait", files={"file": ("../../me.jpg", data)})
    assert (again.status_code, again.json()["id"]) == (200, portrait_id)
    assert door.client.get(f"/api/assets/{portrait_id}/file").content == data
    part = door.client.get(f"/api/assets/{portrait_id}/file", headers={"range": "bytes=2-5"})
    assert (part.status_code, part.content) == (206, data[2:6])


def test_names_are_only_shown(door: Door) -> None:
    id = door.upload("speech", sound(0.4, 1.0), "..%2F..%2Fa%00b%1b[31m.wav")
    assert door.client.get(f"/api/assets/{id}").json()["name"] == "ab[31m.wav"
    assert door.client.delete(f"/api/assets/{id}").status_code == 204
    assert door.client.get(f"/api/assets/{id}").status_code == 404


def test_faces_are_boxed_and_peaks_are_counted(door: Door, portrait_id: str, speech_id: str) -> None:
    found = door.client.get(f"/api/assets/{portrait_id}/faces").json()
    (face,) = found["faces"]
    left, top, right, bottom = face["box"]
    assert 0 < left < right < found["width"]
    assert 0 < top < bottom < found["height"]
    assert face["head"][0] <= left
    assert face["usable"]
    peaks = door.client.get(f"/api/assets/{speech_id}/peaks?bins=30&start=0.5&stop=2").json()
    assert len(peaks["peaks"]) == 30
    assert 0.2 < max(peaks["peaks"]) <= 1
    map = door.client.get(f"/api/assets/{portrait_id}/map")
    assert map.headers["content-type"] == "image/png"


def test_a_still_follows_the_sliders(door: Door, portrait_id: str, speech_id: str) -> None:
    import io

    from PIL import Image

    def still(**more: Any) -> np.ndarray:
        small = {"size": 128, **more.pop("settings", {})}
        answer = door.client.post("/api/still", json={"portrait": portrait_id, "settings": small, **more})
        assert answer.status_code == 200, answer.text
        return np.asarray(Image.open(io.BytesIO(answer.content))).astype(int)

    rest = still(pose={})
    assert rest.shape == (128, 128, 3)
    assert np.abs(still(pose={"mouth": 1}) - rest).max() > 40
    assert np.abs(still(pose={"blink": 1}) - rest).max() > 40
    lively, calm = (still(speech=speech_id, time=1.0, settings={"expressiveness": x}) for x in (1.0, 0.0))
    assert np.abs(lively - calm).max() > 20
    assert (still(speech=speech_id, time=1.0) == lively).all()
