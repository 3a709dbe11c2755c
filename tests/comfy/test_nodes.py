"""What the nodes do, against a stand-in of the server and an engine that costs nothing."""

from fractions import Fraction
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from echomimic.errors import (
    DriverError,
    InputError,
    PictureError,
    ResourceError,
    SettingsError,
    SpeechError,
    WeightsError,
)
from echomimic.media.video import VideoReader
from echomimic.progress import Progress
from echomimic.request import Settings
from tests.comfy.conftest import Interrupted, Server
from tests.conftest import FakeEngine


def sample(nodes: ModuleType, image: Any, audio: Any, model: Any, **widgets: Any) -> Any:
    """The outputs for a batch of one picture."""
    given = {"length": 10, "width": 128, "height": 128, **widgets}
    made = nodes.EchoSampler.execute(image, audio, model, **given)
    return SimpleNamespace(args=[only for (only,) in made.args], ui=made.ui)


def test_the_sampler_gives_frames_sound_rate_and_video(
    nodes: ModuleType, image: torch.Tensor, audio: dict[str, Any], model: Any
) -> None:
    frames, sound, rate, video = sample(nodes, image, audio, model, fps=20.0).args
    assert frames.shape == (10, 128, 128, 3)
    assert frames.dtype == torch.float32
    assert frames[7].unique().tolist() == pytest.approx([7 / 255])
    assert rate == 20.0
    assert sound["sample_rate"] == 24000
    assert sound["waveform"].shape == (1, 2, 12000)
    assert torch.equal(sound["waveform"], audio["waveform"][..., :12000])
    parts = video.get_components()
    assert parts.images is frames
    assert parts.frame_rate == Fraction(20)


def test_the_length_follows_the_speech(nodes: ModuleType, image: Any, audio: Any, model: Any) -> None:
    assert sample(nodes, image, audio, model, length=0, fps=25.0).args[0].shape[0] == 15


def test_inputs_stay_as_they_were(
    nodes: ModuleType, image: torch.Tensor, audio: dict[str, Any], model: Any
) -> None:
    before, wave = image.clone(), audio["waveform"].clone()
    _, sound, *_ = sample(nodes, image, audio, model).args
    sound["waveform"].zero_()
    assert torch.equal(image, before)
    assert torch.equal(audio["waveform"], wave)


def test_half_precision_pictures_are_taken(
    nodes: ModuleType, image: torch.Tensor, audio: Any, model: Any
) -> None:
    with torch.inference_mode():
        assert sample(nodes, image.half(), audio, model).args[0].shape[0] == 10


def test_only_what_the_engine_listens_to_reaches_it(
    nodes: ModuleType, image: Any, audio: Any, model: Any, fake_engine: FakeEngine
) -> None:
    sample(nodes, image, audio, model, cfg=7.0, seed=3, head_motion=0.5)
    settings: Any = fake_engine.seen[0].settings  # type: ignore[attr-defined]
    assert (settings.seed, settings.head_motion, settings.fps) == (3, 0.5, 25.0)
    assert not model.settings.unused()


def test_a_saved_video_lies_in_the_output_folder(
    nodes: ModuleType, image: Any, audio: Any, model: Any, server: Server
) -> None:
    made = sample(nodes, image, audio, model, save_video=True)
    ((name, subfolder, where),) = made.ui["images"]
    assert (name, subfolder, where) == ("EchoMimic_00001_.mp4", "video", "output")
    assert len(list(VideoReader(server.base / "output" / subfolder / name))) == 10
    assert sample(nodes, image, audio, model, save_video=False).ui is None
    assert [p.name for p in (server.base / "output" / "video").iterdir()] == [name]


def test_an_interruption_stops_the_work_and_leaves_nothing(
    nodes: ModuleType, image: Any, audio: Any, model: Any, server: Server, fake_engine: FakeEngine
) -> None:
    server.interrupt_after = server.checks + 6
    with pytest.raises(Interrupted):
        sample(nodes, image, audio, model, save_video=True)
    assert fake_engine.closed == 1
    assert list((server.base / "output").rglob("*.*")) == []


