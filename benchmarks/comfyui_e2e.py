"""Runs the shipped ComfyUI workflows on a real server and prints what happened as a table.

    COMFY_DIR=…/ComfyUI COMFY_PYTHON=…/venv/bin/python python benchmarks/comfyui_e2e.py

``COMFY_PYTHON`` is the interpreter that runs that server; this script goes on under it, for its aiohttp and
PyAV. The server is private: a scratch base directory, this repository linked into its custom_nodes, a free
local port. V1 and V2 need weights: ``--models DIR`` links a folder as models/echo_mimic; ``--tiny`` makes
untrained networks of a few megabytes and renders small and short, which shows that the path works and nothing
else.
"""

import argparse
import asyncio
import contextlib
import copy
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SMALL = {"length": 16, "steps": 2, "width": 128, "height": 128}
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COMFY_DYNAMICCOMBO_V3")
COLUMNS = ("workflow", "run", "status", "seconds", "first progress", "interrupt latency", "previews", "video")


@dataclass
class Run:
    """One prompt: how it ended, and when what happened, in seconds from its start."""

    status: str = "?"
    seconds: float = 0.0
    first_progress: float | None = None
    latency: float | None = None
    previews: int = 0
    fell: bool = False
    message: str = ""
    files: list[Path] = field(default_factory=list)


def to_api(workflow: dict[str, Any], info: dict[str, Any]) -> dict[str, Any]:
    """The editor's workflow as the prompt that the editor would post;
    ``info`` is the server's /object_info."""
    links = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    graph: dict[str, Any] = {}
    for node in workflow["nodes"]:
        if node["type"] in info:
            inputs = {i["name"]: links[i["link"]] for i in node["inputs"] if i.get("link")}
            graph[str(node["id"])] = {
                "class_type": node["type"],
                "inputs": {**_widgets(node, info), **inputs},
            }
    return graph


def _widgets(node: dict[str, Any], info: dict[str, Any]) -> dict[str, Any]:
    """Widget values by name: the file holds them by position, with one more after a seed."""
    declared = info[node["type"]]["input"]
    values, named = list(node.get("widgets_values") or []), {}
    for name, (kind, *options) in {**declared.get("required", {}), **declared.get("optional", {})}.items():
        if values and (isinstance(kind, list) or kind in WIDGETS):
            named[name] = values.pop(0)
            if options and options[0].get("control_after_generate"):
                values.pop(0)
    return named


