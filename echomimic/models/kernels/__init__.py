"""What decides the speed: products, norms and attention, each in the form that suits the device.

On a CPU they are forms of our own (Winograd's convolution, blockwise attention), on CUDA element-wise work
is fused by Triton's kernels, elsewhere and inside ``torch.compile`` they are PyTorch's operations. Sums,
means and exponentials are taken in float32 in every form.
"""

from echomimic.models.kernels.forms import fused, on_cpu, portions
from echomimic.models.kernels.norms import (
    GroupNorm,
    Images,
    Sum,
    add_norm,
    anchor,
    beside,
    geglu,
    lazily,
    rejoined,
    summed,
)
from echomimic.models.kernels.products import (
    Conv3x3,
    Linear,
    Pointwise,
    arrange_convolutions,
    as_image,
    as_tokens,
    convolve,
    join_weights,
    products_of,
    winograd,
)
from echomimic.models.kernels.softmax import attend, attend_frames

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
    "as_image",
    "as_tokens",
    "attend",
    "attend_frames",
    "beside",
    "convolve",
    "fused",
    "geglu",
    "join_weights",
    "lazily",
    "on_cpu",
    "portions",
    "products_of",
    "rejoined",
    "summed",
    "winograd",
]
