"""What a run says and carries: remarks on the node, its own words, tags,
the workflow, one video per picture."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from echomimic.errors import DriverError, InputError, SettingsError, SpeechError
from echomimic.motion.speech.mouth_model import mouth_model
from echomimic.progress import Progress
from tests.comfy.conftest import Interrupted, Server
from tests.conftest import FakeEngine

ROOT = Path(__file__).resolve().parents[2]
SMALL: dict[str, Any] = {"length": 4, "width": 128, "height": 128}


@pytest.fixture
def fast(nodes: ModuleType, model: Any) -> Any:
    """The accelerated V1 over the engine that costs nothing."""
    from dataclasses import replace

    return replace(model, settings=replace(model.settings, model="v1-acc"))


@pytest.mark.parametrize(
    ("shown", "used", "remarks"),
    [
        ({}, (6, 1.0), 2),
        ({"steps": 30, "cfg": 2.5}, (6, 1.0), 2),
        ({"steps": 8, "cfg": 2.5}, (8, 1.0), 1),
        ({"steps": 30, "cfg": 1.5}, (6, 1.5), 1),
        ({"steps": 6, "cfg": 1.0}, (6, 1.0), 0),
    ],
)
def test_acc_takes_its_own_steps_unless_others_were_chosen(
    nodes: ModuleType,
    image: Any,
    audio: Any,
    fast: Any,
    fake_engine: FakeEngine,
    shown: dict[str, Any],
    used: tuple[int, float],
    remarks: int,
) -> None:
    made = nodes.EchoSampler.execute(image, audio, fast, **SMALL, **shown)
    settings: Any = fake_engine.seen[0].settings  # type: ignore[attr-defined]
    assert (settings.steps, settings.cfg) == used
    said = (made.ui or {}).get("text", [])
    assert len([note for note in said if "instead of" in note]) == remarks


def test_remarks_stand_on_the_node_once(nodes: ModuleType, image: Any, audio: Any, model: Any) -> None:
    made = nodes.EchoSampler.execute(image, audio, model, **SMALL, banana=1, face_detector=None)
    assert made.ui["text"] == [
        "banana is no input of this node: it was ignored",
        "face_detector is no input of this node: it was ignored",
    ]


def test_the_loader_gives_two_empty_outputs(nodes: ModuleType, fake_engine: FakeEngine) -> None:
    made = nodes.EchoLoadModel.execute(version="Preview", lowvram=True)
    assert made.args[1:] == (None, None)
    assert made.ui["text"] == ["lowvram is no input of this node: it was ignored"]


def test_messages_speak_of_inputs(nodes: ModuleType, image: Any, model: Any) -> None:
    silent = {"waveform": torch.zeros(1, 1, 16000), "sample_rate": 16000}
    with pytest.raises(SpeechError, match=r"or allow_silence for an idle video") as fault:
        nodes.EchoSampler.execute(image, silent, model, **SMALL)
    assert "--" not in str(fault.value)
    assert len(nodes.EchoSampler.execute(image, silent, model, **SMALL, allow_silence=True).args[0]) == 1


@pytest.mark.parametrize(
    ("linked", "said"),
    [(False, "give pose_dir a video, or --banana"), (True, "give driving a video, or --banana")],
)
def test_the_driver_is_called_as_the_node_calls_it(nodes: ModuleType, linked: bool, said: str) -> None:
    from echomimic.comfy.jobs import said_plainly

    with pytest.raises(DriverError) as fault, said_plainly(linked):
        raise DriverError("give --driver a video, or --banana")
    assert str(fault.value) == said


@pytest.mark.parametrize("frames", [33, 50, 51, -1])
def test_windows_that_cannot_be_are_refused_before_loading(nodes: ModuleType, frames: int) -> None:
    said = nodes.EchoSampler.validate_inputs(pose_dir="none", context_frames=frames, context_overlap=3)
    assert "context_frames" in said
    assert "context_overlap" in nodes.EchoSampler.validate_inputs(context_frames=4, context_overlap=9)
    assert nodes.EchoSampler.validate_inputs(pose_dir="none", context_frames=32, context_overlap=3) is True
    assert nodes.EchoSampler.validate_inputs(pose_dir=None, context_frames=None) is True


def test_every_picture_of_a_batch_gets_its_video(
    nodes: ModuleType, image: torch.Tensor, audio: Any, model: Any, server: Server
) -> None:
    made = nodes.EchoSampler.execute(image.expand(3, -1, -1, -1), audio, model, **SMALL, save_video=True)
    assert [len(output) for output in made.args] == [3, 3, 3, 3]
    assert all(frames.shape == (4, 128, 128, 3) for frames in made.args[0])
    assert [name for name, *_ in made.ui["images"]] == [f"EchoMimic_0000{i}_.mp4" for i in (1, 2, 3)]
    shown = [value for value, *_ in server.bar]
    assert shown == sorted(shown)
    assert shown[-1] == 1000


def test_advanced_inputs_reach_the_job(
    nodes: ModuleType, image: Any, audio: Any, model: Any, fake_engine: FakeEngine
) -> None:
    given = {**SMALL, "crop": "head", "paste_back": True, "size": 96}
    frames = nodes.EchoSampler.execute(image, audio, model, **given).args[0][0]
    assert frames.shape[1:3] == image.shape[1:3]
    settings: Any = fake_engine.seen[0].settings  # type: ignore[attr-defined]
    assert (settings.size, settings.width, settings.paste_back) == (96, None, True)
    with pytest.raises(InputError, match="face 3 was asked for"):
        nodes.EchoSampler.execute(image, audio, model, **SMALL, face=3)


def test_every_option_is_offered_or_decided_elsewhere(nodes: ModuleType) -> None:
    from echomimic.comfy.widgets import _ELSEWHERE, INPUTS
    from echomimic.option import options
    from echomimic.request import Request, Settings

    offered = {name for names in INPUTS.values() for name in names}
    assert {o.name for o in (*options(Settings), *options(Request))} <= offered | set(_ELSEWHERE)


@pytest.mark.parametrize("node", ["EchoLoadModel", "EchoSampler", "EchoPreviewMotion"])
def test_the_order_of_inputs_is_told_once(nodes: ModuleType, node: str) -> None:
    from echomimic.comfy.widgets import INPUTS, OUTPUTS

    made = getattr(nodes, node).define_schema()
    assert tuple(value.id for value in made.inputs) == INPUTS[made.node_id]
    assert tuple(value.options["display_name"] for value in made.outputs) == OUTPUTS[made.node_id]


def test_the_video_says_what_it_is_wherever_it_is_saved(
    nodes: ModuleType, image: Any, audio: Any, model: Any
) -> None:
    video = nodes.EchoSampler.execute(image, audio, model, **SMALL).args[3][0]
    written = video.save_to("x.mp4", metadata={"workflow": {}})["metadata"]
    assert "AI-generated" in written["comment"]
    assert written["workflow"] == {}
    assert written["AIGC"]["Label"] == "1"
    assert video.save_to("x.mp4", "mp4", "h264", {"prompt": 1})["metadata"]["prompt"] == 1


def test_a_saved_video_carries_its_workflow(
    nodes: ModuleType, image: Any, audio: Any, model: Any, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    import av

    workflow = {"nodes": [{"id": 1, "type": "Echo_Sampler"}]}
    hidden = SimpleNamespace(extra_pnginfo={"workflow": workflow}, prompt={"1": {}}, unique_id="1")
    monkeypatch.setattr(nodes.EchoSampler, "hidden", hidden, raising=False)
    nodes.EchoSampler.execute(image, audio, model, **SMALL, save_video=True)
    (file,) = (server.base / "output" / "video").glob("*.mp4")
    with av.open(str(file)) as container:
        tags = container.metadata
    assert json.loads(tags["workflow"]) == workflow
    assert json.loads(tags["prompt"]) == {"1": {}}
    assert "AI-generated" in tags["comment"]


def test_a_stop_lands_between_the_nets_that_listen(server: Server, nodes: ModuleType, speech: Path) -> None:
    from echomimic.comfy.bar import NodeBar
    from echomimic.media.audio import Speech
    from echomimic.motion.speech.performance_from_speech import perform

    reports: list[Progress] = []
    perform(Speech.open(speech), 40, 25, report=reports.append)
    assert len([one for one in reports if one.stage == "audio"]) >= 2 + len(mouth_model().nets)
    server.interrupt_after = server.checks + 2
    with pytest.raises(Interrupted):
        perform(Speech.open(speech), 40, 25, report=NodeBar())


def test_options_that_contradict_are_said(nodes: ModuleType, image: Any, audio: Any, model: Any) -> None:
    with pytest.raises(SettingsError, match="paste_back needs crop head"):
        nodes.EchoSampler.execute(image, audio, model, **SMALL, paste_back=True)


def test_the_pack_can_enter_the_registry() -> None:
    told = (ROOT / "pyproject.toml").read_text().partition("[tool.comfy]")[2].partition("\n[")[0]
    named = dict(line.split(" = ", 1) for line in told.strip().splitlines() if " = " in line)
    assert len(named["PublisherId"]) > 2
    assert (ROOT / "web" / named["Icon"].strip('"').rpartition("/")[2]).is_file()


@pytest.mark.parametrize("node", ["Echo_LoadModel", "Echo_Sampler", "Echo_PreviewMotion"])
def test_the_chinese_help_covers_what_the_english_does(node: str) -> None:
    english, chinese = (
        (ROOT / "web" / "docs" / name).read_text() for name in (f"{node}.md", f"{node}/zh.md")
    )
    ticked = {text for text in english.split("`")[1::2] if text.isidentifier()}
    assert {name for name in ticked if f"`{name}`" not in chinese} == set()


@pytest.mark.parametrize("name", ["portrait_talk_preview", "v1_audio", "v1_landmarks", "v2_half_body"])
def test_the_workflows_notes_are_in_both_languages(name: str) -> None:
    saved = json.loads((ROOT / "example_workflows" / f"{name}.json").read_text())
    notes = [node["widgets_values"][0] for node in saved["nodes"] if node["type"] == "MarkdownNote"]
    assert all("Choose your own" in note and "选择您自己的" in note for note in notes)
    assert notes


PAGE = """
import * as rules from "./rules.mjs";
const saved = {nodes: [{type: "Echo_Sampler"}, {type: "VHS_VideoCombine"}, {type: "sub"},
  {type: "LoadImage"}],
  definitions: {subgraphs: [{id: "sub", nodes: [{type: "Echo_Predata"}]}]}, old: 1};
