"""Workflows and prompts of the classic node pack open here: told by their layout, mapped by name."""

import copy
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.comfy import old
from tests.comfy.conftest import Server

ORDER = (
    *(
        "pose_dir",
        "seed",
        "control",
        "cfg",
        "steps",
        "fps",
        "sample_rate",
        "facemask_ratio",
        "facecrop_ratio",
    ),
    *("context_frames", "context_overlap", "length", "width", "height", "save_video"),
)


def opened(nodes: ModuleType, saved: dict[str, Any], missing: tuple[str, ...] = ()) -> Any:
    from echomimic.comfy.hooks import site
    from echomimic.comfy.old_workflows import open_workflow

    return open_workflow(saved, site(lambda kind: kind not in missing))


def find(workflow: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(node for node in workflow["nodes"] if node["type"] == kind)


def sources(workflow: dict[str, Any], node: dict[str, Any]) -> dict[str, tuple[str, int]]:
    """What each linked input of a node is fed by: kind of node, output.
    Every link has to be sound on both ends."""
    by_id = {one["id"]: one for one in workflow["nodes"]}
    links = {link[0]: link for link in workflow["links"]}
    found = {}
    for place, socket in enumerate(node["inputs"]):
        if socket["link"] is not None:
            _, origin, slot, target, at, _ = links[socket["link"]]
            assert (target, at) == (node["id"], place)
            assert socket["link"] in by_id[origin]["outputs"][slot]["links"]
            found[socket["name"]] = (by_id[origin]["type"], slot)
    return found


def fields(node: dict[str, Any]) -> dict[str, Any]:
    return dict(zip(ORDER, node["widgets_values"], strict=False))


@pytest.mark.parametrize("control", [False, True])
@pytest.mark.parametrize("day", old.SAMPLERS)
def test_every_layout_of_the_sampler_keeps_its_values_and_links(
    nodes: ModuleType, day: str, control: bool
) -> None:
    made = opened(nodes, old.workflow(day, control=control))
    sampler = find(made.workflow, "Echo_Sampler")
    shown = fields(sampler)
    assert shown["seed"] == 7
    assert shown["control"] == ("randomize" if control else "fixed")
    assert (shown["cfg"], shown["steps"], shown["fps"]) == (3.5, 20, 24)
    assert (shown["facemask_ratio"], shown["facecrop_ratio"]) == (0.2, 0.5)
    assert (shown["context_frames"], shown["context_overlap"]) == (12, 4)
    assert (shown["length"], shown["width"], shown["height"], shown["save_video"]) == (120, 448, 576, True)
    assert shown["pose_dir"] == "none"
    fed = sources(made.workflow, sampler)
    assert fed["image"] == ("LoadImage", 0)
    assert fed["model"] == ("Echo_LoadModel", 0)
    assert fed["audio"] in {("LoadAudio", 0), ("GetVideoComponents", 1)}
    assert set(fed) <= {"image", "audio", "model", "driving"}
    film = sources(made.workflow, find(made.workflow, "VHS_VideoCombine"))
    assert film["images"] == ("Echo_Sampler", 0)
    assert film["frame_rate"] == ("Echo_Sampler", 2)
    assert "Echo_Predata" not in {node["type"] for node in made.workflow["nodes"]}
    assert made.notes


@pytest.mark.parametrize(
    ("day", "version", "mode", "offload"),
    [
        ("2024-07-14", "V1", "audio_drived", "none"),
        ("2024-07-17", "V1", "audio_drived_acc", "none"),
        ("2024-07-26", "V1", "pose_acc", "none"),
        ("2024-08-01", "V1", "audio_drived", "model"),
        ("2024-12-04", "V2", "pose_normal", "none"),
        ("2025-08-12", "V2", "pose_normal", "none"),
    ],
)
def test_every_layout_of_the_loader_is_known(
    nodes: ModuleType, day: str, version: str, mode: str, offload: str
) -> None:
    made = opened(nodes, old.workflow("2024-07-15", day))
    loader = find(made.workflow, "Echo_LoadModel")
    assert loader["widgets_values"][:6] == [version, mode, "auto", offload, "auto", "auto"]
    assert [output["name"] for output in loader["outputs"]] == ["model", "face_detector", "visualizer"]


def test_a_vae_that_is_there_is_kept(nodes: ModuleType, server: Server) -> None:
    (server.base / "models" / "vae" / "sd.safetensors").write_bytes(b"x")
    made = opened(nodes, old.workflow("2024-11-18", "2024-12-04"))
    assert find(made.workflow, "Echo_LoadModel")["widgets_values"][5] == "sd.safetensors"


def test_files_that_the_sampler_named_are_loaded_by_nodes(nodes: ModuleType) -> None:
    made = opened(nodes, old.workflow("2024-07-14")).workflow
    loaders = [node["widgets_values"] for node in made["nodes"] if node["type"] == "LoadAudio"]
    assert ["walden.wav"] in loaders
    filmed = opened(nodes, old.workflow("2024-07-26")).workflow
    fed = sources(filmed, find(filmed, "Echo_Sampler"))
    assert fed["driving"] == ("LoadVideo", 0)
    assert fed["audio"] == ("GetVideoComponents", 1)
    assert find(filmed, "LoadVideo")["widgets_values"] == ["talk.mp4"]


def test_linked_video_images_drive(nodes: ModuleType) -> None:
    saved = old.workflow("2024-11-18")
    find(saved, "Echo_Sampler")["inputs"][5]["link"] = 99
    saved["links"].append([99, 1, 0, 4, 5, "IMAGE"])
    made = opened(nodes, saved).workflow
    assert sources(made, find(made, "Echo_Sampler"))["driving"] == ("LoadImage", 0)


def test_a_widget_that_became_a_link_stays_one(nodes: ModuleType) -> None:
    saved = old.workflow("2024-11-18")
    sampler = find(saved, "Echo_Sampler")
    sampler["inputs"].append({"name": "fps", "type": "FLOAT", "link": 98, "widget": {"name": "fps"}})
    saved["links"].append([98, 2, 0, 4, 6, "FLOAT"])
    made = opened(nodes, saved).workflow
    assert sources(made, find(made, "Echo_Sampler"))["fps"] == ("LoadAudio", 0)


def test_what_is_not_installed_does_not_stop_the_run(nodes: ModuleType) -> None:
    made = opened(nodes, old.workflow("2024-11-18"), missing=("VHS_VideoCombine",))
    saver = find(made.workflow, "SaveVideo")
    assert sources(made.workflow, saver) == {"video": ("Echo_Sampler", 3)}
    assert saver["widgets_values"][0] == "Old"
    assert any("VHS_VideoCombine is not installed" in note for note in made.notes)
    saved = old.workflow("2024-11-18")
    find(saved, "VHS_VideoCombine")["type"] = "ShowText|pysssss"
    made = opened(nodes, saved, missing=("ShowText|pysssss",))
    assert find(made.workflow, "ShowText|pysssss")["mode"] == 2


def test_the_upscaler_is_taken_out_and_its_picture_goes_straight_on(nodes: ModuleType) -> None:
    saved = old.workflow("2024-11-18")
    graph = old.Graph()
    graph.nodes, graph.links = {node["id"]: node for node in saved["nodes"]}, saved["links"]
    graph.node(8, "Echo_VideoUpscale", ["image", "model"], ["image"], [])
    graph.link(4, 0, 8, "image")
    graph.node(9, "PreviewImage", ["images"], [], [])
    graph.link(8, 0, 9, "images")
    made = opened(nodes, graph.saved())
    assert sources(made.workflow, find(made.workflow, "PreviewImage")) == {"images": ("Echo_Sampler", 0)}
    assert any("no counterpart" in note for note in made.notes)


def test_classic_nodes_in_a_subgraph_are_brought_over(nodes: ModuleType) -> None:
    inner = old.workflow("2024-11-18")
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    inner["links"] = [dict(zip(names, link, strict=True)) for link in inner["links"]]
    saved = {"nodes": [], "links": [], "definitions": {"subgraphs": [{"id": "x", **inner}]}}
    (made,) = opened(nodes, saved).workflow["definitions"]["subgraphs"]
    assert fields(find(made, "Echo_Sampler"))["steps"] == 20
    assert all(isinstance(link, dict) for link in made["links"])


def test_what_goes_into_and_comes_out_of_a_subgraph_stays_what_it_was(nodes: ModuleType) -> None:
    """The picture came in through Echo_Predata, which is gone; the rate left by the second output, now the
    third."""
    inner = old.workflow("2025-08-12")
    inner["links"] = [link for link in inner["links"] if link[1] != 1 and link[3] != 5]
    inner["nodes"] = [node for node in inner["nodes"] if node["id"] not in (1, 5)]
    inner["links"] += [[81, -10, 0, 6, 1, "IMAGE"], [82, 4, 0, -20, 0, "IMAGE"], [83, 4, 1, -20, 1, "FLOAT"]]
    find(inner, "Echo_Predata")["inputs"][1]["link"] = 81
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    inner["links"] = [dict(zip(names, link, strict=True)) for link in inner["links"]]
    inner["inputs"] = [{"name": "image", "linkIds": [81]}]
    inner["outputs"] = [{"name": "frames", "linkIds": [82]}, {"name": "rate", "linkIds": [83]}]
    saved = {"nodes": [], "links": [], "definitions": {"subgraphs": [{"id": "x", **inner}]}}
    (made,) = opened(nodes, saved).workflow["definitions"]["subgraphs"]
    links = {link["id"]: link for link in made["links"]}
    (number,) = made["inputs"][0]["linkIds"]
    assert links[number]["target_id"] == find(made, "Echo_Sampler")["id"]
    assert next(s for s in find(made, "Echo_Sampler")["inputs"] if s["name"] == "image")["link"] == number
    assert [links[end["linkIds"][0]]["origin_slot"] for end in made["outputs"]] == [0, 2]


def test_unknown_values_become_defaults_and_are_said(nodes: ModuleType) -> None:
    saved = old.workflow("2024-11-18")
    find(saved, "Echo_Sampler")["widgets_values"] = ["what", "is", "this"]
    made = opened(nodes, saved)
    assert fields(find(made.workflow, "Echo_Sampler"))["cfg"] == 2.5
    assert any("no order known" in note for note in made.notes)


def test_numbers_outside_todays_ranges_are_moved_and_said(nodes: ModuleType) -> None:
    saved = old.workflow("2024-11-18")
    find(saved, "Echo_Sampler")["widgets_values"][1] = 2**40 + 5
    find(saved, "Echo_Sampler")["widgets_values"][8] = 48
    find(saved, "Echo_Sampler")["widgets_values"][11] = 500
    made = opened(nodes, saved)
    shown = fields(find(made.workflow, "Echo_Sampler"))
    assert (shown["seed"], shown["context_frames"], shown["width"]) == (5, 32, 512)
    assert any("width 500 became 512" in note for note in made.notes)


@pytest.mark.parametrize("name", ["portrait_talk_preview", "v1_audio", "v1_landmarks", "v2_half_body"])
def test_our_own_workflows_are_left_alone(nodes: ModuleType, name: str) -> None:
    import json
    from pathlib import Path

    saved = json.loads((Path(__file__).parents[2] / "example_workflows" / f"{name}.json").read_text())
    made = opened(nodes, saved)
    assert made.notes == ()
    assert made.workflow is saved


def arrived(nodes: ModuleType, prompt: dict[str, Any]) -> dict[str, Any]:
    """The prompt as the server gets to check it."""
    from echomimic.comfy.hooks import on_prompt

    return on_prompt({"prompt": copy.deepcopy(prompt), "extra_data": {}})


@pytest.fixture
def anything_installed(monkeypatch: pytest.MonkeyPatch, nodes: ModuleType) -> None:
    monkeypatch.setattr("echomimic.comfy.hooks._is_installed", lambda kind: True)


@pytest.mark.usefixtures("anything_installed")
@pytest.mark.parametrize("day", ["2024-07-26", "2024-11-18", "2025-08-12"])
def test_prompts_of_old_layouts_are_accepted(nodes: ModuleType, day: str) -> None:
    from echomimic.comfy.widgets import INPUTS

    prompt = arrived(nodes, old.prompt(day))["prompt"]
    sampler, loader = prompt["4"]["inputs"], prompt["3"]["inputs"]
    assert (sampler["image"], sampler["model"], sampler["seed"]) == (["1", 0], ["3", 0], 7)
    assert loader == {"version": "V1", "infer_mode": "audio_drived_acc", "vae": "auto"}
    assert set(sampler) <= set(INPUTS["Echo_Sampler"])
    assert "Echo_Predata" not in {held["class_type"] for held in prompt.values()}
    if day == "2025-08-12":
        assert (sampler["audio"], sampler["width"], sampler["length"]) == (["2", 0], 448, 120)
        assert prompt["8"]["inputs"]["frame_rate"] == ["4", 2]


NEW: dict[str, dict[str, Any]] = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "portrait.jpg"}},
    "3": {"class_type": "Echo_LoadModel", "inputs": {"version": "Preview", "infer_mode": "audio_drived"}},
    "4": {
        "class_type": "Echo_Sampler",
        "inputs": {
            "image": ["1", 0],
            "audio": ["2", 0],
            "model": ["3", 0],
            "cfg": 7.0,
            "seed": 3,
            "head_motion": 0.5,
        },
    },
}


