"""Prompts (the editor's API format) that use the classic pack's nodes, as prompts for these nodes.

A prompt is ``{node id: {"class_type": …, "inputs": {name: value, or [node id, output] for a link}}}``. What
is already written for these nodes passes through as it is.
"""

import copy
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from echomimic.comfy.old_values import LOADER_ONLY, NOTHING, SAMPLER_ONLY, Site, loader_values, sampler_values
from echomimic.comfy.widgets import INPUTS, OUTPUTS

Prompt: TypeAlias = dict[str, dict[str, Any]]

LOADER, SAMPLER, PREDATA = "Echo_LoadModel", "Echo_Sampler", "Echo_Predata"
GONE = ("Echo_VideoUpscale", "Echo_Upscaleloader")
"""Nodes of the classic pack without a counterpart: what went through them goes past them."""
_PICTURES, _SOUND, _RATE, _VIDEO = range(4)
_COMBINE = "VHS_VideoCombine"
_USUAL_RATE = 25.0


@dataclass
class Migration:
    """A prompt in today's words, and per node what was done to it, one remark each."""

    prompt: Prompt
    notes: dict[str, list[str]] = field(default_factory=dict)

    def note(self, node: str, *remarks: str) -> None:
        """Adds remarks about a node; none twice."""
        kept = self.notes.setdefault(node, [])
        kept.extend(remark for remark in remarks if remark not in kept)


def is_link(value: Any) -> bool:
    """Whether an input's value is a link: [node id, output]."""
    if not isinstance(value, list) or len(value) != 2:
        return False
    return isinstance(value[0], (str, int)) and isinstance(value[1], int)


def migrate(
    prompt: Prompt, site: Site, slots_are_new: bool = False, holders: Collection[str] = ()
) -> Migration:
    """The prompt for today's nodes. ``slots_are_new``: links out of the sampler count the outputs that it has
    now. ``holders`` are kinds of nodes (subgraphs) that hold a sampler."""
    made = Migration(copy.deepcopy(prompt))
    _skip_upscalers(made)
    for node in _of(made.prompt, SAMPLER):
        _sampler(node, made, site, slots_are_new)
    for node in _of(made.prompt, LOADER):
        _loader(node, made, site)
    for node in _of(made.prompt, PREDATA):
        made.note(node, "Echo_Predata is not needed any more: its inputs are the sampler's")
        del made.prompt[node]
    _drop_dead_links(made, prompt.keys() - made.prompt.keys())
    _replace_missing(made, site, holders)
    return made


def _of(prompt: Prompt, kind: str) -> list[str]:
    return [node for node, held in prompt.items() if _kind(held) == kind]


def _kind(held: Any) -> str:
    return (
        str(held.get("class_type")) if isinstance(held, dict) and isinstance(held.get("inputs"), dict) else ""
    )


def _links(prompt: Prompt) -> Iterator[tuple[str, str, str, int]]:
    """Every link as (node, input, source, output)."""
    for node, held in prompt.items():
        for name, value in list(held["inputs"].items()) if _kind(held) else ():
            if is_link(value):
                yield node, name, str(value[0]), value[1]


def source(prompt: Prompt, value: Any) -> str:
    """The id of the node that a link comes from, past reroutes; empty when it is no link."""
    for _ in range(len(prompt)):
        if not is_link(value):
            return ""
        held = prompt.get(str(value[0]), {})
        if _kind(held) != "Reroute":
            return str(value[0])
        value = next(iter(held["inputs"].values()), None)
    return ""


def is_classic(inputs: dict[str, Any], only: tuple[str, ...]) -> bool:
    """Whether inputs are those of a classic node: it has some that ours has not."""
    return any(name in inputs for name in only)


def _sampler(node: str, made: Migration, site: Site, slots_are_new: bool) -> None:
    held = made.prompt[node]
    inputs = held["inputs"]
    before = source(made.prompt, inputs.get("emb"))
    if _kind(made.prompt.get(before, {})) == PREDATA:
        inputs.update({k: v for k, v in made.prompt[before]["inputs"].items() if k not in inputs})
        if not slots_are_new:
            _move_rate(made.prompt, node)
    inputs.pop("emb", None)
    loader = made.prompt.get(source(made.prompt, inputs.get("model", inputs.get("pipe"))), {}).get(
        "inputs", {}
    )
    classic = before or is_classic(inputs, SAMPLER_ONLY) or is_classic(loader, LOADER_ONLY)
    if not classic:
        return
    inputs.update({k: loader[k] for k in ("draw_mouse", "motion_sync") if k in loader and k not in inputs})
    held["inputs"], notes = sampler_values(inputs, site)
    made.note(node, *notes)
    _load_files(node, made)


def _move_rate(prompt: Prompt, sampler: str) -> None:
    """The sampler behind an Echo_Predata had two outputs, picture and rate: the rate is the third now."""
    for node, name, origin, output in list(_links(prompt)):
        if origin == sampler and output == 1:
            prompt[node]["inputs"][name] = [sampler, _RATE]