const known = {Echo_Sampler: 1, LoadImage: 1};
const out = {
  concerns: [rules.concernsUs(saved), rules.concernsUs({nodes: [{type: "KSampler"}]}),
    rules.concernsUs(null)],
  prompts: [rules.promptConcernsUs({1: {class_type: "Echo_Predata"}}),
    rules.promptConcernsUs({1: {class_type: "KSampler"}, 2: null}), rules.promptConcernsUs(null)],
  rare: rules.rareInputs({input: {required: {image: ["IMAGE"]},
    optional: {face: ["INT", {default: 0, advanced: true}], fps: ["FLOAT", {default: 25}]}}}),
  folded: [rules.foldedNames({face: 0, size: 0}, {face: 0, size: 64}, [], false),
    rules.foldedNames({face: 0}, {face: 0}, ["face"], false),
    rules.foldedNames({face: 0}, {face: 0}, [], true),
    rules.foldedNames(undefined, {}, [], false)],
  missing: rules.missingKinds(saved, known),
  acc: rules.followMode("audio_drived_acc", {steps: 30, cfg: 2.5}),
  chosen: rules.followMode("pose_acc", {steps: 12, cfg: 2.5}),
  back: rules.followMode("pose_normal", {steps: 6, cfg: 1}),
  idle: [rules.idleNames({V1: {a: ["gaze"]}}, "V1", "a"), rules.idleNames({}, "V1", "a")],
  message: rules.message(["one", "two"]),
};
rules.replaceIn(saved, {nodes: []});
out.replaced = saved;
console.log(JSON.stringify(out));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_pages_rules(tmp_path: Path) -> None:
    shutil.copy(ROOT / "web" / "echomimic_rules.js", tmp_path / "rules.mjs")
    (tmp_path / "page.mjs").write_text(PAGE)
    done = subprocess.run(["node", "page.mjs"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "concerns": [True, False, False],
        "rare": {"face": 0},
        "folded": [["face"], [], [], []],
        "prompts": [True, False, False],
        "missing": ["VHS_VideoCombine", "Echo_Predata"],
        "acc": {"steps": 6, "cfg": 1},
        "chosen": {"cfg": 1},
        "back": {"steps": 30, "cfg": 2.5},
        "idle": [["gaze"], []],
        "message": "• one\n• two",
        "replaced": {"nodes": []},
    }


def test_the_pages_first_values_are_the_packages() -> None:
    from echomimic.option import options
    from echomimic.request import Settings
    from echomimic.variants import VARIANTS

    shown = {option.name: option.shown for option in options(Settings)}
    script = (ROOT / "web" / "echomimic_rules.js").read_text()
    quick = VARIANTS["v1-acc"]
    assert f"USUAL = {{ steps: {shown['steps']:g}, cfg: {shown['cfg']:g} }}" in script
    assert f"QUICK = {{ steps: {quick.steps:g}, cfg: {quick.cfg:g} }}" in script


def test_the_pack_installs_nothing_that_moves_a_servers_packages() -> None:
    """A range protects nobody: what would bring other versions along must not be wanted at all."""
    own = re.findall(
        r"^(?:dependencies|comfyui) = \[(.*?)\]$", (ROOT / "pyproject.toml").read_text(), re.M | re.S
    )
    assert len(own) == 2
    wanted = (ROOT / "requirements.txt").read_text().splitlines() + re.findall(r'"(.*?)"', "".join(own))
    names = {re.split(r"[<>=~! ]", line)[0].lower() for line in wanted if line and line[0] != "#"}
    assert {"numpy", "pillow", "transformers"} <= names
    assert not names & {"diffusers", "accelerate", "torch", "torchvision", "torchaudio", "tokenizers"}
    assert not [line for line in wanted if line[:1] != "#" and re.search(r"<|==|~=", line)], "no upper ends"