@pytest.mark.usefixtures("anything_installed")
@pytest.mark.parametrize("slot", [1, 2, 7, -1])
def test_links_of_unknown_inputs_and_outputs_are_left_out_with_a_note(nodes: ModuleType, slot: int) -> None:
    from echomimic.comfy.hooks import remarks_on

    prompt = copy.deepcopy(NEW)
    prompt["4"]["inputs"] |= {"foo": ["1", 0], "face_detector": ["3", slot], "visualizer": ["3", 2]}
    inputs = arrived(nodes, prompt)["prompt"]["4"]["inputs"]
    assert not {"foo", "face_detector", "visualizer"} & set(inputs)
    assert any("foo" in note for note in remarks_on("4"))


@pytest.mark.usefixtures("anything_installed")
def test_a_value_without_effect_renders_nothing_anew(nodes: ModuleType) -> None:
    other = copy.deepcopy(NEW)
    other["4"]["inputs"] |= {"cfg": 1.0, "steps": 9}
    assert arrived(nodes, NEW)["prompt"] == arrived(nodes, other)["prompt"]
    other["4"]["inputs"]["head_motion"] = 0.6
    assert arrived(nodes, NEW)["prompt"] != arrived(nodes, other)["prompt"]
    heard = copy.deepcopy(NEW)
    heard["3"]["inputs"]["version"] = "V1"
    kept = arrived(nodes, heard)["prompt"]["4"]["inputs"]
    assert kept["cfg"] == 7.0
    assert "head_motion" not in kept