def changed(graph: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """The prompt with other settings wherever a node of ours has them."""
    graph = copy.deepcopy(graph)
    for node in graph.values():
        if node["class_type"].startswith("Echo_"):
            node["inputs"].update({name: value for name, value in settings.items() if name in node["inputs"]})
    return graph


class Server:
    """A private ComfyUI."""

    def __init__(self, options: argparse.Namespace, base: Path) -> None:
        self.options, self.base = options, base
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url, self.client = f"http://127.0.0.1:{self.port}", uuid.uuid4().hex

    def lay_out(self) -> None:
        """The scratch base directory: our pack, the example's files, the weights."""
        for name in ("custom_nodes", "input", "output", "temp", "user", "models"):
            (self.base / name).mkdir(parents=True, exist_ok=True)
        (self.base / "custom_nodes" / "EchoMimic").symlink_to(ROOT, target_is_directory=True)
        for name in ("portrait.jpg", "speech.flac"):
            shutil.copy(ROOT / "echomimic" / "example" / name, self.base / "input")
        if self.options.models:
            (self.base / "models" / "echo_mimic").symlink_to(Path(self.options.models).resolve())
        if self.options.tiny:
            make_tiny(self.base)

    def command(self) -> list[str]:
        """What starts it."""
        main = Path(self.options.comfy_dir, "main.py").resolve()
        place = ["--listen", "127.0.0.1", "--port", str(self.port), "--base-directory", str(self.base)]
        quiet = ["--disable-auto-launch", "--disable-api-nodes", "--database-url", "sqlite:///:memory:"]
        return [sys.executable, str(main), *place, *quiet, *([] if self.options.gpu else ["--cpu"])]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[float]:
        """Seconds until it answered; it is stopped at the end."""
        began, log = time.monotonic(), (self.base / "server.log").open("wb")
        env = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
        process = await asyncio.create_subprocess_exec(
            *self.command(), cwd=self.base, env=env, stdout=log, stderr=log, start_new_session=True
        )
        try:
            while not await self._answers():
                if process.returncode is not None or time.monotonic() - began > 180:
                    raise SystemExit(
                        "the server did not start:\n" + (self.base / "server.log").read_text()[-3000:]
                    )
                await asyncio.sleep(0.25)
            yield time.monotonic() - began
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(process.wait(), 15)
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)

    async def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return "system" in await self.ask("/system_stats")
        return False

    async def ask(self, path: str, body: Any = None) -> Any:
        """GET, or POST of ``body``; JSON back."""
        import aiohttp

        verb = "GET" if body is None else "POST"
        async with (
            aiohttp.ClientSession() as session,
            session.request(verb, self.url + path, json=body) as answer,
        ):
            text = await answer.text()
            return json.loads(text) if text.strip() else {}

    async def run(self, graph: dict[str, Any], interrupt_after: float | None = None) -> Run:
        """Posts a prompt and watches it; it may be interrupted some seconds after its first frame."""
        import aiohttp

        run, began = Run(), time.monotonic()
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{self.url}/ws?clientId={self.client}") as ws,
        ):
            prompt = str(uuid.uuid4())
            answer = await self.ask(
                "/prompt", {"prompt": graph, "client_id": self.client, "prompt_id": prompt}
            )
            if answer.get("node_errors") or "error" in answer:
                return Run("rejected", message=json.dumps(answer)[:500])
            await self._watch(ws, run, prompt, began, interrupt_after)
        run.seconds = time.monotonic() - began
        run.files = self._files(await self._history(prompt))
        return run

    async def _history(self, prompt: str) -> dict[str, Any]:
        """What the server keeps of a prompt: it is there a moment after the prompt ended."""
        for _ in range(40):
            kept: dict[str, Any] = (await self.ask(f"/history/{prompt}")).get(prompt, {})
            if kept:
                return kept
            await asyncio.sleep(0.1)
        return {}

    async def _watch(
        self, ws: Any, run: Run, prompt: str, began: float, interrupt_after: float | None
    ) -> None:
        sent, last = None, 0.0
        async for message in ws:
            now = time.monotonic()
            if isinstance(message.data, bytes):
                run.previews += 1
                continue
            event = json.loads(message.data)
            kind, data = event["type"], event.get("data") or {}
            if kind == "progress":
                run.first_progress = run.first_progress or now - began
                run.fell |= data["value"] / data["max"] < last
                last = data["value"] / data["max"] if data["value"] < data["max"] else 0.0
            ended = _ending(kind, data, prompt, run)
            if (
                sent is None
                and interrupt_after is not None
                and now - began > interrupt_after
                and run.previews
            ):
                sent = time.monotonic()
                await self.ask("/interrupt", {"prompt_id": prompt})
            if ended:
                run.latency = now - sent if sent else None
                return

    def _files(self, history: dict[str, Any]) -> list[Path]:
        found = [
            item for node in history.get("outputs", {}).values() for items in node.values() for item in items
        ]
        files = [item for item in found if isinstance(item, dict) and "filename" in item]
        return [self.base / item["type"] / item["subfolder"] / item["filename"] for item in files]


def _ending(kind: str, data: dict[str, Any], prompt: str, run: Run) -> bool:
    """Takes note of how the prompt ended; whether it did."""
    endings = {"execution_success": "ok", "execution_interrupted": "interrupted", "execution_error": "error"}
    if kind in endings and data.get("prompt_id") == prompt:
        run.status, run.message = endings[kind], data.get("exception_message", "").strip()
        if data.get("exception_type", "").endswith("WeightsError"):
            run.status, run.message = "needs weights", run.message.partition(";")[0]
        return True
    return False


def make_tiny(base: Path) -> None:
    """Untrained small networks in the official layout."""
    sys.path.insert(0, str(ROOT))
    from tests import tiny

    for family in ("v1", "v2"):
        tiny.write(base / "models" / "echo_mimic" / family, family)


