"""What the editor shows: ids, order, defaults and ranges that existing workflows count on."""

import asyncio
import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.comfy.conftest import Server

ROOT = Path(__file__).resolve().parents[2]
RANGES = {
    "seed": (0, 0, 2**31 - 1, 1),
    "cfg": (2.5, 0.0, 10.0, 0.1),
    "steps": (30, 1, 100, 1),
    "fps": (25.0, 5.0, 100.0, 1.0),
    "sample_rate": (16000, 8000, 48000, 1000),
    "facemask_ratio": (0.1, 0.0, 1.0, 0.05),
    "facecrop_ratio": (0.8, 0.0, 1.0, 0.05),
    "context_frames": (12, 0, 50, 1),
    "context_overlap": (3, 0, 10, 1),
    "length": (0, 0, 5000, 1),
    "width": (512, 128, 1024, 64),
    "height": (512, 128, 1024, 64),
}
SAMPLER = ("image", "audio", "model", "pose_dir", *RANGES, "save_video")
NODES = {
    "Echo_LoadModel": "EchoLoadModel",
    "Echo_Sampler": "EchoSampler",
    "Echo_PreviewMotion": "EchoPreviewMotion",
}


def schema(nodes: ModuleType, node_id: str) -> Any:
    return getattr(nodes, NODES[node_id]).define_schema()


def inputs(nodes: ModuleType, node_id: str) -> dict[str, Any]:
    return {value.id: value for value in schema(nodes, node_id).inputs}


def test_the_pack_offers_the_three_ids(server: Server) -> None:
    extension = asyncio.run(importlib.import_module("echomimic.comfy").comfy_entrypoint())
    offered = asyncio.run(extension.get_node_list())
    assert [node.define_schema().node_id for node in offered] == list(NODES)


def test_the_sampler_keeps_the_classic_widgets_in_their_order(nodes: ModuleType) -> None:
    assert tuple(inputs(nodes, "Echo_Sampler"))[: len(SAMPLER)] == SAMPLER


@pytest.mark.parametrize("name", RANGES)
def test_the_sampler_keeps_the_classic_ranges(nodes: ModuleType, name: str) -> None:
    options = inputs(nodes, "Echo_Sampler")[name].options
    assert (options["default"], options["min"], options["max"], options["step"]) == RANGES[name]


def test_the_sampler_returns_frames_sound_rate_and_video(nodes: ModuleType) -> None:
    outputs = schema(nodes, "Echo_Sampler").outputs
    assert [out.kind for out in outputs] == ["IMAGE", "AUDIO", "FLOAT", "VIDEO"]
    assert [out.kind for out in schema(nodes, "Echo_LoadModel").outputs] == [
        "ECHOMIMIC_MODEL",
        "MODEL_FACE_E",
        "MODEL_VISUAL_E",
    ]
    assert inputs(nodes, "Echo_Sampler")["model"].kind == "ECHOMIMIC_MODEL"


@pytest.mark.parametrize("node_id", NODES)
def test_everything_says_what_it_is(nodes: ModuleType, node_id: str) -> None:
    made = schema(nodes, node_id)
    assert made.description
    assert all(value.options.get("tooltip") for value in (*made.inputs, *made.outputs))


@pytest.mark.parametrize("node_id", NODES)
def test_every_widget_may_be_missing(nodes: ModuleType, node_id: str) -> None:
    linked = {"IMAGE", "AUDIO", "ECHOMIMIC_MODEL"}
    assert all(
        value.options.get("optional") for value in schema(nodes, node_id).inputs if value.kind not in linked
    )


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("node_id", NODES)
def test_locales_name_every_input_and_output(nodes: ModuleType, node_id: str, language: str) -> None:
    made, texts = schema(nodes, node_id), locale(language)[node_id]
    assert texts["display_name"]
    assert texts["description"]
    assert list(texts["inputs"]) == [value.id for value in made.inputs]
    assert list(texts["outputs"]) == [str(i) for i in range(len(made.outputs))]
    for text in (*texts["inputs"].values(), *texts["outputs"].values()):
        assert text["name"]
        assert text.get("tooltip") or language == "en"


@pytest.mark.parametrize("node_id", NODES)
def test_the_english_locale_says_what_the_schema_says(nodes: ModuleType, node_id: str) -> None:
    made, texts = schema(nodes, node_id), locale("en")[node_id]
    assert texts["description"] == made.description
    said = {name: text["tooltip"] for name, text in texts["inputs"].items() if "tooltip" in text}
    assert said == {value.id: value.options["tooltip"] for value in made.inputs if value.id in said}


@pytest.mark.parametrize("node_id", NODES)
def test_the_help_page_covers_every_input(nodes: ModuleType, node_id: str) -> None:
    page = (ROOT / "web" / "docs" / f"{node_id}.md").read_text()
    assert [value.id for value in schema(nodes, node_id).inputs if f"`{value.id}`" not in page] == []


def locale(language: str) -> Any:
    return json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text())


def test_a_plain_clone_loads_under_its_path(tmp_path: Path) -> None:
    clone = tmp_path / "custom_nodes" / "Echo.Mimic"
    clone.parent.mkdir()
    clone.symlink_to(ROOT, target_is_directory=True)
    code = f"""
import sys, importlib.util
sys.path[:] = [p for p in sys.path if p and p != {str(ROOT)!r}]
sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in repr(f).lower()]
name, file = {str(clone).replace(".", "_x_")!r}, {str(clone / "__init__.py")!r}
spec = importlib.util.spec_from_file_location(name, file)
module = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = module
spec.loader.exec_module(module)
import echomimic
known = ("torch", "numpy", "cv2", "av", "diffusers", "transformers", "onnxruntime")
heavy = [m for m in known if m in sys.modules]
print(module.WEB_DIRECTORY, module.comfy_entrypoint.__name__, heavy, echomimic.__file__)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.stdout.split(" ")[:3] == ["web", "comfy_entrypoint", "[]"], done.stderr
    assert str(clone) in done.stdout