def test_a_prompt_is_labelled_for_files_that_other_packs_save(nodes: ModuleType) -> None:
    labelled = arrived(nodes, NEW)["extra_data"]["extra_pnginfo"]["ai_generated"]
    assert "AI-generated" in labelled
    foreign = {"prompt": {"1": {"class_type": "LoadImage", "inputs": {}}}, "extra_data": {}}
    assert arrived(nodes, foreign["prompt"]) == foreign


@pytest.mark.parametrize(
    "prompt", [None, [], {"1": None}, {"1": {"class_type": "Echo_Sampler"}}, {"1": {"inputs": {}}}]
)
def test_a_broken_prompt_is_left_to_the_server(nodes: ModuleType, prompt: Any) -> None:
    from echomimic.comfy.hooks import on_prompt

    data = {"prompt": prompt}
    assert on_prompt(data)["prompt"] == prompt


@pytest.mark.parametrize("kind", ["Echo_Sampler", "Echo_LoadModel"])
@pytest.mark.parametrize("change", ["fewer", "more"])
@pytest.mark.parametrize("day", [day for day in old.SAMPLERS if day != "2025-08-12"])
def test_a_list_of_values_of_another_length_keeps_what_fits(
    nodes: ModuleType, day: str, change: str, kind: str
) -> None:
    saved = old.workflow(day, "2024-12-04" if kind == "Echo_LoadModel" else None)
    node = find(saved, kind)
    fewer = change == "fewer" and kind == "Echo_Sampler"
    node["widgets_values"] = node["widgets_values"][:-2] if fewer else [*node["widgets_values"], "extra", 1]
    made = opened(nodes, saved)
    sampler = fields(find(made.workflow, "Echo_Sampler"))
    assert (sampler["seed"], sampler["cfg"], sampler["steps"], sampler["width"]) == (7, 3.5, 20, 448)
    loader = find(made.workflow, "Echo_LoadModel")["widgets_values"]
    assert loader[:2] == ["V2", "pose_normal"] or kind == "Echo_Sampler"
    assert any("those that fit were taken" in note for note in made.notes)


