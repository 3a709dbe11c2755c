"""Workflows (the editor's own files) that were saved with the classic pack, as workflows of these nodes.

The file is read as a prompt, the prompt migrated as any other, and what changed written back: widget values
in today's order, sockets, links. Nothing else in the file is touched.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from echomimic.comfy.old_layouts import CONTROL, LAYOUTS, guess_values, name_values
from echomimic.comfy.old_prompts import GONE, PREDATA, Prompt, is_classic, is_link, migrate
from echomimic.comfy.old_shapes import OWN_INPUTS, OWN_OUTPUTS, as_row, is_link_row, is_sound, put_links
from echomimic.comfy.old_values import LOADER_ONLY, SAMPLER_ONLY, Site
from echomimic.comfy.widgets import INPUTS, OUTPUTS, SOCKETS, defaults

_TYPES: Mapping[str, str] = {
    "image": "IMAGE",
    "images": "IMAGE",
    "audio": "AUDIO",
    "model": "ECHOMIMIC_MODEL",
    "driving": "IMAGE,VIDEO",
    "frame_rate": "FLOAT",
    "fps": "FLOAT",
    "video": "VIDEO",
    "face_detector": "MODEL_FACE_E",
    "visualizer": "MODEL_VISUAL_E",
}
_OUTPUT_NAMES = {"image": "images", "pipe": "model"}
# Outputs of the server's nodes that a migration may add.
_NEW_NODES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "LoadVideo": (("VIDEO", "VIDEO"),),
    "LoadAudio": (("AUDIO", "AUDIO"),),
    "GetVideoComponents": (("images", "IMAGE"), ("audio", "AUDIO"), ("fps", "FLOAT")),
    "SaveVideo": (),
    "CreateVideo": (("VIDEO", "VIDEO"),),
}
# Inputs of those nodes that are widgets, linked or not.
_WIDGETS: Mapping[str, dict[str, Any]] = {"fps": {"widget": {"name": "fps"}}}
_MUTED = 2
# Modes of nodes that do not run: never, and bypassed.
_IDLE = (_MUTED, 4)
_GUESSED = "it has more or fewer saved values than are known here: those that fit were taken, look them over"
_UNSURE = "its saved values are in no order known here: the defaults were set, look them over"


@dataclass(frozen=True)
class Opened:
    """A workflow for today's nodes, and what was done to it, one remark each;
    none when it was not of the old kind."""

    workflow: dict[str, Any]
    notes: tuple[str, ...] = ()


def open_workflow(saved: dict[str, Any], site: Site) -> Opened:
    """The workflow with every classic node of it, those in subgraphs too, brought to today's nodes."""
    workflow, notes = copy.deepcopy(saved), []
    graphs = (workflow, *_subgraphs(workflow))
    holders = _holders(graphs)
    for graph in graphs:
        if is_sound(graph):
            notes += [note for note in _open(graph, site, holders) if note not in notes]
    notes += _grouped(workflow)
    return Opened(workflow if notes else saved, tuple(notes))


def _subgraphs(workflow: dict[str, Any]) -> list[Any]:
    definitions = workflow.get("definitions")
    inner = definitions.get("subgraphs") if isinstance(definitions, dict) else None
    return inner if isinstance(inner, list) else []


def _holders(graphs: Iterable[Any]) -> frozenset[str]:
    """Subgraphs with a classic node in them, or with a subgraph that has one."""
    kinds = {g["id"]: {n["type"]: n for n in g["nodes"]} for g in graphs if is_sound(g) and _has_name(g)}
    found = {name for name, nodes in kinds.items() if any(map(_is_classic, nodes.values()))}
    for _ in kinds:
        found |= {name for name, nodes in kinds.items() if found & nodes.keys()}
    return frozenset(found)


def _has_name(graph: dict[str, Any]) -> bool:
    return isinstance(graph.get("id"), str)


def _grouped(workflow: dict[str, Any]) -> list[str]:
    """A remark about each group node (the editor's older kind) that holds classic nodes: it lays out the
    values of all nodes in it as one list, which is not taken apart here."""
    extra = workflow.get("extra")
    groups = extra.get("groupNodes") if isinstance(extra, dict) else None
    return [
        f"the group node {name} holds old EchoMimic nodes, which stay as they are: build it anew from these"
        for name, group in (groups.items() if isinstance(groups, dict) else ())
        if is_sound(inner := _with_ids(group)) and any(map(_is_classic, inner["nodes"]))
    ]


