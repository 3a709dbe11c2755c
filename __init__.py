"""Lets a plain clone in ComfyUI's ``custom_nodes`` folder load; nothing else imports this file.

ComfyUI imports the clone under its path as name, so the package inside is introduced as ``echomimic`` first, unless an
installed one was imported already.
"""

import sys
from pathlib import Path

if "comfy_api" in sys.modules or "folder_paths" in sys.modules:
    if "echomimic" not in sys.modules:
        from importlib.util import module_from_spec, spec_from_file_location

        _folder = Path(__file__).parent / "echomimic"
        _spec = spec_from_file_location("echomimic", _folder / "__init__.py", submodule_search_locations=[str(_folder)])
        if _spec is None or _spec.loader is None:
            raise ImportError(f"{_folder} is incomplete; clone the repository anew")
        sys.modules["echomimic"] = module_from_spec(_spec)
        _spec.loader.exec_module(sys.modules["echomimic"])
    from echomimic.comfy import comfy_entrypoint

WEB_DIRECTORY = "web"

__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