def describe(file: Path) -> str:
    """Frames, size and rate of a written video, and how far its sound is from its pictures."""
    import av

    with av.open(str(file)) as container:
        video, sound = container.streams.video[0], container.streams.audio
        pictures = sum(1 for _ in container.decode(video))
        rate = float(video.average_rate)
        size = f"{video.width}x{video.height}"
        heard = f", sound {float(sound[0].duration * sound[0].time_base):.2f} s" if sound else ", no sound"
    return f"{pictures} frames {size} {rate:g} fps{heard}"


def row(name: str, what: str, run: Run) -> tuple[str, ...]:
    """One line of the table."""
    told = f"{run.status}{', bar fell' if run.fell else ''}{': ' + run.message if run.message else ''}"
    first, latency = (f"{t:.2f}" if t is not None else "" for t in (run.first_progress, run.latency))
    return (
        name,
        what,
        told,
        f"{run.seconds:.2f}",
        first,
        latency,
        str(run.previews),
        "; ".join(map(describe, run.files)),
    )


async def measure(server: Server, path: Path, info: dict[str, Any]) -> AsyncIterator[tuple[str, ...]]:
    """First run, new seed, the same again, interrupted, and once more to see that all is well after it."""
    graph = changed(to_api(json.loads(path.read_text()), info), **(SMALL if server.options.tiny else {}))
    first = await server.run(graph)
    yield row(path.stem, "first", first)
    if first.status == "ok":
        for what, seed in (("new seed", 1), ("same again", 1)):
            yield row(path.stem, what, await server.run(changed(graph, seed=seed)))
        stopped = await server.run(changed(graph, seed=2), server.options.interrupt)
        yield row(path.stem, "interrupted", stopped)
        yield row(path.stem, "after it", await server.run(changed(graph, seed=3)))


def line(cells: tuple[str, ...]) -> str:
    """One line of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |"


async def benchmark(options: argparse.Namespace) -> int:
    """Runs everything and prints the table; 0 when each run ended as it should."""
    with tempfile.TemporaryDirectory(prefix="echomimic-comfyui-") as scratch:
        server = Server(options, Path(scratch))
        server.lay_out()
        async with server.running() as seconds:
            system = (await server.ask("/system_stats"))["system"]
            info = await server.ask("/object_info")
            print(
                f"ComfyUI {system['comfyui_version']}, ready in {seconds:.1f} s, {system['pytorch_version']}",
                flush=True,
            )
            print(line(COLUMNS), line(("---",) * len(COLUMNS)), sep="\n", flush=True)
            failed = False
            for path in sorted((ROOT / "example_workflows").glob(f"{options.only or ''}*.json")):
                async for cells in measure(server, path, info):
                    print(line(cells), flush=True)
                    failed |= not cells[2].startswith(("ok", "interrupted", "needs weights"))
        if options.keep:
            shutil.copytree(Path(scratch, "output"), options.keep, dirs_exist_ok=True)
    return int(failed)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--comfy-dir", default=os.environ.get("COMFY_DIR"), help="ComfyUI checkout (COMFY_DIR)"
    )
    parser.add_argument("--python", default=os.environ.get("COMFY_PYTHON"), help="its Python (COMFY_PYTHON)")
    parser.add_argument("--models", help="a folder of weights, linked as models/echo_mimic")
    parser.add_argument(
        "--tiny", action="store_true", help="untrained networks of a few megabytes, small and short"
    )
    parser.add_argument("--only", help="only workflows whose names begin so")
    parser.add_argument("--interrupt", type=float, default=1.0, help="interrupt after this many seconds (1)")
    parser.add_argument("--keep", help="copy the written videos here")
    parser.add_argument("--gpu", action="store_true", help="let the server use the GPU")
    options = parser.parse_args()
    if not options.comfy_dir or not Path(options.comfy_dir, "main.py").is_file():
        parser.error("--comfy-dir or COMFY_DIR must name a ComfyUI checkout")
    if not options.python or not os.access(options.python, os.X_OK):
        parser.error("--python or COMFY_PYTHON must name the Python that runs it")
    return options


if __name__ == "__main__":
    arguments = parsed()
    if Path(arguments.python).absolute() != Path(sys.executable).absolute():
        os.execv(arguments.python, [arguments.python, *sys.argv])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server is stopped too
    sys.exit(asyncio.run(benchmark(arguments)))