def _with_ids(group: Any) -> Any:
    nodes = group.get("nodes") if isinstance(group, dict) else None
    if not isinstance(nodes, list):
        return None
    return {"nodes": [{**n, "id": i} if isinstance(n, dict) else n for i, n in enumerate(nodes)]}


def _open(graph: dict[str, Any], site: Site, holders: frozenset[str]) -> list[str]:
    links = {link[0]: link for link in map(as_row, graph.get("links") or []) if is_link_row(link)}
    if not any(_is_classic(node) or node["type"] in holders for node in graph["nodes"]):
        return []
    links = dict(_with_todays_outputs(links, graph["nodes"]))
    classic = any(map(_is_classic, graph["nodes"]))
    prompt, unsure = _prompt_of(graph["nodes"], links)
    made = migrate(prompt, site, slots_are_new=True, holders=holders)
    for node, remark in unsure.items():
        made.note(node, remark)
    notes = [note for node in made.notes for note in made.notes[node]]
    notes += _write_back(graph, links, prompt, made.prompt, site)
    return notes or (["the old nodes were brought to today's order of inputs"] if classic else [])


def _with_todays_outputs(links: dict[Any, list[Any]], nodes: list[Any]) -> Iterator[tuple[Any, list[Any]]]:
    """The links; those that come out of the graph (a subgraph) count its nodes' outputs of today."""
    by_id = {node["id"]: node for node in nodes}
    for number, link in links.items():
        if link[1] in by_id and str(link[3]) == OWN_OUTPUTS:
            slot = _slot_now(by_id[link[1]], link[2], {})
            if slot is not None:
                yield number, [*link[:2], slot, *link[3:]]
        else:
            yield number, link


def _is_classic(node: Any) -> bool:
    """Whether a node was saved by the classic pack: by its kind, its sockets, or the order of its values."""
    kind = node.get("type")
    if kind == PREDATA or kind in GONE:
        return True
    if kind not in ("Echo_LoadModel", "Echo_Sampler"):
        return False
    sockets = {socket.get("name"): None for socket in node.get("inputs") or []}
    if kind == "Echo_Sampler" and is_classic(sockets, SAMPLER_ONLY):
        return True
    values = node.get("widgets_values")
    named = name_values(kind, values, sockets)
    if named is None and kind == "Echo_LoadModel":
        named = guess_values(kind, values, sockets)
    known = named is not None and not isinstance(values, Mapping)
    return known or (kind == "Echo_LoadModel" and is_classic(named or {}, LOADER_ONLY))


def _prompt_of(nodes: list[Any], links: dict[Any, list[Any]]) -> tuple[Prompt, dict[str, str]]:
    """The graph as a prompt: every node with its links, classic nodes with their values too;
    and a remark about each whose values are not of a known order."""
    prompt: Prompt = {}
    unsure: dict[str, str] = {}
    outputs = {node.get("id"): node for node in nodes}
    for node in nodes:
        linked = dict(_linked(node, links, outputs))
        inputs: dict[str, Any] = {}
        if node.get("type") in LAYOUTS and _is_classic(node):
            saved = node["type"], node.get("widgets_values"), _names(node)
            if (named := name_values(*saved)) is None:
                named = guess_values(*saved)
                unsure[str(node["id"])] = _UNSURE if named is None else _GUESSED
            inputs = _marked(node["type"], named or {})
        elif node.get("type") in LAYOUTS:
            inputs = _ours(node)
        elif isinstance(node.get("widgets_values"), Mapping):
            named = node["widgets_values"]
            inputs = {name: named.get(name) for name in ("filename_prefix", "frame_rate") if name in named}
        prompt[str(node["id"])] = {"class_type": node.get("type"), "inputs": {**inputs, **linked}}
    return prompt, unsure


def _marked(kind: str, named: dict[str, Any]) -> dict[str, Any]:
    """A classic node's values with one that tells it from ours."""
    return (
        {"denoising": True, **named} if kind == "Echo_LoadModel" else {"seeds": named.pop("seed", 0), **named}
    )


def _ours(node: dict[str, Any]) -> dict[str, Any]:
    """Values of a node that is ours already, by name."""
    values = list(node.get("widgets_values") or [])
    return dict(zip(_columns(node["type"]), values, strict=False))