def test_the_bar_moves_forward_to_its_end(
    nodes: ModuleType, image: Any, audio: Any, model: Any, server: Server
) -> None:
    sample(nodes, image, audio, model)
    shown = [value for value, _, _ in server.bar]
    assert shown == sorted(shown)
    assert shown[-1] == server.bar[-1][1]
    kind, picture, side = next(preview for *_, preview in server.bar if preview is not None)
    assert (kind, picture.size, side) == ("JPEG", (128, 128), 512)


def test_the_bar_counts_what_an_engine_reports_of_its_own(server: Server, nodes: ModuleType) -> None:
    from echomimic.comfy.bar import NodeBar

    bar = NodeBar()
    for report in (Progress("face", 1, 1), Progress("denoising", 0, 4), Progress("denoising", 2, 4)):
        bar(report)
    assert 300 < server.bar[-1][0] < 700
    bar(Progress("denoising", 4, 4))
    bar(Progress("rendering", 1, 10))
    assert server.bar[-1][0] >= 800


def test_a_model_is_loaded_once(
    nodes: ModuleType, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []

    def load(settings: Settings, report: object) -> FakeEngine:
        loads.append(settings.model)
        return fake_engine

    monkeypatch.setattr("echomimic.engine.load", load)
    first, again = (nodes.EchoLoadModel.execute(version="Preview").args[0] for _ in range(2))
    assert first is again
    assert loads == ["preview"]


class Networked(FakeEngine):
    """An engine with a network for the server to manage."""

    def __init__(self) -> None:
        super().__init__()
        self.networks = {"denoising_unet": torch.nn.Sequential(torch.nn.Linear(2, 2))}


@pytest.fixture
def installed(server: Server, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights folder with every file of V1 and V2, all empty."""
    from echomimic.variants import VARIANTS

    home = server.base / "models" / "echo_mimic"
    for row in VARIANTS.values():
        for part, name in row.files.items():
            file = home / row.name[:2] / name / ("diffusion_pytorch_model.bin" if part == "vae" else "")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"")
    return home


def test_the_server_manages_the_networks(
    nodes: ModuleType,
    server: Server,
    installed: Path,
    image: Any,
    audio: Any,
    face: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("echomimic.engine.load", lambda *_: Networked())
    model = nodes.EchoLoadModel.execute(version="V1", infer_mode="audio_drived_acc").args[0]
    assert (model.settings.model, model.settings.weights) == ("v1-acc", installed)
    sample(nodes, image, audio, model)
    ((patcher,),) = server.loaded
    assert [type(n) for n in patcher.model.children()] == [torch.nn.Sequential]


def test_more_frames_than_memory_are_refused(
    nodes: ModuleType, image: Any, audio: Any, model: Any, server: Server
) -> None:
    server.memory = 1e6
    with pytest.raises(ResourceError, match=r"10 frames of 128x128 take 0\.0 GB .* lower length"):
        sample(nodes, image, audio, model)


def test_an_interruption_lands_inside_a_network(
    nodes: ModuleType, server: Server, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Networked()
    monkeypatch.setattr("echomimic.engine.load", lambda *_: engine)
    nodes.EchoLoadModel.execute(version="V1")
    engine.networks["denoising_unet"](torch.zeros(1, 2))
    server.interrupt_after = server.checks
    with pytest.raises(Interrupted):
        engine.networks["denoising_unet"](torch.zeros(1, 2))


def test_offloading_is_left_to_the_engine(
    nodes: ModuleType, server: Server, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("echomimic.engine.load", lambda *_: Networked())
    model = nodes.EchoLoadModel.execute(version="V2", offload="model").args[0]
    assert model.patcher is None
    assert model.settings.offload == "model"


@pytest.mark.parametrize(
    ("version", "mode", "name"),
    [
        ("Preview", "pose_acc", "preview"),
        ("V1", "audio_drived", "v1"),
        ("V1", "audio_drived_acc", "v1-acc"),
        ("V1", "pose_normal", "v1-pose"),
        ("V1", "pose_normal_dwpose", "v1-pose"),
        ("V1", "pose_normal_sapiens", "v1-pose"),
        ("v1", "pose_acc", "v1-pose-acc"),
        ("V2", "audio_drived", "v2"),
        ("V2", "pose_normal_dwpose", "v2"),
        ("V2", "pose_acc", "v2-acc"),
    ],
)
def test_modes_of_old_and_new_workflows_are_known(
    nodes: ModuleType, version: str, mode: str, name: str
) -> None:
    from echomimic.comfy.modes import variant_name

    assert variant_name(version, mode) == name
    assert nodes.EchoLoadModel.validate_inputs(version=version, infer_mode=mode) is True


def test_unknown_modes_are_refused_in_words(nodes: ModuleType) -> None:
    assert "choose one of audio_drived" in nodes.EchoLoadModel.validate_inputs(
        version="V1", infer_mode="dance"
    )
    assert "choose one of Preview" in nodes.EchoLoadModel.validate_inputs(version="V3")


def test_missing_weights_are_listed_with_the_command(nodes: ModuleType, server: Server) -> None:
    with pytest.raises(WeightsError) as fault:
        nodes.EchoLoadModel.execute(version="V1", infer_mode="pose_normal")
    said = str(fault.value)
    assert "face_locator_pose.pth" in said
    assert str(server.base / "models" / "echo_mimic") in said
    assert "weights get v1-pose" in said
    assert "\n" not in said


def test_new_weight_files_change_the_loaders_fingerprint(nodes: ModuleType, installed: Path) -> None:
    before = nodes.EchoLoadModel.fingerprint_inputs(version="V1")
    assert nodes.EchoLoadModel.fingerprint_inputs(version="V1") == before
    (installed / "v1" / "denoising_unet.pth").write_bytes(b"newer")
    assert nodes.EchoLoadModel.fingerprint_inputs(version="V1") != before


def test_a_package_that_is_not_installed_is_named(nodes: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: Any) -> None:
        raise ModuleNotFoundError("No module named 'transformers'", name="transformers")

    monkeypatch.setattr("echomimic.engine.load", load)
    with pytest.raises(
        ResourceError, match=r"transformers is not installed; run: .*pip install -r .*requirements\.txt"
    ):
        nodes.EchoLoadModel.execute(version="Preview")


SOUND = torch.zeros(1, 1, 16000)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"audio": {"waveform": SOUND, "sample_rate": 16000}}, SpeechError, "silent"),
        ({"audio": {"waveform": SOUND[..., :0], "sample_rate": 16000}}, SpeechError, "empty"),
        ({"audio": {"waveform": SOUND[..., :100] + 0.5, "sample_rate": 16000}}, SpeechError, "lasts only"),
        ({"audio": None}, SpeechError, "connect a LoadAudio"),
        ({"image": torch.zeros(0, 64, 64, 3)}, PictureError, "connect a LoadImage"),
        ({"model": "a text"}, SettingsError, "connect an Echo_LoadModel"),
        ({"pose_dir": "nowhere"}, DriverError, "choose one of none, auto"),
        ({"pose_dir": "../output"}, DriverError, "choose one of none, auto"),
        ({"driving": torch.zeros(1, 64, 64, 3)}, DriverError, "at least two frames"),
    ],
)
def test_bad_input_is_one_sentence(
    nodes: ModuleType,
    image: Any,
    audio: Any,
    model: Any,
    change: dict[str, Any],
    error: type[Exception],
    says: str,
) -> None:
    given = {"image": image, "audio": audio, "model": model, **change}
    with pytest.raises(error, match=says) as fault:
        sample(nodes, given.pop("image"), given.pop("audio"), given.pop("model"), **given)
    assert "\n" not in str(fault.value)


def test_a_size_that_a_model_cannot_make_names_the_nearest(
    nodes: ModuleType, installed: Path, image: Any, audio: Any, face: None, fake_engine: FakeEngine
) -> None:
    model = nodes.EchoLoadModel.execute(version="V1").args[0]
    with pytest.raises(InputError, match="width 500 is not a multiple of 64; choose 512"):
        sample(nodes, image, audio, model, width=500)


def test_a_picture_without_a_face_is_refused(
    nodes: ModuleType, audio: Any, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("echomimic.conditions.find_faces", lambda *_, **__: [])
    with pytest.raises(InputError, match="no face was found in image; use a picture"):
        sample(nodes, torch.zeros(1, 128, 128, 3), audio, model)


def test_pose_folders_under_the_input_folder_are_offered(
    nodes: ModuleType, server: Server, image: Any, audio: Any, model: Any, fake_engine: FakeEngine
) -> None:
    poses = server.base / "input" / "dance" / "one"
    poses.mkdir(parents=True)
    (poses / "0.npy").write_bytes(b"x")
    (server.base / "input" / "plain").mkdir()
    (server.base / "input" / "talk.npz").write_bytes(b"x")
    offered = {value.id: value for value in nodes.EchoSampler.define_schema().inputs}["pose_dir"].options[
        "options"
    ]
    assert offered == ["none", "auto", "dance/one", "talk.npz"]
    assert nodes.EchoSampler.validate_inputs(pose_dir="dance/one") is True
    assert "choose one of" in nodes.EchoSampler.validate_inputs(pose_dir="gone")
    sample(nodes, image, audio, model, pose_dir="dance/one")
    assert fake_engine.seen[0].driver.name == str(poses)  # type: ignore[attr-defined]


def test_changed_pose_files_are_rendered_anew(nodes: ModuleType, server: Server) -> None:
    file = server.base / "input" / "talk.npz"
    file.write_bytes(b"x")
    before = nodes.EchoSampler.fingerprint_inputs(pose_dir="talk.npz", seed=1)
    assert nodes.EchoSampler.fingerprint_inputs(pose_dir="talk.npz", seed=1) == before
    file.write_bytes(b"longer")
    assert nodes.EchoSampler.fingerprint_inputs(pose_dir="talk.npz", seed=1) != before


def test_a_linked_image_batch_becomes_a_driving_video(
    nodes: ModuleType, server: Server, image: Any, audio: Any, model: Any, fake_engine: FakeEngine
) -> None:
    batch = torch.linspace(0, 1, 4)[:, None, None, None].expand(4, 65, 64, 3)
    for _ in range(2):
        sample(nodes, image, audio, model, driving=batch, fps=12.0)
    (driver,) = {conditions.driver.name for conditions in fake_engine.seen}  # type: ignore[attr-defined]
    assert Path(driver).parent == server.base / "temp"
    video = VideoReader(driver)
    assert (video.fps, video.size) == (12.0, (64, 64))
    levels = [float(frame.mean()) for frame in video]
    assert levels == pytest.approx([0, 85, 170, 255], abs=3)


def test_a_linked_video_file_is_used_where_it_lies(
    nodes: ModuleType, server: Server, image: Any, audio: Any, model: Any, fake_engine: FakeEngine
) -> None:
    from echomimic.comfy.api import InputImpl

    file = server.base / "input" / "talk.mp4"
    file.write_bytes(b"x")
    sample(nodes, image, audio, model, driving=InputImpl.VideoFromFile(str(file)))
    assert fake_engine.seen[0].driver.name == str(file)  # type: ignore[attr-defined]


def test_the_nearest_byte_is_taken(nodes: ModuleType) -> None:
    from echomimic.comfy.values import to_bytes

    every = torch.arange(256, dtype=torch.float32).div(255).expand(3, 1, 256).permute(1, 2, 0)
    assert np.array_equal(to_bytes(every)[0, :, 0], np.arange(256))
    assert to_bytes(torch.full((2, 2, 3), float("nan"))).max() == 0
