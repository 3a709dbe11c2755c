"""Which form of an operation runs: the CPU's own, Triton's fused kernels on CUDA, or PyTorch's operations.

The plain form of a fusible operation, with its contract, stands in ``norms`` or ``softmax``; the form of
the same name in ``triton_forms`` takes over where :func:`fused` says so. What fails to build, or gives other
numbers when it is first used, is left to the plain form from then on.
"""

import functools
import logging
import threading
from collections.abc import Callable, Hashable
from typing import Any, Concatenate, Literal, ParamSpec, TypeAlias, TypeVar, cast

import torch
from torch import Tensor

_LOG = logging.getLogger(__package__)

Form: TypeAlias = Literal["cpu", "fused", "plain"]

_Given = ParamSpec("_Given")
_Made = TypeVar("_Made")

COMPARED = 2**25
"""Entries up to which a first use is compared with the plain form, in 0.4 GiB at most."""

AGREE = {torch.float32: 1e-3, torch.float16: 2e-2, torch.bfloat16: 5e-2}
"""How far the forms may lie apart, of the largest value: some roundings. A wrong kernel is off by more."""

# Operations whose kernel could not be built on this machine, or is wrong.
_broken: set[str] = set()

# Uses of operations that gave what the plain form gives.
_proved: set[Hashable] = set()

# Kernels are built, and compared, by one thread at a time.
_first = threading.RLock()


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
        form = cast(Callable[[], _Made], functools.partial(_launched, name, x, *given, **further))
        use = x.device, x.dtype, *map(_trait, (x, *given, *further.values()))
        return prefer(name, use, x, form, functools.partial(plain, x, *given, **further))

    return cast(Callable[Concatenate[Tensor, _Given], _Made], chosen)


def prefer(
    name: str, use: Hashable, x: Tensor, form: Callable[[], _Made | None], plain: Callable[[], _Made]
) -> _Made:
    """What ``form`` gives of ``x``; what ``plain`` gives where that is None, and always from the first time
    on that it fails, or differs when some ``use`` is new."""
    if name in _broken:
        return plain()
    try:
        if (name, use) not in _proved and _comparable(x):
            with _first:
                return _compared(name, use, x, form, plain)
        made = form()
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:  # a compiler that is missing or too old fails in ways of its own
        _give_up(name, _line(error))
        return plain()
    return plain() if made is None else made


def _launched(name: str, x: Tensor, *given: Any, **further: Any) -> Any:
    # Triton launches on the current device, wherever its tensors are
    with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]
        return getattr(_triton(), name)(x, *given, **further)


def _comparable(x: Tensor) -> bool:
    """Whether numbers can be looked at: not of large tensors, nor while a graph is recorded."""
    small = x.numel() <= COMPARED and not x.is_meta
    return small and not (x.is_cuda and torch.cuda.is_current_stream_capturing())


def _compared(
    name: str, use: Hashable, x: Tensor, form: Callable[[], _Made | None], plain: Callable[[], _Made]
) -> _Made:
    """As :func:`prefer`, for a new use; waits for the device. The plain form goes first: the other may write
    over what it is given."""
    exact = plain()
    try:
        made = form()
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:
        _give_up(name, _line(error))
        return exact
    if made is None:
        return exact
    if not _alike(made, exact, x):
        _give_up(name, "its numbers differ")
        return exact
    _proved.add((name, use))
    return made


def _alike(made: Any, exact: Any, x: Tensor) -> bool:
    """Whether tensors, or tuples of them, are equal but for rounding; so is what is ``x`` itself, and what
    has no numbers to compare with."""
    if isinstance(made, tuple):
        return all(_alike(one, other, x) for one, other in zip(made, exact, strict=True))
    scale = exact.float().abs().max()
    if made is x or not bool(scale.isfinite()):
        return True
    return bool((made.float() - exact.float()).abs().max() <= AGREE[x.dtype] * scale)


def _trait(value: Any) -> Hashable:
    """What of an argument a kernel is built for: the channels of a tensor, other values as they are."""
    if isinstance(value, Tensor):
        return value.ndim, value.dtype, value.shape[1 if value.ndim == 4 else -1]
    assert isinstance(value, Hashable)
    return value


def _give_up(name: str, reason: str) -> None:
    _broken.add(name)
    _LOG.info("the fused %s does not work here (%s); PyTorch's operations do it", name, reason)


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
