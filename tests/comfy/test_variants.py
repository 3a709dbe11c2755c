"""Workflows of the classic pack as people changed them: by the hundred, several habits at once."""

import copy
import random
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tests.comfy import old
from tests.comfy.test_old_workflows import fields, find, opened

ROW = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
Flow = dict[str, Any]
Habit = Callable[[random.Random, Flow], None]


def a_widget_fed_by_a_primitive(draw: random.Random, flow: Flow) -> None:
    sampler, number = find(flow, "Echo_Sampler"), draw.randrange(100, 900)
    name = draw.choice(["fps", "width", "length", "facemask_ratio", "save_video", "sample_rate"])
    widget = {"widget": {"name": name}}
    sampler["inputs"].append({"name": name, "type": "INT", "link": number + 5000, **widget})
    given = [{"name": "INT", "type": "INT", "links": [number + 5000], **widget}]
    flow["nodes"].append({"id": number, "type": "PrimitiveNode", "outputs": given, "widgets_values": [5]})
    flow["links"].append([number + 5000, number, 0, sampler["id"], len(sampler["inputs"]) - 1, "INT"])


def a_reroute(draw: random.Random, flow: Flow) -> None:
    link, number = draw.choice([link for link in flow["links"] if link]), draw.randrange(1000, 2000)
    taker = next((node for node in flow["nodes"] if node["id"] == link[3]), None)
    if taker is not None:
        socket, way = taker["inputs"][link[4]], {"name": "", "type": "*"}
        ends = {"inputs": [{**way, "link": link[0]}], "outputs": [{**way, "links": [number + 9000]}]}
        flow["nodes"].append({"id": number, "type": "Reroute", "pos": [0, 0], **ends})
        flow["links"].append([number + 9000, number, 0, *link[3:]])
        socket["link"], link[3:5] = number + 9000, [number, 0]


def a_socket_for_every_widget(draw: random.Random, flow: Flow) -> None:
    """As the editor saves them since 2025."""
    names = ["seed", "cfg", "steps", "fps", "context_frames", "length", "width", "height", "save_video"]
    sampler = find(flow, "Echo_Sampler")
    there = {socket["name"] for socket in sampler["inputs"]}
    sampler["inputs"] += [
        {"name": name, "type": "X", "link": None, "widget": {"name": name}}
        for name in names
        if name not in there
    ]


def a_node_that_rests(draw: random.Random, flow: Flow) -> None:
    draw.choice(flow["nodes"])["mode"] = draw.choice([2, 4])


def a_node_taken_out(draw: random.Random, flow: Flow) -> None:
    """Its links stay in the file."""
    away = [node for node in flow["nodes"] if node["type"] in ("LoadImage", "LoadAudio", "CLIPLoader")]
    flow["nodes"].remove(draw.choice(away)) if away else None


def a_second_sampler(draw: random.Random, flow: Flow) -> None:
    twin = copy.deepcopy(find(flow, "Echo_Sampler"))
    twin["id"] += 500
    for socket in twin["inputs"]:
        socket["link"] = None
    for output in twin["outputs"]:
        output["links"] = None
    flow["nodes"].append(twin)


def numbers_as_floats(draw: random.Random, flow: Flow) -> None:
    sampler = find(flow, "Echo_Sampler")
    sampler["widgets_values"] = [float(v) if type(v) is int else v for v in sampler["widgets_values"]]


def a_dead_link(draw: random.Random, flow: Flow) -> None:
    flow["links"] += [None, [7777, 4242, 0, find(flow, "Echo_Sampler")["id"], 0, "IMAGE"]]


def a_group_a_note_and_a_title(draw: random.Random, flow: Flow) -> None:
    flow["groups"] = [{"title": "Talk", "bounding": [0, 0, 500, 500]}]
    flow["nodes"].append({"id": 3000, "type": "MarkdownNote", "widgets_values": ["hello"]})
    find(flow, "Echo_Sampler").update(title="Mine", color="#222", properties={"cnr_id": "comfyui_echomimic"})


def a_part_left_out(draw: random.Random, flow: Flow) -> None:
    draw.choice(flow["nodes"]).pop(draw.choice(["mode", "pos", "outputs"]), None)


HABITS: tuple[Habit, ...] = (
    a_widget_fed_by_a_primitive,
    a_reroute,
    a_socket_for_every_widget,
    a_node_that_rests,
    a_node_taken_out,
    a_second_sampler,
    numbers_as_floats,
    a_dead_link,
    a_group_a_note_and_a_title,
)


def changed(draw: random.Random) -> Flow:
    flow = old.workflow(draw.choice(list(old.SAMPLERS)), draw.choice(list(old.LOADERS)), draw.random() < 0.5)
    for habit in draw.sample(HABITS, draw.randrange(4)):
        habit(draw, flow)
    if draw.random() < 0.3:
        a_part_left_out(draw, flow)
    if draw.random() < 0.2:
        links = [dict(zip(ROW, link, strict=True)) if link else None for link in flow["links"]]
        inner = {"id": "inner", "nodes": flow["nodes"], "links": links}
        flow = {"nodes": [{"id": 1, "type": "inner"}], "links": [], "definitions": {"subgraphs": [inner]}}
    return flow


def graphs(flow: Flow) -> list[Flow]:
    return [flow, *flow.get("definitions", {}).get("subgraphs", [])]


def check_links(graph: Flow) -> None:
    """Every link is known at both of its ends, and joins nodes that are there."""
    rows = [[link[name] for name in ROW] if isinstance(link, dict) else link for link in graph["links"]]
    links = {row[0]: row for row in rows}
    nodes = {node["id"]: node for node in graph["nodes"]}
    assert (len(links), len(nodes)) == (len(rows), len(graph["nodes"]))
    for number, origin, slot, target, place, _ in links.values():
        assert nodes[target]["inputs"][place]["link"] == number
        assert "outputs" not in nodes[origin] or number in nodes[origin]["outputs"][slot]["links"]
    used = [socket["link"] for node in graph["nodes"] for socket in node.get("inputs", [])]
    assert {number for number in used if number is not None} == links.keys()


@pytest.mark.parametrize("seed", range(150))
def test_a_changed_workflow_is_brought_over_whole_and_once(nodes: ModuleType, seed: int) -> None:
    draw = random.Random(seed)
    flow, missing = changed(draw), draw.choice([(), ("VHS_VideoCombine",)])
    made = opened(nodes, flow, missing)
    assert made.notes
    for graph in graphs(made.workflow):
        check_links(graph)
        for sampler in (node for node in graph["nodes"] if node["type"] == "Echo_Sampler"):
            shown = fields(sampler)
            assert (shown["seed"], shown["cfg"], shown["steps"], shown["context_frames"]) == (7, 3.5, 20, 12)
    assert opened(nodes, made.workflow, missing).notes == ()