def test_a_group_node_with_old_nodes_is_said(nodes: ModuleType) -> None:
    held = [{"type": n["type"], "index": i, **{k: n[k] for k in ("inputs", "outputs", "widgets_values")}}
            for i, n in enumerate(old.workflow("2024-11-18")["nodes"])]  # fmt: skip
    saved = {"nodes": [], "links": [], "extra": {"groupNodes": {"Talk": {"nodes": held, "links": []}}}}
    made = opened(nodes, saved)
    assert any("the group node Talk holds old EchoMimic nodes" in note for note in made.notes)


@pytest.mark.parametrize("mode", [2, 4])
def test_what_rests_is_not_saved(nodes: ModuleType, mode: int) -> None:
    saved = old.workflow("2024-11-18")
    find(saved, "Echo_Sampler")["mode"] = mode
    made = opened(nodes, saved, missing=("VHS_VideoCombine",)).workflow
    assert find(made, "Echo_Sampler")["mode"] == mode
    assert find(made, "SaveVideo")["mode"] == 2, "the server would refuse a video that nobody makes"


def test_a_video_node_behind_a_reroute_is_replaced_too(nodes: ModuleType) -> None:
    saved = old.workflow("2024-11-18")
    film = find(saved, "VHS_VideoCombine")
    link = next(one for one in saved["links"] if one[0] == film["inputs"][0]["link"])
    way = {"id": 20, "type": "Reroute", "pos": [0, 0], "inputs": [{"name": "", "type": "*", "link": link[0]}]}
    saved["nodes"].append(way | {"outputs": [{"name": "", "type": "IMAGE", "links": [99]}]})
    saved["links"].append([99, 20, 0, film["id"], 0, "IMAGE"])
    film["inputs"][0]["link"], link[3], link[4] = 99, 20, 0
    made = opened(nodes, saved, missing=("VHS_VideoCombine",)).workflow
    assert sources(made, find(made, "SaveVideo")) == {"video": ("Echo_Sampler", 3)}


