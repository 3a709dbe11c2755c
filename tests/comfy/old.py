"""Workflows and prompts as people saved them with the classic node pack,
built anew from the layouts of their day."""

from typing import Any

LOADERS: dict[str, list[Any]] = {
    "2024-07-14": ["stabilityai/sd-vae-ft-mse", True, False],
    "2024-07-17": ["stabilityai/sd-vae-ft-mse", True, "turbo", False, False],
    "2024-07-26": ["stabilityai/sd-vae-ft-mse", True, "pose_acc", True, False],
    "2024-08-01": ["stabilityai/sd-vae-ft-mse", True, "audio_drived", False, False, True],
    "2024-12-04": ["sd.safetensors", True, "pose_normal", False, True, False, "V2"],
    "2025-08-12": ["sd.safetensors", True, "pose_normal_sapiens", False, "V3", "HighRAM_LowVRAM", "V2"],
}
BODY = [7, 3.5, 20, 24, 16000, 0.2, 0.5, 12, 4]
SIZE = [120, 448, 576]
SAMPLERS: dict[str, tuple[list[str], list[Any]]] = {
    "2024-07-14": (["image", "pipe", "face_detector", "visualizer"], ["walden.wav", *BODY, *SIZE, True]),
    "2024-07-15": (["image", "audio", "pipe", "face_detector", "visualizer"], [*BODY, *SIZE, True]),
    "2024-07-17": (
        ["image", "audio", "pipe", "face_detector", "visualizer"],
        ["none", "pose_01", *BODY, *SIZE, False, True],
    ),
    "2024-07-26": (
        ["image", "audio", "pipe", "face_detector", "visualizer"],
        ["talk.mp4", "none", *BODY, False, *SIZE, True, True],
    ),
    "2024-11-18": (
        ["image", "audio", "model", "face_detector", "visualizer", "video_images"],
        ["pose_01", *BODY, *SIZE, True],
    ),
    "2025-08-12": (["model", "emb"], [7, 3.5, 20, 16000, 12, 4, True]),
}
PREDATA = ["a prompt", "no prompt", "pose_01", 448, 576, 24, 0.2, 0.5, 120, 65, True, False]
MODEL_OUTPUTS = ["model", "face_detector", "visualizer"]


def workflow(day: str, loader_day: str | None = None, control: bool = False) -> dict[str, Any]:
    """A saved workflow of that day: picture and sound into the sampler,
    its frames into a foreign video node."""
    sockets, values = SAMPLERS[day]
    values = list(values)
    if control:
        values.insert(values.index(7) + 1, "randomize")
    late = day == "2025-08-12"
    loader_outputs = ["model", "info"] if late else MODEL_OUTPUTS
    outputs = ["image", "frame_rate"] if late else ["image", "audio", "frame_rate"]
    graph = Graph()
    graph.node(1, "LoadImage", [], ["IMAGE", "MASK"], ["portrait.jpg", "image"])
    graph.node(2, "LoadAudio", [], ["AUDIO"], ["speech.wav", None, ""])
    graph.node(3, "Echo_LoadModel", [], loader_outputs, LOADERS[loader_day or "2024-12-04"])
    graph.node(4, "Echo_Sampler", sockets, outputs, values)
    if late:
        graph.node(6, "Echo_Predata", ["info", "image", "audio", "clip", "video_images"], ["emb"], PREDATA)
        graph.node(7, "CLIPLoader", [], ["CLIP"], ["umt5.safetensors", "wan", "cpu"])
        for link in ((3, 1, 6, "info"), (7, 0, 6, "clip"), (6, 0, 4, "emb")):
            graph.link(*link)
    graph.node(
        5, "VHS_VideoCombine", ["images", "audio", "frame_rate"], ["Filenames"], {"filename_prefix": "Old"}
    )
    taker = 6 if late else 4
    for origin, slot, name in ((1, 0, "image"), (2, 0, "audio"), (3, 0, "pipe"), (3, 0, "model")):
        graph.link(origin, slot, 4 if name in ("pipe", "model") else taker, name)
    if not late:
        for link in ((3, 1, 4, "face_detector"), (3, 2, 4, "visualizer"), (4, 1, 5, "audio")):
            graph.link(*link)
    graph.link(4, 0, 5, "images")
    graph.link(4, outputs.index("frame_rate"), 5, "frame_rate")
    return graph.saved()


