"""What decides the speed, in one place: products, norms and attention, each in the form that suits the device.

On a CPU they are forms of our own (Winograd's convolution, blockwise attention), on CUDA element-wise work is
fused by Triton's kernels, elsewhere and inside ``torch.compile`` they are PyTorch's operations. Sums, means and
exponentials are taken in float32 in every form.
"""

from echomimic.models.kernels.attention import attend, attend_frames
from echomimic.models.kernels.forms import fused, on_cpu, portions
from echomimic.models.kernels.norms import (
    GroupNorm,
    Images,
    Sum,
    add_norm,
    anchor,
    beside,
    gated,
    joined,
    lazily,
    summed,
)
from echomimic.models.kernels.products import (
    Conv3x3,
    Linear,
    Pointwise,
    arrange_convolutions,
    convolve,
    image_of,
    join_weights,
    project,
    tokens_of,
    winograd,
)

__all__ = [
    "Conv3x3",
    "GroupNorm",
    "Images",
    "Linear",
    "Pointwise",
    "Sum",
    "add_norm",
    "anchor",
    "arrange_convolutions",
    "attend",
    "attend_frames",
    "beside",
    "convolve",
    "fused",
    "gated",
    "image_of",
    "join_weights",
    "joined",
    "lazily",
    "on_cpu",
    "portions",
    "project",
    "summed",
    "tokens_of",
    "winograd",
]
