"""The shape in which the editor writes a graph and its links: what is damaged is left as it is."""

from typing import Any

_NUMBERS = (int, str)
_ROW = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")

OWN_INPUTS, OWN_OUTPUTS = "-10", "-20"
"""The ids that the editor gives what goes into a subgraph, and what comes out of it."""


def is_sound(graph: Any) -> bool:
    """Whether nodes and their sockets are what they should be; links are looked at one by one."""
    nodes = graph.get("nodes") if isinstance(graph, dict) else None
    if not isinstance(nodes, list) or not isinstance(graph.get("links") or [], list):
        return False
    if not all(isinstance(graph.get(name, 0), int) for name in ("last_link_id", "last_node_id")):
        return False
    if not all(map(_is_node, nodes)):
        return False
    return len({str(node["id"]) for node in nodes}) == len(nodes)


def is_link_row(link: Any) -> bool:
    """Whether this is a link as the editor stores it: [id, node, output, node, input, kind]."""
    if not isinstance(link, list) or len(link) < 6:
        return False
    return (
        all(_is_number(value) for value in link[:2])
        and _is_number(link[3])
        and all(map(_is_slot, link[2:5:2]))
    )


def _is_node(node: Any) -> bool:
    if not isinstance(node, dict) or not _is_number(node.get("id")) or not isinstance(node.get("type"), str):
        return False
    if not isinstance(node.get("mode", 0), int) or not isinstance(node.get("properties") or {}, dict):
        return False
    values, place = node.get("widgets_values"), node.get("pos")
    if not isinstance(values, (list, dict, type(None))) or not (place is None or _is_place(place)):
        return False
    return _are_sockets(node.get("inputs"), "link") and _are_sockets(node.get("outputs"), "links")


def _are_sockets(sockets: Any, linked: str) -> bool:
    if not isinstance(sockets or [], list):
        return False
    return all(isinstance(socket, dict) and _is_socket(socket, linked) for socket in sockets or [])


def _is_socket(socket: dict[str, Any], linked: str) -> bool:
    links = socket.get(linked)
    alone = [links] if linked == "link" else links
    named = isinstance(socket.get("name"), str)
    return named and (links is None or (isinstance(alone, list) and all(map(_is_number, alone))))


def _is_number(value: Any) -> bool:
    return isinstance(value, _NUMBERS) and not isinstance(value, bool)


def _is_slot(value: Any) -> bool:
    return isinstance(value, int) and value >= 0


def _is_place(value: Any) -> bool:
    pair = [value.get("0", 0), value.get("1", 0)] if isinstance(value, dict) else value
    return isinstance(pair, list) and len(pair) >= 2 and all(isinstance(v, (int, float)) for v in pair[:2])


def as_row(link: Any) -> list[Any]:
    """A link as the main graph has it; subgraphs have objects."""
    if not isinstance(link, dict):
        return list(link) if isinstance(link, list) else []
    return [link.get(name) for name in _ROW]


def put_links(graph: dict[str, Any], links: list[list[Any]]) -> None:
    """Gives a graph these links, as rows or as objects, whichever it has; a subgraph's own inputs and outputs
    name theirs."""
    as_objects = any(isinstance(link, dict) for link in graph.get("links") or [])
    graph["links"] = [dict(zip(_ROW, link, strict=True)) for link in links] if as_objects else links
    for ends, own, node, slot in (("inputs", OWN_INPUTS, 1, 2), ("outputs", OWN_OUTPUTS, 3, 4)):
        named = graph.get(ends)
        for place, end in enumerate(named if isinstance(named, list) else ()):
            if isinstance(end, dict) and "linkIds" in end:
                end["linkIds"] = [link[0] for link in links if str(link[node]) == own and link[slot] == place]
