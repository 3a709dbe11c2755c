"""Keeping house, typed speech, and what is missing."""

import json
import re
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

import echomimic.studio
from echomimic.cli import cli
from echomimic.studio.takes import SETTINGS
from echomimic.studio.voice import voice_ready
from tests.studio.door import EXAMPLE, Door, opened, sound


def test_old_takes_and_unused_files_go_and_starred_ones_stay(tmp_path: Path) -> None:
    with opened(tmp_path / "home") as door:
        portrait_id = door.upload("portrait", (EXAMPLE / "portrait.jpg").read_bytes())
        speech = door.upload("speech", sound(0.4, 2.0), "old.wav")
        alone = door.upload("speech", sound(0.4, 3.0), "alone.wav")
        old, starred = (
            str(door.order(portrait=portrait_id, speech=speech, settings={"size": 64, "seed": n})["take"])
            for n in (1, 2)
        )
        waits = {"portrait": portrait_id, "speech": speech, "settings": {"size": 64}}
        assert door.work() == 2
        queued = str(door.order(**waits)["take"])
        door.client.patch(f"/api/takes/{starred}", json={"star": True})
        for table in ("takes", "assets", "jobs"):
            door.studio.database.change(f"UPDATE {table} SET created = created - 40 * 86400")
        told = door.client.post("/api/clean", json={"dry_run": True}).json()
        assert told["takes"] == 1
        assert door.client.get(f"/api/takes/{old}").status_code == 200
        home = str(door.studio.home.folder)
        done = CliRunner().invoke(cli, ["studio", "clean", "--home", home, "--days", "30"])
        assert done.output.startswith("1 takes and"), done.output
        assert door.client.get(f"/api/takes/{old}").status_code == 404
        assert not door.studio.home.take(old).exists()
        assert door.client.get(f"/api/assets/{alone}").status_code == 404
        for kept in (f"takes/{starred}", f"takes/{queued}", f"assets/{speech}", f"assets/{portrait_id}"):
            assert door.client.get(f"/api/{kept}").status_code == 200
        for take in (starred, queued):
            door.client.delete(f"/api/takes/{take}")
        assert CliRunner().invoke(cli, ["studio", "clean", "--home", f"{home}/none"]).exit_code != 0


def test_sizes_are_told(door: Door, portrait_id: str) -> None:
    sizes = door.client.get("/api/sizes").json()
    assert sizes["assets"] >= door.client.get(f"/api/assets/{portrait_id}").json()["bytes"]
    assert sizes["free"] > 0


def test_forms_are_made_from_the_options(door: Door) -> None:
    told = door.client.get("/api/options").json()
    settings = {option["name"]: option for option in told["settings"]}
    assert settings["head_motion"]["high"] == 2
    assert settings["model"]["choices"][0] == "preview"
    assert not {"weights", "vae", "resume"} & set(settings)
    assert {option["name"] for option in told["request"]} == {"driver", "face", "allow_silence"}
    assert [m["ready"] for m in told["models"] if m["name"] == "preview"] == [True]
    assert "gain" in told["edits"]["ops"]
    schema = door.client.get("/api").json()["components"]["schemas"]["Settings"]["properties"]
    assert schema["head_motion"]["maximum"] == 2


def test_what_is_missing_is_said_with_its_remedy(
    door: Door, portrait_id: str, speech_id: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ECHOMIMIC_HOME", str(tmp_path))
    body = {"portrait": portrait_id, "speech": speech_id, "settings": {"model": "v1"}}
    error = door.client.post("/api/jobs", json=body).json()["error"]
    assert (error["status"], error["kind"]) == (424, "missing")
    assert error["remedy"]
    weights = door.order(kind="weights", model="v1")
    waits = door.client.post("/api/jobs", json=body)
    if error["remedy"].startswith("echomimic weights"):  # else packages are missing, which no job can mend
        assert error["action"] == {"job": {"kind": "weights", "model": "v1"}}
        assert waits.status_code == 201
        assert door.studio.jobs.claim("diffusion", "w-1-1") is None, "it waits for its files"
        fetching = door.studio.jobs.claim("fetch", "w-1-1")
        assert fetching is not None
        assert fetching["id"] == weights["id"]
        door.studio.jobs.requeue()
        door.client.delete(f"/api/jobs/{waits.json()['id']}")
    door.client.delete(f"/api/jobs/{weights['id']}")


def test_typed_text_is_said_sentence_by_sentence(door: Door) -> None:
    text = "A first sentence. And a second one!"
    answer = door.client.post("/api/speech", json={"text": text})
    if not voice_ready():
        assert answer.json()["error"]["remedy"].startswith("pip install")
        pytest.skip("the optional voice is not installed: pip install hibari-tts")
    assert answer.status_code == 201, answer.text
    first, second = answer.json()["info"]["sentences"]
    assert first["text"] + " " + second["text"] == text
    assert 0 == first["start"] < first["stop"] < second["start"] < second["stop"]
    kept = {p: p.stat().st_mtime_ns for p in door.studio.home.voice.glob("*.pcm")}
    assert len(kept) == 2
    time.sleep(0.01)
    again = door.client.post("/api/speech", json={"text": "A first sentence. Another one."})
    assert again.status_code == 201
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    assert len(list(door.studio.home.voice.glob("*.pcm"))) == 3
    for wrong in (
        {"text": ""},
        {"text": "x" * 5001},
        {"text": "a", "speed": 9},
        {"text": "a", "voice": "../x"},
        {},
    ):
        assert door.client.post("/api/speech", json=wrong).status_code == 422


def test_the_page_names_every_option_in_chinese_as_comfyui_does() -> None:
    page = Path(echomimic.studio.__file__).parent / "page"
    told = dict(re.findall(r"^  (\w+): (\[.*\]),$", (page / "i18n_options.js").read_text("utf-8"), re.M))
    assert set(told) == set(SETTINGS) - {"model"}
    locales = Path(__file__).resolve().parents[2] / "locales" / "zh" / "nodeDefs.json"
    nodes = json.loads(locales.read_text("utf-8"))
    known = {
        name: entry["name"]
        for node in ("Echo_LoadModel", "Echo_Sampler", "Echo_PreviewMotion")
        for name, entry in nodes[node]["inputs"].items()
    }
    for name, text in told.items():
        title, help = json.loads(text)
        assert title == known.get(name, title), name
        assert len(help) > 3, name
