"""ComfyUI: the classic nodes over the package's own flow.

Importing this costs nothing; the nodes' heavy packages are imported when they run.
"""

from typing import Any


async def comfy_entrypoint() -> Any:
    """What ComfyUI calls once when it starts: the pack's ``ComfyExtension``."""
    from echomimic.comfy.nodes import EchoMimicExtension

    return EchoMimicExtension()
