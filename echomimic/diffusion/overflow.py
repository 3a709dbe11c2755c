"""Numbers that are too large for their format: noticed where it costs nothing, said in one line."""

import torch
from torch import Tensor

from echomimic.errors import SettingsError

_REMEDY = {
    torch.float16: "numbers overflowed in fp16; use --dtype bf16 or fp32",
    torch.bfloat16: "numbers overflowed in bf16; use --dtype fp32",
}


def refuse_overflow(values: Tensor, dtype: torch.dtype) -> None:
    """Raises :class:`SettingsError` when ``values``, computed in ``dtype``, are not all finite."""
    if not bool(values.isfinite().all()):
        raise overflow(dtype)


def overflow(dtype: torch.dtype) -> SettingsError:
    """What to say when numbers computed in ``dtype`` are not finite."""
    other = "numbers overflowed even in fp32; the weights are damaged, run: echomimic weights check"
    return SettingsError(_REMEDY.get(dtype, other))