def test_a_video_node_beside_a_subgraph_with_old_nodes_is_replaced(nodes: ModuleType) -> None:
    inner = old.workflow("2024-11-18")
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    inner["links"] = [dict(zip(names, link, strict=True)) for link in inner["links"]]
    graph = old.Graph()
    graph.node(1, "deep", [], ["images", "frame_rate"], [])
    graph.node(2, "VHS_VideoCombine", ["images", "frame_rate"], [], {"filename_prefix": "Old"})
    graph.link(1, 0, 2, "images")
    graph.link(1, 1, 2, "frame_rate")
    holder = {"id": "deep", "nodes": [{"id": 3, "type": "x", "inputs": [], "outputs": []}], "links": []}
    saved = {**graph.saved(), "definitions": {"subgraphs": [{"id": "x", **inner}, holder]}}
    made = opened(nodes, saved, missing=("VHS_VideoCombine",)).workflow
    assert sources(made, find(made, "SaveVideo")) == {"video": ("CreateVideo", 0)}
    assert sources(made, find(made, "CreateVideo")) == {"images": ("deep", 0), "fps": ("deep", 1)}
    ours = {"nodes": [find(made, "SaveVideo")], "links": [], "definitions": {"subgraphs": [holder]}}
    assert opened(nodes, ours).notes == ()


@pytest.mark.parametrize("day", ["2024-07-26", "2024-11-18", "2025-08-12"])
def test_a_prompt_that_is_opened_on_the_page_has_todays_names(
    nodes: ModuleType, monkeypatch: pytest.MonkeyPatch, day: str
) -> None:
    from echomimic.comfy.hooks import in_todays_words
    from echomimic.comfy.widgets import INPUTS

    monkeypatch.setitem(sys.modules, "nodes", SimpleNamespace(NODE_CLASS_MAPPINGS={}))
    made, _ = in_todays_words({**old.prompt(day), "odd": None})
    assert set(made["4"]["inputs"]) <= set(INPUTS["Echo_Sampler"])
    assert {"image", "audio", "model"} <= set(made["4"]["inputs"])
    assert set(made["3"]["inputs"]) <= set(INPUTS["Echo_LoadModel"])
    assert made["odd"] is None
