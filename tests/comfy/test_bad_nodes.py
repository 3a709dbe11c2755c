"""What other packs and hand-written prompts may give to the nodes is refused in words, or left alone."""

import json
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks.bad_input import REMEDY
from echomimic.errors import EchoMimicError
from tests.comfy import old
from tests.comfy.conftest import Server
from tests.comfy.test_old_workflows import opened


def refusal(node: Any, **given: Any) -> str:
    with pytest.raises(EchoMimicError) as fault:
        node.execute(**{"length": 2, "width": 128, "height": 128, **given})
    said = str(fault.value)
    assert REMEDY.search(said), said
    assert "\n" not in said
    return said


@pytest.mark.parametrize(
    "spoil", [lambda p: p[0], lambda p: p[:0], lambda p: p[:, :0], lambda p: p[..., :0], lambda _: None]
)
def test_pictures_that_are_none(nodes: ModuleType, image: Any, audio: Any, model: Any, spoil: Any) -> None:
    said = refusal(nodes.EchoSampler, image=spoil(image), audio=audio, model=model)
    assert "image holds no picture" in said


def test_a_grey_picture_is_a_picture(nodes: ModuleType, image: Any) -> None:
    from echomimic.comfy.values import to_bytes

    grey = to_bytes(image[0, ..., :1])
    assert grey.shape == (*image.shape[1:3], 3)
    assert (grey == grey[..., :1]).all()


@pytest.mark.parametrize("rate", ["x", None, float("nan"), float("inf"), 0, -1])
def test_sound_without_a_rate(nodes: ModuleType, image: Any, audio: Any, model: Any, rate: Any) -> None:
    said = refusal(nodes.EchoSampler, image=image, audio={**audio, "sample_rate": rate}, model=model)
    assert "rate" in said


def test_sound_that_is_no_recording(nodes: ModuleType, image: Any, audio: Any, model: Any) -> None:
    wave = audio["waveform"]
    for bad in ({"waveform": torch.complex(wave, wave), "sample_rate": 24000}, {"waveform": wave}, "a.wav"):
        assert "audio" in refusal(nodes.EchoSampler, image=image, audio=bad, model=model)


@pytest.mark.parametrize("given", ["a.mp4", 7, {}, object()])
def test_a_driving_input_that_is_no_video(
    nodes: ModuleType, image: Any, audio: Any, model: Any, given: Any
) -> None:
    said = refusal(nodes.EchoSampler, image=image, audio=audio, model=model, driving=given)
    assert "driving holds no video" in said


@pytest.mark.parametrize("rate", [0, -1, float("nan"), None, 1e9])
def test_a_driving_video_without_a_rate(
    nodes: ModuleType, image: Any, audio: Any, model: Any, rate: Any
) -> None:
    from echomimic.comfy.api import InputImpl, Types

    parts = Types.VideoComponents(images=image.expand(3, -1, -1, -1), audio=None, frame_rate=rate)
    video = InputImpl.VideoFromComponents(parts)
    said = refusal(nodes.EchoSampler, image=image, audio=audio, model=model, driving=video)
    assert "0.1 to 1000" in said


@pytest.mark.parametrize("name", ["a\0b", "n" * 300, "../x", "loop", 7, 1e308, "/etc/passwd"])
def test_names_that_are_no_pose(
    nodes: ModuleType, server: Server, image: Any, audio: Any, model: Any, name: Any
) -> None:
    (server.base / "input" / "loop").symlink_to("loop")
    said = refusal(nodes.EchoSampler, image=image, audio=audio, model=model, pose_dir=name)
    assert "choose one of none, auto" in said
    assert isinstance(nodes.EchoSampler.validate_inputs(pose_dir=name), str)


@pytest.mark.parametrize("name", ["weights", "vae"])
@pytest.mark.parametrize("value", ["a\0b", "n" * 300, "../x", float("nan"), {}, 7])
def test_names_that_are_no_weights(nodes: ModuleType, name: str, value: Any) -> None:
    with pytest.raises(EchoMimicError, match="choose auto or refresh the page"):
        nodes.EchoLoadModel.execute(version="V1", **{name: value})


@pytest.mark.parametrize("face", ["x", {}, -1, 0.5, None])
def test_a_face_that_is_no_number(nodes: ModuleType, image: Any, audio: Any, model: Any, face: Any) -> None:
    assert "face" in refusal(nodes.EchoSampler, image=image, audio=audio, model=model, face=face)


def _spoilt(where: str) -> dict[str, Any]:
    saved = old.workflow("2024-07-26")
    sampler = next(node for node in saved["nodes"] if node["type"] == "Echo_Sampler")
    harm: dict[str, Callable[[], object]] = {
        "node": lambda: saved["nodes"].append("x"),
        "id": lambda: sampler.update(id={}),
        "twice": lambda: saved["nodes"].append(dict(sampler)),
        "socket": lambda: sampler["inputs"].append({"link": 1}),
        "socket's link": lambda: sampler["inputs"][0].update(link={}),
        "place": lambda: sampler.update(pos="left"),
        "values": lambda: sampler.update(widgets_values=7),
        "links": lambda: saved.update(links={"a": 1}),
    }
    harm[where]()
    return saved


@pytest.mark.parametrize(
    "where", ["node", "id", "twice", "socket", "socket's link", "place", "values", "links"]
)
def test_a_damaged_workflow_is_left_as_it_is(nodes: ModuleType, where: str) -> None:
    saved = _spoilt(where)
    before = json.dumps(saved, default=str)
    made = opened(nodes, saved)
    assert json.dumps(made.workflow, default=str) == before
    assert made.notes == ()


@pytest.mark.parametrize("link", [None, [1], [1, {}, 0, 4, 0, "*"], [1, 3, "x", 4, 0, "*"], {"id": 1}, 7])
def test_a_damaged_link_is_left_out(nodes: ModuleType, link: Any) -> None:
    saved = old.workflow("2024-07-26")
    saved["links"].append(link)
    made = opened(nodes, saved)
    assert made.notes
    assert link not in made.workflow["links"]


def test_a_prompt_of_odd_values_passes_to_the_servers_own_check(
    nodes: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nodes", SimpleNamespace(NODE_CLASS_MAPPINGS={}))
    from echomimic.comfy.hooks import on_prompt

    odd: Any
    for odd in (None, [], {}, [1], ["4", "x"], ["4", None], float("nan"), float("inf"), "\ud800", 10**30):
        for name in ("1", "3", "4", "5"):
            given = old.prompt("2024-07-26")
            for key in list(given[name]["inputs"]):
                given[name]["inputs"][key] = odd
            assert on_prompt({"prompt": given})["prompt"][name] is not None
    given = {
        **old.prompt("2024-07-26"),
        "9": {"class_type": "VHS_VideoCombine", "inputs": {"images": ["99", 0]}},
    }
    assert "9" in on_prompt({"prompt": given})["prompt"]
