"""The clients in docs/studio.md, run as they stand against a server of their own."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason='the studio needs its extra: pip install "echomimic-studio[studio]"')

from tests.studio.door import EXAMPLE, sound
from tests.studio.server import ROOT, Server

pytestmark = pytest.mark.slow
MISSING = [tool for tool in ("bash", "curl", "jq") if shutil.which(tool) is None]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("home")) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the clients name: a portrait and a speech."""
    shutil.copy(EXAMPLE / "portrait.jpg", tmp_path / "face.jpg")
    (tmp_path / "speech.mp3").write_bytes(sound(0.6))
    return tmp_path


def client(language: str, server: Server) -> str:
    """The block of the documentation, with this server's address and token."""
    text = (ROOT / "docs" / "studio.md").read_text(encoding="utf-8")
    (block,) = (b for name, b in re.findall(r"```(\w*)\n(.*?)```", text, re.S) if f"{language} " in b)
    for old, new in (("7777", str(server.port)), ("TOKEN=…", f"TOKEN={server.token}")):
        block = block.replace(old, new, 1)
    return str(block.replace('"TOKEN"', repr(server.token)))


def run(command: list[str], folder: Path) -> str:
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert (folder / "talk.mp4").read_bytes()[4:8] == b"ftyp"
    return ran.stderr


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_with_curl(server: Server, folder: Path) -> None:
    told = run(["bash", "-ec", client("curl", server)], folder)
    assert '"state":"done"' in told


def test_in_python(server: Server, folder: Path) -> None:
    program = [sys.executable, "-c", client("import", server)]
    run(program, folder)
    jobs = len(server.ask("GET", "/api/jobs")["jobs"])
    run(program, folder)  # the key is the same: the first video is fetched again
    assert len(server.ask("GET", "/api/jobs")["jobs"]) == jobs
