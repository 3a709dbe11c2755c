"""Norms and gates together with the additions before them; what is fused on CUDA."""

from collections.abc import Sequence
from typing import TypeAlias, TypeVar, Union, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from echomimic.models.kernels.forms import fused, fusible


class Sum:
    """``x + add + bias`` with ``skip`` behind its channels, not worked out yet: the next norm does it.

    ``x`` and ``add`` are (N, C, h, w), ``bias`` is (C,), ``skip`` (N, D, h, w).
    """

    def __init__(
        self, x: Tensor, add: Tensor | None = None, bias: Tensor | None = None, skip: Tensor | None = None
    ) -> None:
        self.x, self.add, self.bias, self.skip = x, add, bias, skip

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, images: slice) -> "Sum":
        """Some images; all of them are the sum itself, so that it is worked out once."""
        if images == slice(0, len(self.x)):
            return self
        add, skip = (None if t is None else t[images] for t in (self.add, self.skip))
        return Sum(self.x[images], add, self.bias, skip)

    def settle(self, total: Tensor) -> None:
        """From now on it is known."""
        self.x, self.add, self.bias, self.skip = total, None, None, None

    def total(self) -> Tensor:
        """Worked out, once."""
        self.settle(_total(self.x, self.add, self.bias, self.skip))
        return self.x


Images: TypeAlias = Union[Tensor, Sum]  # noqa: UP007  (Tensor | Sum does not evaluate on Python 3.10)
"""(N, C, h, w), added up or not."""


_Part = TypeVar("_Part", bound=Images)


def anchor(x: Images) -> Tensor:
    """A tensor of the size and the place of ``x``."""
    return x.x if isinstance(x, Sum) else x


def rejoined(parts: Sequence[_Part], dim: int = 0) -> _Part:
    """The parts one behind the other; a single one as it is, neither copied nor added up."""
    return parts[0] if len(parts) == 1 else cast(_Part, torch.cat([summed(part) for part in parts], dim))


def summed(x: Images) -> Tensor:
    """``x`` added up."""
    return x.total() if isinstance(x, Sum) else x


def lazily(x: Tensor, add: Tensor, bias: Tensor | None = None) -> Images:
    """``x + add + bias``: left to the next norm where that is fused, else added here."""
    found = Sum(x, add, bias)
    return found if fused(x) else found.total()


def beside(x: Images, skip: Tensor) -> Images:
    """``skip`` behind the channels of ``x``: left to the next norm where that is fused, else joined here."""
    s = x if isinstance(x, Sum) else Sum(x)
    found = Sum(s.x, s.add, s.bias, skip)
    return found if fused(skip) else found.total()


def _total(x: Tensor, add: Tensor | None, bias: Tensor | None, skip: Tensor | None) -> Tensor:
    total = x if add is None else x + add
    total = total if bias is None else total + bias[:, None, None]
    return total if skip is None else torch.cat([total, skip], 1)


class GroupNorm(nn.Module):
    """Group norm with official names, and what stands around it: the addition before, SiLU behind."""

    def __init__(self, groups: int, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.groups, self.eps = groups, eps
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Images, silu: bool = False) -> Tensor:
        """The norm of ``x``, and SiLU of that; works out a sum that has more than a bias to add."""
        s = x if isinstance(x, Sum) else Sum(x)
        total, normed = group_norm(
            s.x, s.add, s.bias, s.skip, self.weight, self.bias, self.groups, self.eps, silu
        )
        if s.add is not None or s.skip is not None:
            s.settle(total)
        return normed


@fusible
def group_norm(
    x: Tensor,
    add: Tensor | None,
    offset: Tensor | None,
    skip: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    groups: int,
    eps: float,
    silu: bool,
) -> tuple[Tensor, Tensor]:
    """A :class:`Sum` worked out, and its norm; ``offset`` (C,) is the bias of the sum, ``bias`` the norm's.

    Where there is nothing else to add or to join, the first may lack the offset.
    """
    total = _total(x, add, offset, skip)
    normed = F.group_norm(total, groups, weight, bias, eps)
    return total, F.silu(normed) if silu else normed


def add_norm(
    x: Tensor,
    add: Tensor | None,
    norm: nn.LayerNorm,
    *,
    constant: Tensor | None = None,
    gain: float = 1.0,
    first: int = 0,
    wanted: int = 0,
    after: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The sum ``x + gain · add`` and its layer norm, of tokens (N, L, C).

    add: (N - first, L, C), for the images from ``first`` on; None adds nothing there.
    constant: (C,), added ``gain`` times to the images before ``first``.
    wanted: the norm is made for the images from here on.
    after: (F, C), row by row added behind the norm: image i gets row i modulo F.
    """
    return add_layer_norm(
        x,
        add,
        constant,
        norm.weight,
        norm.bias,
        after,
        norm.eps,
        gain,
        first if add is not None else len(x),
        wanted,
    )


@fusible
def add_layer_norm(
    x: Tensor,
    add: Tensor | None,
    constant: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    after: Tensor | None,
    eps: float,
    gain: float,
    first: int,
    wanted: int,
) -> tuple[Tensor, Tensor]:
    """See :func:`add_norm`."""
    near, far = x[:first], x[first:]
    if constant is not None:
        near = near + gain * constant
    if add is not None:
        far = far + (add if gain == 1 else gain * add)
    total = x if constant is None and add is None else far if not first else near
    if 0 < first < len(x):
        total = torch.cat([near, far])
    normed = F.layer_norm(total[wanted:], weight.shape, weight, bias, eps)
    if after is not None:
        normed = (normed.view(-1, len(after), *normed.shape[1:]) + after[:, None]).flatten(0, 1)
    return total, normed


@fusible
def geglu(x: Tensor) -> Tensor:
    """(…, 2 H) → (…, H): the first half times the GELU of the second."""
    value, gate = x.chunk(2, -1)
    return F.gelu(gate).mul_(value)
