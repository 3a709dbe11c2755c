# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators
"""Triton's kernels, launched by ``triton_forms``. Pointers come first, then sizes, then what is compiled in.

Memory is rows of channels: an image's pixel, or a token, is a row. All arithmetic is in float32, whatever is
stored. Indices of rows are 64 bits wide: a batch of decoded pictures has more than 2³¹ entries. Counts that
no address needs a divisor of are not specialised on: a kernel is built once for all sizes of a picture.
"""

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["pixels", "chunks"])
def gather_statistics(
    x, add, offset, skip, total, means, squares,
    pixels, own, channels, chunks,
    ADD: tl.constexpr, OFFSET: tl.constexpr, SKIP: tl.constexpr, KEEP: tl.constexpr,
    ROWS: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    """Adds up and joins a block of pixels; keeps the sum, each channel's mean and squared distances from it.

    Means and squares are (N, chunks, C). The first ``own`` channels come from ``x``, others from ``skip``.
    """
    image, chunk = tl.program_id(0) // chunks, tl.program_id(0) % chunks
    row = chunk * ROWS + tl.arange(0, ROWS)
    c = tl.program_id(1) * COLS + tl.arange(0, COLS)
    place = (image.to(tl.int64) * pixels + row)[:, None]
    inside = (row < pixels)[:, None] & (c < channels)[None, :]
    mine = inside & (c < own)[None, :]
    here = place * own + c[None, :]
    v = tl.load(x + here, mask=mine, other=0.0).to(tl.float32)
    if ADD:
        v += tl.load(add + here, mask=mine, other=0.0).to(tl.float32)
    if OFFSET:
        v += tl.load(offset + c, mask=c < own, other=0.0).to(tl.float32)[None, :]
    if SKIP:
        theirs = inside & (c >= own)[None, :]
        there = place * (channels - own) + (c - own)[None, :]
        v = tl.where(theirs, tl.load(skip + there, mask=theirs, other=0.0).to(tl.float32), v)
    if KEEP:
        stored = v.to(total.dtype.element_ty)
        tl.store(total + place * channels + c[None, :], stored, mask=inside)
        v = stored.to(tl.float32)
    count = tl.minimum(pixels - chunk * ROWS, ROWS).to(tl.float32)
    mean = tl.sum(tl.where(inside, v, 0.0), 0) / count
    apart = tl.where(inside, v - mean[None, :], 0.0)
    at = (image.to(tl.int64) * chunks + chunk) * channels + c
    tl.store(means + at, mean, mask=c < channels)
    tl.store(squares + at, tl.sum(apart * apart, 0), mask=c < channels)


@triton.jit(do_not_specialize=["pixels", "chunks", "rows"])
def finish_statistics(
    means, squares, weight, bias, offset, scale, shift,
    pixels, channels, chunks, rows, eps,
    OFFSET: tl.constexpr, GROUP: tl.constexpr, WIDE: tl.constexpr, CHUNKS: tl.constexpr,
):  # fmt: skip
    """One group of one image: what its chunks say becomes a scale and a shift per channel, (N, C) each.

    Means are joined first, then distances from the common one (Chan, Golub and LeVeque, 1979): nothing is
    subtracted that is large. ``offset`` is what the normed values lack of the ones counted.
    """
    groups = channels // GROUP
    image, group = tl.program_id(0) // groups, tl.program_id(0) % groups
    lane = tl.arange(0, WIDE)
    c = group * GROUP + lane
    base = image.to(tl.int64) * chunks
    number = pixels * GROUP * 1.0
    added = tl.zeros([CHUNKS, WIDE], tl.float32)
    for start in range(0, chunks, CHUNKS):
        chunk = start + tl.arange(0, CHUNKS)
        inside = (chunk < chunks)[:, None] & (lane < GROUP)[None, :]
        count = tl.minimum(pixels - chunk * rows, rows).to(tl.float32)[:, None]
        at = (base + chunk)[:, None] * channels + c[None, :]
        added += tl.load(means + at, mask=inside, other=0.0) * count
    mean = tl.sum(tl.sum(added, 1), 0) / number
    added = tl.zeros([CHUNKS, WIDE], tl.float32)
    for start in range(0, chunks, CHUNKS):
        chunk = start + tl.arange(0, CHUNKS)
        inside = (chunk < chunks)[:, None] & (lane < GROUP)[None, :]
        count = tl.minimum(pixels - chunk * rows, rows).to(tl.float32)[:, None]
        at = (base + chunk)[:, None] * channels + c[None, :]
        apart = tl.load(means + at, mask=inside, other=0.0) - mean
        added += tl.where(inside, tl.load(squares + at, mask=inside, other=0.0) + count * apart * apart, 0.0)
    deviation = tl.sqrt(tl.sum(tl.sum(added, 1), 0) / number + eps)
    mine = lane < GROUP
    factor = tl.load(weight + c, mask=mine, other=0.0).to(tl.float32) / deviation
    rest = tl.load(bias + c, mask=mine, other=0.0).to(tl.float32) - mean * factor
    if OFFSET:
        rest += tl.load(offset + c, mask=mine, other=0.0).to(tl.float32) * factor
    at = image * channels + c
    tl.store(scale + at, factor, mask=mine)
    tl.store(shift + at, rest, mask=mine)


@triton.jit(do_not_specialize=["pixels", "chunks"])
def scale_shift(
    x, scale, shift, out, pixels, channels, chunks,
    SILU: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    """``x`` times its image's scale per channel plus the shift, then SiLU."""
    image, chunk = tl.program_id(0) // chunks, tl.program_id(0) % chunks
    row = chunk * ROWS + tl.arange(0, ROWS)
    c = tl.program_id(1) * COLS + tl.arange(0, COLS)
    inside = (row < pixels)[:, None] & (c < channels)[None, :]
    at = (image.to(tl.int64) * pixels + row)[:, None] * channels + c[None, :]
    factor = tl.load(scale + image * channels + c, mask=c < channels, other=0.0)
    rest = tl.load(shift + image * channels + c, mask=c < channels, other=0.0)
    v = tl.load(x + at, mask=inside, other=0.0).to(tl.float32) * factor[None, :] + rest[None, :]
    if SILU:
        v = v * tl.sigmoid(v)
    tl.store(out + at, v.to(out.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["rows", "first", "wanted", "tokens", "frames"])
def layer_norm_rows(
    x, add, constant, weight, bias, after, total, normed,
    rows, channels, first, wanted, tokens, frames, gain, eps,
    ADD: tl.constexpr, CONSTANT: tl.constexpr, AFTER: tl.constexpr,
    ROWS: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Rows from ``first`` on get ``gain`` times ``add``, those before the constant; then their layer norm.

    The norm is stored for rows from ``wanted`` on, with its frame's row of ``after`` added.
    """
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    c = tl.arange(0, WIDE)
    known = c < channels
    inside = (row < rows)[:, None] & known[None, :]
    at = row[:, None] * channels + c[None, :]
    v = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    if ADD:
        later = inside & (row >= first)[:, None]
        there = add + (row - first)[:, None] * channels + c[None, :]
        v += gain * tl.load(there, mask=later, other=0.0).to(tl.float32)
    if CONSTANT:
        same = tl.load(constant + c, mask=known, other=0.0).to(tl.float32)
        v += tl.where((row < first)[:, None], gain * same[None, :], 0.0)
    if ADD or CONSTANT:
        stored = v.to(total.dtype.element_ty)
        tl.store(total + at, stored, mask=inside)
        v = stored.to(tl.float32)
    mean = tl.sum(v, 1) / channels
    apart = tl.where(known[None, :], v - mean[:, None], 0.0)
    deviation = tl.sqrt(tl.sum(apart * apart, 1) / channels + eps)
    factor = tl.load(weight + c, mask=known, other=0.0).to(tl.float32)
    rest = tl.load(bias + c, mask=known, other=0.0).to(tl.float32)
    y = apart / deviation[:, None] * factor[None, :] + rest[None, :]
    if AFTER:
        frame = (row // tokens) % frames
        y += tl.load(after + frame[:, None] * channels + c[None, :], mask=inside, other=0.0).to(tl.float32)
    kept = inside & (row >= wanted)[:, None]
    there = normed + (row - wanted)[:, None] * channels + c[None, :]
    tl.store(there, y.to(normed.dtype.element_ty), mask=kept)


@triton.jit(do_not_specialize=["rows"])
def gate_rows(x, out, rows, hidden, ROWS: tl.constexpr, COLS: tl.constexpr):
    """(rows, 2 · hidden) → (rows, hidden): the first half times the GELU (by erf) of the second."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    c = tl.program_id(1) * COLS + tl.arange(0, COLS)
    inside = (row < rows)[:, None] & (c < hidden)[None, :]
    at = row[:, None] * (2 * hidden) + c[None, :]
    value = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    gate = tl.load(x + at + hidden, mask=inside, other=0.0).to(tl.float32)
    y = value * (0.5 * gate * (1.0 + tl.erf(gate * 0.7071067811865476)))
    tl.store(out + row[:, None] * hidden + c[None, :], y.to(out.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["rows", "tokens", "first", "own_image", "own_head", "far_image", "far_head"])
def merge_rows(
    own, own_weight, far, far_weight,
    rows, tokens, channels, first,
    own_image, own_head, far_image, far_head,
    WIDTH: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    """Writes own and far attention, each by its share, to ``own``; weights stride by image and head."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    c = tl.program_id(1) * COLS + tl.arange(0, COLS)
    inside = (row < rows)[:, None] & (c < channels)[None, :]
    image, token, head = (row // tokens)[:, None], (row % tokens)[:, None], (c // WIDTH)[None, :]
    a = tl.load(own_weight + (image + first) * own_image + head * own_head + token, mask=inside, other=0.0)
    b = tl.load(far_weight + image * far_image + head * far_head + token, mask=inside, other=0.0)
    here = own + (row + first * tokens)[:, None] * channels + c[None, :]
    there = tl.load(far + row[:, None] * channels + c[None, :], mask=inside, other=0.0).to(tl.float32)
    v = there + tl.sigmoid(a - b) * (tl.load(here, mask=inside, other=0.0).to(tl.float32) - there)
    tl.store(here, v.to(own.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["tokens", "heads", "frames"])
def attend_pixels(
    q, k, v, out,
    tokens, heads, q_row, k_row, v_row, frames, factor,
    WIDTH: tl.constexpr, FRAMES: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """One head at one token of one clip: all its frames see each other. Rows of q, k and v may lie apart."""
    head, place = tl.program_id(0) % heads, tl.program_id(0) // heads
    f, c = tl.arange(0, FRAMES), tl.arange(0, WIDE)
    row = (((place // tokens) * frames + f).to(tl.int64) * tokens + place % tokens)[:, None]
    inside = (f < frames)[:, None] & (c < WIDTH)[None, :]
    column = head * WIDTH + c[None, :]
    queries = tl.load(q + row * q_row + column, mask=inside, other=0.0)
    keys = tl.load(k + row * k_row + column, mask=inside, other=0.0)
    values = tl.load(v + row * v_row + column, mask=inside, other=0.0)
    scores = tl.dot(queries, tl.trans(keys), input_precision="ieee") * factor
    scores = tl.where((f < frames)[None, :], scores, float("-inf"))
    share = tl.exp(scores - tl.max(scores, 1)[:, None])
    share = share / tl.sum(share, 1)[:, None]
    seen = tl.dot(share.to(values.dtype), values, input_precision="ieee")
    tl.store(out + row * (heads * WIDTH) + column, seen.to(out.dtype.element_ty), mask=inside)
