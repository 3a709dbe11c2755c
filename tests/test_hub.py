"""Getting weights from a hub that lives on 127.0.0.1 and misbehaves on demand."""

import errno
import hashlib
import io
import shutil
import threading
import zipfile
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from safetensors.numpy import save

from echomimic import hub
from echomimic.errors import ResourceError, WeightsError
from echomimic.models import layouts
from echomimic.progress import Progress

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """Files by ``repo/name``, and what is to go wrong with them."""

    files: dict[str, bytes] = field(default_factory=dict)
    stops: dict[str, int] = field(default_factory=dict)
    """Break the connection whenever this byte is reached."""
    announced: dict[str, int] = field(default_factory=dict)
    """Sizes in the answer to HEAD, where they are wrong."""
    status: dict[str, int] = field(default_factory=dict)
    token: str | None = None
    moved: bool = False
    """Large files are elsewhere, as on the real hub."""
    headers: dict[str, str] = field(default_factory=dict)
    """Fields of every answer that differ from an honest hub's."""
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, file and range of every request for a file."""

    def gets(self) -> list[tuple[str, str]]:
        return [(name, span) for method, name, span in self.requests if method == "GET"]


class Door(BaseHTTPRequestHandler):
    """Answers as the hub does: commit, ETag, ranges, error codes."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.answer(False)

    def do_GET(self) -> None:
        self.answer(True)

    def answer(self, body: bool) -> None:
        name = self.path.lstrip("/").replace("/resolve/main/", "/").partition("?")[0]
        span = self.headers.get("Range", "")
        if "/resolve/" in self.path:
            self.hub.requests.append((self.command, name, span))
        refused = (
            self.hub.token is not None and self.headers.get("authorization") != f"Bearer {self.hub.token}"
        )
        status = 401 if refused else self.hub.status.get(name, 200 if name in self.hub.files else 404)
        if status != 200:
            code = {401: "GatedRepo", 404: "EntryNotFound"}.get(status, "")
            return self.headers_only(status, {"X-Error-Code": code, "Content-Length": "0"})
        content = self.hub.files[name]
        if self.hub.moved and "/resolve/" in self.path:
            linked = {
                "X-Linked-Size": str(len(content)),
                "X-Linked-ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            }
            port = cast(HTTPServer, self.server).server_port
            elsewhere = f"http://localhost:{port}/{name}?signed=1"
            return self.headers_only(302, {"Location": elsewhere, "Content-Length": "0"} | linked)
        start = int(span.removeprefix("bytes=").rstrip("-") or 0)
        size = len(content) if body else self.hub.announced.get(name, len(content))
        fields = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "Accept-Ranges": "bytes"}
        if start:
            fields["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        self.headers_only(206 if start else 200, fields | {"Content-Length": str(size - start)})
        if body:
            self.send(content, start, self.hub.stops.get(name))

    def headers_only(self, status: int, fields: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in ({"X-Repo-Commit": COMMIT} | fields | self.hub.headers).items():
            self.send_header(key, value)
        self.end_headers()

    def send(self, content: bytes, start: int, stop: int | None) -> None:
        self.wfile.write(content[start:stop])
        if stop is not None:
            self.wfile.flush()
            self.close_connection = True


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with everything v1 and v2 need; no waiting between retries, nothing cached."""
    state = Hub()
    door = type("OwnDoor", (Door,), {"hub": state})
    http = ThreadingHTTPServer(("127.0.0.1", 0), door)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{http.server_port}")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "ECHOMIMIC_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)
    for item in hub.listing():
        state.files[f"{item.repo}/{item.name}"] = content(f"{item.repo}/{item.name}")
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


def content(name: str) -> bytes:
    """A file of its format that opens, and is like no other."""
    filling = np.frombuffer(hashlib.sha256(name.encode()).digest() * 5000, np.uint8)
    if name.endswith(".safetensors"):
        return save({"a": filling})
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a", filling.tobytes())
    return packed.getvalue()


GUIDER = "BadToBest/EchoMimic/face_locator.pth"


def test_into_the_cache(server: Hub, tmp_path: Path) -> None:
    seen: list[Progress] = []
    files = hub.get("v1", report=seen.append)
    for item in hub.items("v1"):
        assert item.path == files.paths[item.component]
        assert item.path.read_bytes() == server.files[f"{item.repo}/{item.name}"]
        assert item.path.is_relative_to(tmp_path / "hub")
    assert [report.done for report in seen] == sorted(report.done for report in seen)
    assert seen[-1].done == seen[-1].total == files.bytes
    assert len(server.gets()) == 6
    assert not list(tmp_path.rglob("*.partial"))


def test_what_is_there_is_not_fetched_again(server: Hub) -> None:
    hub.get("v1")
    server.requests.clear()
    hub.get("v1")
    assert server.requests == []
    hub.get("v1-acc")
    assert [name.rpartition("/")[2] for name, _ in server.gets()] == [
        "denoising_unet_acc.pth",
        "motion_module_acc.pth",
    ]
    hub.get("v2")
    assert sum("whisper" in name or "vae" in name for name, _ in server.gets()) == 0


@pytest.mark.parametrize("into", ["folder", None])
@pytest.mark.parametrize("component", ["guider", "vae"])
def test_what_is_cut_short_is_fetched_again(
    server: Hub, tmp_path: Path, component: str, into: str | None
) -> None:
    folder = tmp_path / into if into else None
    path = hub.get("v1", folder).paths[component]
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    server.requests.clear()
    assert hub.get("v1", folder).paths[component].read_bytes() == whole
    assert len(server.gets()) == 1


@pytest.mark.parametrize(
    "header",
    [
        b"[" * 100_000,
        b"[]",
        b'{"a": {}}',
        b'{"a": {"data_offsets": []}}',
        b'{"a": {"data_offsets": [0, "x"]}}',
        b'{"a": {"data_offsets": [0, 1e999]}}',
    ],
    ids=range(6),
)
def test_a_header_that_is_none_counts_as_cut_short(server: Hub, tmp_path: Path, header: bytes) -> None:
    path = hub.get("v1", tmp_path / "w").paths["vae"]
    whole = path.read_bytes()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    assert hub.get("v1", tmp_path / "w").paths["vae"].read_bytes() == whole


def test_into_a_folder(server: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    hub.get("v1", folder)
    files = hub.get("v2", folder)
    assert files.paths["guider"] == folder / "v2" / "pose_encoder.pth"
    assert files.paths["vae"] == folder / "sd-vae-ft-mse" / "diffusion_pytorch_model.safetensors"
    assert layouts.find("v1", folder).paths["guider"] == folder / "face_locator.pth"
    assert not (tmp_path / "hub").exists()


def test_into_the_home(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECHOMIMIC_HOME", str(tmp_path / "home"))
    assert hub.get("v2").paths["guider"] == tmp_path / "home" / "v2" / "pose_encoder.pth"


@pytest.mark.parametrize("into", ["folder", None])
def test_an_interrupted_transfer_goes_on_where_it_stopped(
    server: Hub, tmp_path: Path, into: str | None
) -> None:
    folder = tmp_path / into if into else None
    server.stops[GUIDER] = 70_000
    with pytest.raises(WeightsError, match=r"face_locator\.pth .* interrupted .*goes on where it stopped"):
        hub.get("v1", folder)
    assert layouts.present("v1", folder).keys() == {"denoising_unet", "motion_module", "reference_unet"}
    server.stops.clear()
    server.requests.clear()
    files = hub.get("v1", folder)
    assert files.paths["guider"].read_bytes() == server.files[GUIDER]
    assert (GUIDER, "bytes=70000-") in server.gets()
    assert not list(tmp_path.rglob("*.partial"))


def test_a_hiccup_is_not_even_noticed(server: Hub, tmp_path: Path) -> None:
    server.stops[GUIDER] = 70_000

    def heal(report: Progress) -> None:
        if report.detail == "face_locator.pth":
            server.stops.clear()

    assert hub.get("v1", tmp_path / "w", heal).paths["guider"].read_bytes() == server.files[GUIDER]
    assert [span for name, span in server.gets() if name == GUIDER] == ["", "bytes=70000-"]


def test_files_that_lie_elsewhere(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    server.moved = True
    server.stops[GUIDER] = 70_000
    with pytest.raises(WeightsError, match="goes on where it stopped"):
        hub.get("v1", tmp_path / "w")
    server.stops.clear()
    assert hub.get("v1", tmp_path / "w").paths["guider"].read_bytes() == server.files[GUIDER]


def test_wrong_size(server: Hub, tmp_path: Path) -> None:
    server.announced[GUIDER] = len(server.files[GUIDER]) + 5
    with pytest.raises(
        WeightsError, match=r"face_locator\.pth of BadToBest/EchoMimic arrived with the wrong size"
    ):
        hub.get("v1", tmp_path / "w")
    assert not (tmp_path / "w" / "face_locator.pth").exists()


def test_a_partial_file_with_other_content_is_thrown_away(server: Hub, tmp_path: Path) -> None:
    etag = hashlib.sha256(server.files[GUIDER]).hexdigest()
    partial = tmp_path / "w" / f".face_locator.pth.{etag[:16]}.partial"
    partial.parent.mkdir()
    partial.write_bytes(b"x" * 70_000)
    with pytest.raises(WeightsError, match=r"arrived damaged .*; run the command again"):
        hub.get("v1", tmp_path / "w")
    assert hub.get("v1", tmp_path / "w").paths["guider"].read_bytes() == server.files[GUIDER]


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (404, r"the hub has no face_locator\.pth of BadToBest/EchoMimic; check HF_ENDPOINT"),
        (401, r"the hub refuses face_locator\.pth .*\(401\); set HF_TOKEN"),
        (503, r"cannot serve face_locator\.pth .*\(HTTP 503\); run the command again later"),
    ],
)
def test_refusals(server: Hub, tmp_path: Path, status: int, says: str) -> None:
    server.status[GUIDER] = status
    with pytest.raises(WeightsError, match=says) as caught:
        hub.get("v1", tmp_path / "w")
    assert "\n" not in str(caught.value)


def test_token(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.token = "hf_secret"
    with pytest.raises(WeightsError, match="set HF_TOKEN") as caught:
        hub.get("v1", tmp_path / "w")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.get("v1", tmp_path / "w")
    assert "hf_secret" not in str(caught.value)


def test_offline(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.get("v1")
    server.requests.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert hub.get("v1").variant == "v1"
    with pytest.raises(WeightsError, match=r"pose_encoder\.pth not found and HF_HUB_OFFLINE forbids"):
        hub.get("v2")
    assert server.requests == []


def test_no_hub_at_all(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WeightsError, match=r"interrupted .*; check the connection"):
        hub.get("v1", tmp_path / "w")


Usage = namedtuple("Usage", "total used free")


def test_too_little_room(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9, 10**5))
    with pytest.raises(ResourceError, match=r"need .* GB, but the disk of .* has 0\.0 GB left"):
        hub.get("v1")
    assert server.gets() == []


def test_disk_full(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(hub._Watched, "write", full)
    with pytest.raises(ResourceError, match="the disk is full"):
        hub.get("v1", tmp_path / "w")


def test_listing(server: Hub, tmp_path: Path) -> None:
    rows = hub.listing()
    assert {row.model for row in rows} == {"v1", "v1-acc", "v1-pose", "v1-pose-acc", "v2", "v2-acc"}
    assert len(rows) == 36
    assert not any(row.path for row in rows)
    sizes = {row.component: row.bytes for row in rows if row.model == "v2"}
    assert sizes["denoising_unet"] == 4 * 849_936_324
    hub.get("v2-acc", tmp_path / "w")
    rows = hub.listing(tmp_path / "w")
    assert {row.component for row in rows if row.model == "v2" and row.path} == {
        "reference_unet",
        "guider",
        "vae",
        "whisper",
    }
    assert server.files["BadToBest/EchoMimicV2/pose_encoder.pth"] == next(
        row.path.read_bytes()
        for row in rows
        if row.path and row.model == "v2-acc" and row.component == "guider"
    )


@pytest.mark.parametrize("into", ["folder", None])
@pytest.mark.parametrize("field", ["ETag", "X-Linked-ETag", "X-Repo-Commit"])
@pytest.mark.parametrize("value", ["../../x", "/x", "..", "a/b", "a\\b", "x.y", "%2e%2e", "a" * 200])
def test_names_from_a_hostile_server_never_become_paths(
    server: Hub, tmp_path: Path, field: str, value: str, into: str | None
) -> None:
    server.headers = {field: f'"{value}"' if "ETag" in field else value}
    before = set(tmp_path.rglob("*"))
    with pytest.raises(WeightsError, match="in a way no hub does; check HF_ENDPOINT"):
        hub.get("v1", tmp_path / into if into else None)
    assert {
        path for path in set(tmp_path.rglob("*")) - before if path.is_file() or path.is_symlink()
    } == set()
