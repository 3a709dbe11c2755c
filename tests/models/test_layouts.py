"""Finding weights by name in every layout, and saying what is missing when they are not there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given as fuzzed
from hypothesis import settings
from hypothesis import strategies as st

from echomimic.errors import WeightsError
from echomimic.models import layouts
from echomimic.variants import VARIANTS

MODELS = [name for name, row in VARIANTS.items() if row.files]


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode() * 9)
    return folder


def own(*models: str) -> list[str]:
    return [VARIANTS[model].files[part] for model in models for part in layouts.OWN]


VAE = "sd-vae-ft-mse/diffusion_pytorch_model.safetensors"
V1 = [*own("v1", "v1-acc", "v1-pose", "v1-pose-acc"), VAE, "audio_processor/whisper_tiny.pt"]
V2 = [*own("v2", "v2-acc"), VAE, "audio_processor/tiny.pt"]


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty world: no home, an empty cache."""
    monkeypatch.delenv("ECHOMIMIC_HOME", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


@pytest.mark.parametrize("model", MODELS)
def test_official_folder(tmp_path: Path, model: str) -> None:
    folder = touch(tmp_path / "pretrained_weights", *(V1 if model.startswith("v1") else V2))
    for given in (folder, tmp_path):
        files = layouts.find(model, given)
        row = VARIANTS[model]
        assert {part: files.paths[part] for part in layouts.OWN} == {
            p: folder / row.files[p] for p in layouts.OWN
        }
        assert files.paths["vae"] == folder / VAE
        assert files.paths["whisper"] == folder / row.files["whisper"]


def test_node_pack_folder(tmp_path: Path) -> None:
    pack = tmp_path / "ComfyUI" / "models" / "echo_mimic"
    touch(pack, *own("v1"), "audio_processor/whisper_tiny.pt", "unet/diffusion_pytorch_model.bin")
    touch(pack / "v2", *own("v2"))
    vae = touch(pack.parent / "vae", "sdxl_vae.safetensors", "vae-ft-mse-840000-ema-pruned.safetensors")
    for given in (pack, tmp_path / "ComfyUI", pack.parent):
        for model, folder in (("v1", pack), ("v2", pack / "v2")):
            files = layouts.find(model, given)
            assert files.paths["denoising_unet"] == folder / "denoising_unet.pth"
            assert files.paths["vae"] == vae / "vae-ft-mse-840000-ema-pruned.safetensors"
            assert files.paths["whisper"] == pack / "audio_processor/whisper_tiny.pt"
    assert layouts.find("v2", pack / "v2").paths["whisper"] == pack / "audio_processor/whisper_tiny.pt"


def test_another_autoencoder(tmp_path: Path) -> None:
    folder = touch(tmp_path / "w", *own("v1"), "audio_processor/whisper_tiny.pt")
    touch(tmp_path / "vae", "a.safetensors", "b/diffusion_pytorch_model.bin")
    with pytest.raises(WeightsError, match="sd-vae-ft-mse not found"):
        layouts.find("v1", folder)
    for given in ("a.safetensors", "b/diffusion_pytorch_model.bin"):
        assert layouts.find("v1", folder, tmp_path / "vae" / given).paths["vae"] == tmp_path / "vae" / given
    assert layouts.find("v1", folder, tmp_path / "vae" / "b").paths["vae"].parent == tmp_path / "vae" / "b"
    with pytest.raises(WeightsError, match="is no autoencoder"):
        layouts.find("v1", folder, tmp_path / "vae")


def snapshot(tmp_path: Path, repo: str, *names: str) -> Path:
    folder = tmp_path / "hub" / f"models--{repo.replace('/', '--')}"
    touch(folder, "refs/main")
    (folder / "refs" / "main").write_text("abc")
    return touch(folder / "snapshots" / "abc", *names)


def test_hugging_face_cache(tmp_path: Path) -> None:
    first = snapshot(tmp_path, "BadToBest/EchoMimic", *own("v1"), "audio_processor/whisper_tiny.pt")
    second = snapshot(tmp_path, "BadToBest/EchoMimicV2", *own("v2"))
    vae = snapshot(tmp_path, "stabilityai/sd-vae-ft-mse", "diffusion_pytorch_model.safetensors")
    files = layouts.find("v2")
    assert files.paths["guider"] == second / "pose_encoder.pth"
    assert files.paths["vae"] == vae / "diffusion_pytorch_model.safetensors"
    assert files.paths["whisper"] == first / "audio_processor/whisper_tiny.pt"
    assert layouts.find("v1").paths["guider"] == first / "face_locator.pth"


def test_home_comes_before_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot(tmp_path, "BadToBest/EchoMimic", *V1)
    home = touch(tmp_path / "home" / "EchoMimic", *V1)
    monkeypatch.setenv("ECHOMIMIC_HOME", str(tmp_path / "home"))
    assert layouts.find("v1").paths["guider"] == home / "face_locator.pth"


def test_what_is_missing_is_listed_with_the_remedy(tmp_path: Path) -> None:
    folder = touch(tmp_path / "w", *own("v1"))
    (folder / "motion_module.pth").unlink()
    with pytest.raises(WeightsError) as caught:
        layouts.find("v1", folder)
    text = str(caught.value)
    for part in ("motion_module.pth", "sd-vae-ft-mse", "audio_processor/whisper_tiny.pt", str(folder)):
        assert part in text
    assert "echomimic weights get v1" in text
    assert "face_locator.pth" not in text
    assert "\n" not in text


def test_nothing_anywhere(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="echomimic weights get v2"):
        layouts.find("v2")
    with pytest.raises(WeightsError, match="does not exist"):
        layouts.find("v2", tmp_path / "nope")
    touch(tmp_path, "file")
    with pytest.raises(WeightsError, match="is a file; give the folder"):
        layouts.find("v2", tmp_path / "file")
    with pytest.raises(WeightsError, match="needs no weights"):
        layouts.find("preview", tmp_path)


def test_the_other_family_is_noticed(tmp_path: Path) -> None:
    one, two = touch(tmp_path / "a", *V1), touch(tmp_path / "b", *V2)
    with pytest.raises(WeightsError, match=r"holds V1 weights .* but v2-acc needs V2's"):
        layouts.find("v2-acc", one)
    with pytest.raises(WeightsError, match=r"holds V2 weights .* but v1 needs V1's"):
        layouts.find("v1", two)
    assert layouts.model_folder(VARIANTS["v1"], two) is None


def test_converted_folder_and_its_faults(tmp_path: Path) -> None:
    names = dict.fromkeys(layouts.COMPONENTS, "x.safetensors")
    (tmp_path / layouts.CARD).write_text(json.dumps({"format": 1, "models": {"v2": names}}))
    with pytest.raises(WeightsError, match=r"lacks .*x\.safetensors; convert the weights again"):
        layouts.find("v2", tmp_path)
    touch(tmp_path, "x.safetensors")
    assert set(layouts.find("v2", tmp_path).paths.values()) == {tmp_path / "x.safetensors"}
    with pytest.raises(WeightsError, match="holds converted weights of v2 only; convert v1 as well"):
        layouts.find("v1", tmp_path)
    (tmp_path / layouts.CARD).write_text("{")
    with pytest.raises(WeightsError, match="cannot be read"):
        layouts.find("v2", tmp_path)


@pytest.mark.parametrize(
    "card",
    [
        [],
        {"format": 2},
        {"format": 1, "models": ["v2"]},
        {"format": 1, "models": {"v2": {"vae": "x"}}},
        {"format": 1, "models": {"v2": dict.fromkeys(layouts.COMPONENTS, "../x")}},
        {"format": 1, "models": {"v2": dict.fromkeys(layouts.COMPONENTS, "/etc/passwd")}},
        {"format": 1, "networks": []},
    ],
)
def test_cards_that_make_no_sense_are_refused(tmp_path: Path, card: object) -> None:
    (tmp_path / layouts.CARD).write_text(json.dumps(card))
    with pytest.raises(WeightsError, match=r"echomimic\.json is not of format 1"):
        layouts.find("v2", tmp_path)


def test_a_card_nested_too_deep_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / layouts.CARD).write_text("[" * 200_000 + "]" * 200_000)
    with pytest.raises(WeightsError, match=r"echomimic\.json .*; "):
        layouts.find("v2", tmp_path)