class Graph:
    """Builds a file as the editor saves it."""

    def __init__(self) -> None:
        self.nodes: dict[int, dict[str, Any]] = {}
        self.links: list[list[Any]] = []

    def node(self, number: int, kind: str, inputs: list[str], outputs: list[str], values: Any) -> None:
        self.nodes[number] = {
            "id": number,
            "type": kind,
            "pos": {"0": 100 * number, "1": 0},
            "mode": 0,
            "inputs": [{"name": name, "type": "*", "link": None} for name in inputs],
            "outputs": [{"name": name, "type": "*", "links": []} for name in outputs],
            "widgets_values": values,
        }

    def link(self, origin: int, slot: int, target: int, name: str) -> None:
        """A link into the input of that name, if the node has it."""
        for place, socket in enumerate(self.nodes[target]["inputs"]):
            if socket["name"] == name:
                number = len(self.links) + 10
                self.links.append([number, origin, slot, target, place, "*"])
                socket["link"] = number
                self.nodes[origin]["outputs"][slot]["links"].append(number)

    def saved(self) -> dict[str, Any]:
        last = max(link[0] for link in self.links)
        return {
            "last_node_id": 9,
            "last_link_id": last,
            "nodes": list(self.nodes.values()),
            "links": self.links,
        }


def prompt(day: str) -> dict[str, Any]:
    """The same as the editor of that day would have posted it."""
    names = {
        "2024-11-18": [
            "pose_dir",
            "seed",
            "cfg",
            "steps",
            "fps",
            "sample_rate",
            "facemask_ratio",
            "facecrop_ratio",
        ],
        "2024-07-26": [
            "video_files",
            "pose_dir",
            "seeds",
            "cfg",
            "steps",
            "fps",
            "sample_rate",
            "facemask_ratio",
        ],
    }
    late = day == "2025-08-12"
    made: dict[str, Any] = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "portrait.jpg"}},
        "2": {"class_type": "LoadAudio", "inputs": {"audio": "speech.wav"}},
        "3": {
            "class_type": "Echo_LoadModel",
            "inputs": {
                "vae": "stabilityai/sd-vae-ft-mse",
                "denoising": True,
                "infer_mode": "audio_drived_acc",
            },
        },
        "5": {"class_type": "PreviewImage", "inputs": {"images": ["4", 0]}},
    }
    if late:
        ahead = {
            "info": ["3", 1],
            "image": ["1", 0],
            "audio": ["2", 0],
            "prompt": "x",
            "width": 448,
            "height": 576,
        }
        made["6"] = {"class_type": "Echo_Predata", "inputs": {**ahead, "pose_dir": "pose_01", "length": 120}}
        made["4"] = {"class_type": "Echo_Sampler", "inputs": {"model": ["3", 0], "emb": ["6", 0], "seed": 7}}
        made["8"] = {"class_type": "VHS_VideoCombine", "inputs": {"images": ["4", 0], "frame_rate": ["4", 1]}}
        return made
    sockets, values = SAMPLERS[day]
    sources = {"image": ["1", 0], "audio": ["2", 0], "pipe": ["3", 0], "model": ["3", 0]}
    sources |= {"face_detector": ["3", 1], "visualizer": ["3", 2]}
    linked = {name: sources[name] for name in sockets if name in sources}
    made["4"] = {
        "class_type": "Echo_Sampler",
        "inputs": {**dict(zip(names[day], values, strict=False)), **linked},
    }
    return made