def _names(node: dict[str, Any]) -> list[str]:
    return [str(socket.get("name")) for socket in node.get("inputs") or []]


def _linked(
    node: dict[str, Any], links: dict[Any, list[Any]], nodes: dict[Any, Any]
) -> Iterator[tuple[str, Any]]:
    for socket in node.get("inputs") or []:
        link = links.get(socket.get("link"))
        if link is None:
            continue
        origin, slot = nodes.get(link[1]), link[2]
        if origin is None:
            if str(link[1]) == OWN_INPUTS:
                yield socket["name"], [OWN_INPUTS, slot]
            continue
        slot = _slot_now(origin, slot, socket)
        if slot is not None:
            yield socket["name"], [str(link[1]), slot]


def _slot_now(origin: dict[str, Any], slot: int, socket: dict[str, Any]) -> int | None:
    """Where an output of the classic node is today; None where it is not, or is of another kind."""
    kind = origin.get("type")
    names = OUTPUTS.get(str(kind))
    if names is None or not _is_classic(origin):
        return slot
    saved = origin.get("outputs") or []
    if slot >= len(saved):
        return None
    if saved[slot].get("type") == "STRING" and socket.get("type") == "STRING":
        return None  # the first samplers gave the sound as a file's name
    name = _OUTPUT_NAMES.get(saved[slot].get("name"), saved[slot].get("name"))
    return names.index(name) if name in names else len(names)


def _columns(kind: str) -> Iterator[str]:
    """Names of our widgets in the order in which the editor saves them."""
    for name in INPUTS[kind]:
        if name not in SOCKETS:
            yield name
            if name == "seed":
                yield CONTROL


def _write_back(
    graph: dict[str, Any], old: dict[Any, Any], before: Prompt, after: Prompt, site: Site
) -> list[str]:
    """Puts the migrated prompt into the graph; gives remarks about nodes that could not be kept."""
    nodes = {str(node["id"]): node for node in graph["nodes"]}
    kept = {name: node for name, node in nodes.items() if name in after}
    for name, held in after.items():
        if name not in nodes or held["class_type"] != nodes[name].get("type"):
            kept[name] = _new_node(name, held, nodes.get(name) or _beside(name, after, nodes))
            if any(nodes.get(fed, {}).get("mode", 0) in _IDLE for fed in _feeding(held)):
                kept[name]["mode"] = _MUTED  # what it would show is not made
        elif held["class_type"] in INPUTS and held != before[name]:
            _rewrite(kept[name], held["inputs"])
    graph["nodes"] = list(kept.values())
    notes = _mute_missing(kept, after, site)
    _relink(graph, kept, old, after)
    return notes


def _feeding(held: dict[str, Any]) -> list[str]:
    """The nodes that a node is fed by."""
    return [str(value[0]) for value in held["inputs"].values() if is_link(value)]


def _beside(name: str, after: Prompt, nodes: Mapping[str, Any]) -> dict[str, Any]:
    """The node that uses a new one, to lay the new one out by."""
    users = [
        n for n, held in after.items() if any(is_link(v) and v[0] == name for v in held["inputs"].values())
    ]
    return next((nodes[n] for n in users if n in nodes), {})


def _new_node(name: str, held: dict[str, Any], like: dict[str, Any]) -> dict[str, Any]:
    """One of the server's own nodes where ``like`` stands, or to its left."""
    kind, across, down = held["class_type"], *_position(like)
    replaced = str(like.get("id")) == name
    plain = {key: value for key, value in held["inputs"].items() if not is_link(value)}
    return {
        "id": int(name) if name.lstrip("-").isdecimal() else name,
        "type": kind,
        "pos": [across, down] if replaced else [across - 340, down + 380],
        "size": [400, 420] if kind == "SaveVideo" else [300, 120],
        "flags": {},
        "order": like.get("order", 0),
        "mode": like.get("mode", 0) if replaced else 0,
        "inputs": [
            {"name": key, "type": _TYPES.get(key, "*"), "link": None, **_WIDGETS.get(key, {})}
            for key in held["inputs"]
            if key not in plain
        ],
        "outputs": [
            {"name": title, "type": kind_of, "links": None} for title, kind_of in _NEW_NODES.get(kind, ())
        ],
        "properties": {"Node name for S&R": kind},
        "widgets_values": list(plain.values()),
    }


def _position(node: dict[str, Any]) -> tuple[float, float]:
    place = node.get("pos") or [0, 0]
    if isinstance(place, Mapping):
        place = [place.get("0", 0), place.get("1", 0)]
    return float(place[0]), float(place[1])


