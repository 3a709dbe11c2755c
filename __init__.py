"""Lets a plain clone in ComfyUI's ``custom_nodes`` folder load; nothing else imports this file.

ComfyUI imports the clone under its path as name. The package inside imports itself as ``echomimic``, so it is
introduced under that name first, unless it is known already.
"""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

if "echomimic" not in sys.modules:
    _folder = Path(__file__).parent / "echomimic"
    _spec = spec_from_file_location(
        "echomimic", _folder / "__init__.py", submodule_search_locations=[str(_folder)]
    )
    if _spec is None or _spec.loader is None:
        raise ImportError(f"{_folder} is incomplete; clone the repository anew")
    sys.modules["echomimic"] = module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["echomimic"])

from echomimic.comfy import comfy_entrypoint

WEB_DIRECTORY = "web"

__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
