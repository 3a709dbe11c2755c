"""What the pack adds to the server besides its nodes: old workflows and prompts are understood, prompts
labelled.

The page asks ``/echomimic/open_workflow`` (and ``open_prompt``, for the API format) to bring a workflow of
the classic pack to these nodes, and ``/echomimic/idle`` which inputs have no effect with which model. Every
prompt passes :func:`on_prompt` before the server checks it.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from echomimic.comfy import folders
from echomimic.comfy.modes import MODES, VERSIONS, variant_name
from echomimic.comfy.old_prompts import LOADER, Migration, Prompt, is_link, migrate, source
from echomimic.comfy.old_values import Site
from echomimic.comfy.old_workflows import open_workflow
from echomimic.comfy.widgets import INPUTS, idle
from echomimic.errors import EchoMimicError
from echomimic.variants import variant
from echomimic.version import VERSION

LOG = logging.getLogger(__name__)
LABEL = f"This workflow makes AI-generated video of people with EchoMimic {VERSION}: it is not a recording."
"""Goes into every file that the server, or another pack, saves with a prompt's own data."""

# Bytes of the largest workflow that is looked at.
_LARGEST = 20_000_000
_remarks: dict[str, tuple[str, ...]] = {}


def remarks_on(node: str | None) -> tuple[str, ...]:
    """What was done to a node's inputs when its prompt came in."""
    return _remarks.get(str(node), ())


def register() -> None:
    """Adds the routes and the prompt's check to the running server; nothing happens where there is none."""
    try:
        from server import PromptServer
    except ImportError:
        return
    served = getattr(PromptServer, "instance", None)
    if served is not None:
        served.add_on_prompt_handler(on_prompt)
        _add_routes(served.routes)


def _add_routes(routes: Any) -> None:
    from aiohttp import web

    @routes.post("/echomimic/open_workflow")  # type: ignore[untyped-decorator]
    async def opened(request: Any) -> Any:
        """``{workflow, missing}`` → ``{workflow, notes}``;
        ``missing`` are the kinds of node the page does not know."""
        asked = await request.json()
        if not isinstance(asked, dict) or not isinstance(asked.get("workflow"), dict):
            return web.json_response({"error": "a JSON object with a workflow is needed"}, status=400)
        missing = set(map(str, asked.get("missing") or ()))
        made = open_workflow(asked["workflow"], site(lambda kind: kind not in missing))
        return web.json_response({"workflow": made.workflow, "notes": list(made.notes)})

    @routes.post("/echomimic/open_prompt")  # type: ignore[untyped-decorator]
    async def opened_prompt(request: Any) -> Any:
        """``{prompt}`` → ``{prompt, notes}``, for a file in the API format that is opened on the page."""
        asked = await request.json()
        if not isinstance(asked, dict) or not isinstance(asked.get("prompt"), dict):
            return web.json_response({"error": "a JSON object with a prompt is needed"}, status=400)
        prompt, made = in_todays_words(asked["prompt"])
        notes = list(dict.fromkeys(note for notes in made.notes.values() for note in notes))
        return web.json_response({"prompt": prompt, "notes": notes})

    @routes.get("/echomimic/idle")  # type: ignore[untyped-decorator]
    async def idle_inputs(_: Any) -> Any:
        """``{version: {infer_mode: [names of inputs without effect]}}``."""
        return web.json_response(
            {v: {m: list(idle(variant(variant_name(v, m)))) for m in MODES} for v in VERSIONS}
        )


def site(installed: Callable[[str], bool] | None = None) -> Site:
    """What this server has now."""
    return Site(folders.vae_choices(), folders.pose_choices(), installed or _is_installed)


def _is_installed(kind: str) -> bool:
    import nodes

    return kind in nodes.NODE_CLASS_MAPPINGS


def on_prompt(data: dict[str, Any]) -> dict[str, Any]:
    """A prompt in today's words, without values that have no effect, and labelled; others pass as they are.

    Values that the chosen model never reads are left out, so that a change of one renders nothing anew.
    """
    prompt = data.get("prompt")
    if not isinstance(prompt, dict) or not any(_kind(held).startswith("Echo_") for held in prompt.values()):
        return data
    data["prompt"], made = in_todays_words(prompt)
    _keep(made)
    _leave_out_idle(made.prompt)
    _label(data)
    return data


def in_todays_words(prompt: dict[str, Any]) -> tuple[dict[str, Any], Migration]:
    """A prompt as these nodes want it, and what was done; what is no node is left to the server's check."""
    sound = {n: held for n, held in prompt.items() if _kind(held) and isinstance(held.get("inputs"), dict)}
    made = migrate(sound, site())
    return {**{name: held for name, held in prompt.items() if name not in sound}, **made.prompt}, made


def _kind(held: Any) -> str:
    return str(held.get("class_type", "")) if isinstance(held, dict) else ""


def _keep(made: Migration) -> None:
    """Remembers the remarks for the nodes that will run; those of nodes that are gone go to the log only."""
    for name in made.prompt:
        _remarks.pop(name, None)
    for name, notes in made.notes.items():
        _remarks[name] = tuple(notes)
        for note in notes:
            LOG.info("node %s: %s", name, note)
    while len(_remarks) > 1000:
        _remarks.pop(next(iter(_remarks)))


def _leave_out_idle(prompt: Prompt) -> None:
    for held in prompt.values():
        if _kind(held) in INPUTS and _kind(held) != LOADER:
            loader = prompt.get(source(prompt, held["inputs"].get("model")), {}).get("inputs")
            for name in _idle_for(loader) if loader is not None else ():
                if not is_link(held["inputs"].get(name)):
                    held["inputs"].pop(name, None)


def _idle_for(loader: Mapping[str, Any]) -> tuple[str, ...]:
    """Inputs without effect behind that loader; none when what it loads is only known when it runs."""
    try:
        return idle(
            variant(variant_name(loader.get("version", VERSIONS[0]), loader.get("infer_mode", MODES[0])))
        )
    except EchoMimicError:
        return ()


def _label(data: dict[str, Any]) -> None:
    extra = data.setdefault("extra_data", {})
    if isinstance(extra, dict):
        if not isinstance(extra.get("extra_pnginfo"), dict):
            extra["extra_pnginfo"] = {}
        extra["extra_pnginfo"]["ai_generated"] = LABEL