def _rewrite(node: dict[str, Any], inputs: dict[str, Any]) -> None:
    """Values and sockets of one of our nodes from its inputs by name."""
    kind = node["type"]
    shown = {**defaults(kind), CONTROL: inputs.get(CONTROL, "fixed")}
    linked = {name for name, value in inputs.items() if is_link(value)}
    node["widgets_values"] = [
        shown[name] if name in linked else inputs.get(name, shown[name]) for name in _columns(kind)
    ]
    node["inputs"] = [_socket(name) for name in INPUTS[kind] if name in SOCKETS or name in linked]
    node["outputs"] = [
        {"name": name, "type": _TYPES.get(name, kind), "links": None} for name in OUTPUTS[kind]
    ]
    node["outputs"][0]["type"] = "ECHOMIMIC_MODEL" if kind == "Echo_LoadModel" else "IMAGE"
    node["properties"] = {**(node.get("properties") or {}), "Node name for S&R": kind}


def _socket(name: str) -> dict[str, Any]:
    if name in SOCKETS:
        return {"name": name, "type": _TYPES[name], "link": None}
    return {"name": name, "type": "*", "link": None, "widget": {"name": name}}


def _mute_missing(kept: dict[str, Any], after: Prompt, site: Site) -> list[str]:
    """Nodes of other packs that are not installed and only took something
    from ours would stop the whole run."""
    notes = []
    for name, node in kept.items():
        kind = str(node.get("type"))
        fed = any(
            is_link(value) and after.get(str(value[0]), {}).get("class_type") == "Echo_Sampler"
            for value in after[name]["inputs"].values()
        )
        lost = any(socket.get("link") is not None for socket in node.get("inputs") or [])
        if site.installed(kind) or node.get("mode", 0) != 0 or not (fed or (lost and _is_end(node))):
            continue
        node["mode"] = _MUTED
        notes.append(f"{kind} is not installed here and was muted")
    return notes


def _is_end(node: dict[str, Any]) -> bool:
    """Whether nothing takes what the node gives."""
    return not any(output.get("links") for output in node.get("outputs") or [])


def _relink(graph: dict[str, Any], kept: dict[str, Any], old: dict[Any, list[Any]], after: Prompt) -> None:
    """Links as the migrated prompt has them; those that were there keep their numbers."""
    numbers = {(str(link[3]), link[4]): link[0] for link in old.values()}
    inside = {str(node["id"]) for node in kept.values()}
    through = (*inside, OWN_INPUTS)
    links = [link for link in old.values() if str(link[3]) == OWN_OUTPUTS and str(link[1]) in through]
    top = max([int(graph.get("last_link_id") or 0), *(int(n) for n in old if str(n).isdecimal())])
    for name, node in kept.items():
        for place, socket in enumerate(node.get("inputs") or []):
            wanted = after[name]["inputs"].get(socket.get("name"))
            socket["link"] = None
            if is_link(wanted):
                number = numbers.pop((name, place), None)
                top, number = (top + 1, top + 1) if number is None else (top, number)
                socket["link"] = number
                origin = kept.get(str(wanted[0]), {})
                links.append(
                    [
                        number,
                        origin.get("id", _number(wanted[0])),
                        wanted[1],
                        node["id"],
                        place,
                        _type(origin, wanted[1], socket),
                    ]
                )
    _name_outputs(kept, links)
    put_links(graph, links)
    if "last_link_id" in graph:
        graph["last_link_id"] = top
        graph["last_node_id"] = max(
            [
                int(graph.get("last_node_id") or 0),
                *(n["id"] for n in kept.values() if isinstance(n["id"], int)),
            ]
        )


def _number(name: Any) -> Any:
    return int(name) if str(name).lstrip("-").isdecimal() else name


def _type(origin: dict[str, Any], slot: int, socket: dict[str, Any]) -> str:
    outputs = origin.get("outputs") or []
    return str(outputs[slot].get("type") if slot < len(outputs) else socket.get("type"))


def _name_outputs(kept: dict[str, Any], links: list[list[Any]]) -> None:
    """Writes into every output which links leave it."""
    for node in kept.values():
        for slot, output in enumerate(node.get("outputs") or []):
            output["links"] = [link[0] for link in links if link[1] == node["id"] and link[2] == slot] or None
