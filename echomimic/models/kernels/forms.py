"""Which form of an operation runs: the CPU's own, Triton's fused kernels on CUDA, or PyTorch's operations.

The plain form of a fusible operation, with its contract, stands in ``norms`` or ``softmax``; the form of
the same name in ``triton_forms`` takes over where :func:`fused` says so. What fails to build is left to the
plain form from then on.
"""

import functools
import logging
from collections.abc import Callable
from typing import Concatenate, Literal, ParamSpec, TypeAlias, TypeVar, cast

import torch
from torch import Tensor

_LOG = logging.getLogger(__package__)

Form: TypeAlias = Literal["cpu", "fused", "plain"]

_Given = ParamSpec("_Given")
_Made = TypeVar("_Made")

_broken: set[str] = set()
"""Operations whose kernel could not be built on this machine."""


def form_for(x: Tensor) -> Form:
    """``cpu``: the CPU's own; ``fused``: Triton's, on CUDA without gradients; ``plain``: PyTorch's."""
    if torch.compiler.is_compiling():
        return "plain"
    if x.device.type == "cpu":
        return "cpu"
    return "fused" if x.is_cuda and not x.requires_grad and _triton() is not None else "plain"


def on_cpu(x: Tensor) -> bool:
    """Whether the CPU's own forms apply to ``x``."""
    return form_for(x) == "cpu"


def fused(x: Tensor) -> bool:
    """Whether Triton's kernels work on ``x``."""
    return form_for(x) == "fused"


def portions(x: Tensor, count: int, step: int) -> list[slice]:
    """``count`` entries cut into slices of at most ``step`` on a CPU, one slice elsewhere and inside
    ``torch.compile``.

    Small tensors stay in the cache and in memory the process already has: three times faster on a CPU, no use
    on a GPU.
    """
    step = max(1, step) if on_cpu(x) else max(1, count)
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def fusible(
    plain: Callable[Concatenate[Tensor, _Given], _Made],
) -> Callable[Concatenate[Tensor, _Given], _Made]:
    """An operation in its plain form, which Triton's of the same name replaces where that works."""
    name = plain.__name__

    @functools.wraps(plain)
    def chosen(x: Tensor, *given: _Given.args, **further: _Given.kwargs) -> _Made:
        if name in _broken or not fused(x):
            return plain(x, *given, **further)
        try:
            # Triton launches on the current device, wherever its tensors are
            with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]
                made: _Made = getattr(_triton(), name)(x, *given, **further)
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:  # a compiler that is missing or too old fails in ways of its own
            _broken.add(name)
            _LOG.info("the fused %s does not work here (%s); PyTorch's operations do it", name, _line(error))
            return plain(x, *given, **further)
        return made

    return cast(Callable[Concatenate[Tensor, _Given], _Made], chosen)


@functools.cache
def _triton() -> object | None:
    """Triton's forms; None, said once, where Triton is not installed."""
    try:
        from echomimic.models.kernels.triton_forms import TritonForms
    except ImportError as error:
        _LOG.info("no fused kernels on this GPU (%s): install triton for more speed", _line(error))
        return None
    return TritonForms


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:120]