def _load_files(node: str, made: Migration) -> None:
    """Files that the classic sampler named itself come from the server's own loading nodes now."""
    inputs = made.prompt[node]["inputs"]
    sound, film = inputs.pop("audio_file", None), inputs.pop("video_files", None)
    from_film = inputs.pop("audio_form_video", False) is True
    if isinstance(inputs.get("audio"), str):
        sound = inputs.pop("audio")
    if film not in NOTHING and "driving" not in inputs:
        inputs["driving"] = [_add(made.prompt, node, "LoadVideo", {"file": film}), 0]
        made.note(node, f"video_files {film} is loaded by a Load Video node now")
    if from_film and is_link(inputs.get("driving")) and film not in NOTHING:
        parts = _add(made.prompt, node, "GetVideoComponents", {"video": list(inputs["driving"])})
        inputs["audio"] = [parts, 1]
        made.note(node, "audio_form_video: the sound is taken from the video")
    elif sound not in NOTHING and "audio" not in inputs:
        inputs["audio"] = [_add(made.prompt, node, "LoadAudio", {"audio": sound}), 0]
        made.note(node, f"the sound {sound} is loaded by a Load Audio node now")


def _add(prompt: Prompt, beside: str, kind: str, inputs: dict[str, Any]) -> str:
    """A new node; its id is the next whole number, as the editor would give it."""
    scope, _, _ = beside.rpartition(":")
    used = [int(name.rpartition(":")[2]) for name in prompt if name.rpartition(":")[2].isdecimal()]
    name = f"{scope}:{max(used, default=0) + 1}" if scope else str(max(used, default=0) + 1)
    prompt[name] = {"class_type": kind, "inputs": inputs}
    return name


def _loader(node: str, made: Migration, site: Site) -> None:
    held = made.prompt[node]
    if not is_classic(held["inputs"], LOADER_ONLY):
        return
    samplers = [
        s for s in _of(made.prompt, SAMPLER) if source(made.prompt, _of_input(made, s, "model")) == node
    ]
    posed = any(
        _of_input(made, s, "driving") or _of_input(made, s, "pose_dir") not in ("none", None)
        for s in samplers
    )
    held["inputs"], notes = loader_values(held["inputs"], posed, site)
    made.note(node, *notes)


def _of_input(made: Migration, node: str, name: str) -> Any:
    return made.prompt[node]["inputs"].get(name)


def _skip_upscalers(made: Migration) -> None:
    """Takes the upscaler's nodes out; pictures, sound and rate that went through it go straight on."""
    for node in [n for kind in GONE for n in _of(made.prompt, kind)]:
        kind, inputs = made.prompt[node]["class_type"], made.prompt[node]["inputs"]
        past = {0: "image", 1: "audio", 2: "frame_rate"}
        for consumer, name, origin, output in list(_links(made.prompt)):
            if origin == node:
                onward = inputs.get(past.get(output, "")) or inputs.get(name)
                made.prompt[consumer]["inputs"].pop(name)
                if is_link(onward):
                    made.prompt[consumer]["inputs"][name] = onward
        made.note(node, f"{kind} has no counterpart and was taken out")
        del made.prompt[node]


def _drop_dead_links(made: Migration, gone: Collection[str]) -> None:
    """Links into inputs, or out of outputs, that these nodes do not have, and of nodes that are gone."""
    for node, name, origin, output in list(_links(made.prompt)):
        kind, from_kind = _kind(made.prompt[node]), _kind(made.prompt.get(origin, {}))
        unknown = kind in INPUTS and name not in INPUTS[kind]
        beyond = from_kind in OUTPUTS and not 0 <= output < len(OUTPUTS[from_kind])
        if unknown or beyond or origin in gone:
            made.prompt[node]["inputs"].pop(name)
        if unknown and origin in made.prompt and from_kind != LOADER:
            made.note(node, f"{name} is no input of this node: its link was left out")
        elif beyond:
            made.note(node, f"{name} was linked to output {output} of {from_kind}, which it does not have")


def _replace_missing(made: Migration, site: Site, holders: Collection[str]) -> None:
    """A video node that this server lacks, and that only took our frames, is done by its own Save Video."""
    for node in _of(made.prompt, _COMBINE):
        inputs = made.prompt[node]["inputs"]
        origin = source(made.prompt, inputs.get("images"))
        kind = _kind(made.prompt.get(origin, {}))
        if (kind != SAMPLER and kind not in holders) or site.installed(_COMBINE):
            continue
        video = [origin, _VIDEO]
        if kind in holders:
            parts = {name: inputs[name] for name in ("images", "audio") if is_link(inputs.get(name))}
            parts["fps"] = inputs.get("frame_rate", _USUAL_RATE)
            video = [_add(made.prompt, node, "CreateVideo", parts), 0]
        prefix = inputs.get("filename_prefix")
        prefix = prefix if isinstance(prefix, str) else "video/EchoMimic"
        saved = {"video": video, "filename_prefix": prefix, "format": "auto", "codec": "auto"}
        made.prompt[node] = {"class_type": "SaveVideo", "inputs": saved}
        made.note(node, f"{_COMBINE} is not installed here: Save Video does its work")
