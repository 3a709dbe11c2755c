"""Which models can render here, and what is missing for the others."""

import importlib.util

from echomimic.errors import EchoMimicError
from echomimic.studio.database import Row
from echomimic.variants import VARIANTS, Variant

PACKAGES = ("torch", "transformers", "huggingface_hub")
INSTALL = 'pip install "echomimic-studio[diffusion]"'


def models() -> list[Row]:
    """Every model: what it is, whether it is ready, and what to do if not."""
    return [model_row(row) for row in VARIANTS.values()]


def model_row(row: Variant) -> Row:
    """One model; ``fetchable``: only its files are missing."""
    shown = {
        "name": row.name,
        "title": row.title,
        "engine": row.engine,
        "guide": row.guide,
        "size": row.size,
        "fps": row.fps,
    }
    state, remedy, missing, size, fetchable = "ready", None, 0, 0, False
    if row.files:
        from echomimic import hub

        items = hub.items(row.name)
        size, missing = sum(i.bytes for i in items), sum(i.bytes for i in items if i.path is None)
        absent = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
        if absent:
            state, remedy = f"packages are missing ({', '.join(absent)})", INSTALL
        elif reason := _unready(row.name):
            state, remedy, fetchable = reason, f"echomimic weights get {row.name}", True
    return shown | {
        "ready": state == "ready",
        "fetchable": fetchable,
        "state": state,
        "remedy": remedy,
        "bytes": size,
        "missing_bytes": missing,
    }


def _unready(model: str) -> str:
    from echomimic.models import layouts

    try:
        layouts.find(model)
        return ""
    except EchoMimicError as error:
        return str(error)