def test_fingerprint_follows_the_content(tmp_path: Path) -> None:
    first = layouts.find("v1", touch(tmp_path / "a", *V1))
    copy = layouts.find("v1", touch(tmp_path / "b", *V1))
    assert first.fingerprint() == copy.fingerprint()
    (tmp_path / "b" / "face_locator.pth").write_bytes(b"face_locator.pth" * 8 + b"face_locator.ptH")
    assert first.fingerprint() != copy.fingerprint()
    assert first.bytes == sum(path.stat().st_size for path in first.paths.values())


def test_looking_needs_no_torch() -> None:
    code = "import sys, echomimic.models.layouts; sys.exit('torch' in sys.modules)"
    root = str(Path(__file__).parents[2])
    assert (
        subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": root}).returncode == 0
    )


def test_a_user_without_a_home_has_a_cache_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME", "ECHOMIMIC_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as for a user id without a name
    assert layouts.cache().name == "hub"
    assert layouts.present("v1") == {}


@pytest.mark.parametrize("name", ["n" * 300, "a\0b"])
def test_names_of_folders_that_cannot_be(name: str) -> None:
    with pytest.raises(WeightsError, match="does not exist; give another"):
        layouts.find("v1", Path(name))


KEYS = st.sampled_from(("format", "models", "networks", "v2", "vae"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@fuzzed(st.one_of(JSON.map(json.dumps).map(str.encode), st.binary(max_size=100)))
def test_any_card_is_used_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, card: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp() / "card"
    folder.mkdir(exist_ok=True)
    (folder / layouts.CARD).write_bytes(card)
    with pytest.raises(WeightsError) as caught:
        layouts.find("v2", folder)
    assert "\n" not in str(caught.value)
