"""One file of tensors, opened safely: what is in it without reading it, then its tensors with bounded memory.

``.safetensors`` and ``.pth``/``.pt``/``.bin``/``.ckpt`` look alike from here. Pickles only ever go through
``torch.load(weights_only=True)``, which builds tensors and plain containers and runs nothing else. Files are
memory-mapped: a tensor that needs no cast stays a view of the file.
"""

import pickle
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from echomimic.errors import WeightsError
from echomimic.models.layouts import is_zip

READ_WINDOW = 256 * 2**20
"""Bytes that are copied out of a mapping before it is renewed, so that pages already read do not pile up."""

STORED_DTYPES: Mapping[str, torch.dtype] = {
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
    "I8": torch.int8,
    "U8": torch.uint8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "BOOL": torch.bool,
}
"""safetensors' names of what we can meet."""


@dataclass(frozen=True, slots=True)
class Spec:
    """Shape and dtype of one tensor."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def bytes(self) -> int:
        """Size of the tensor's data."""
        return torch.Size(self.shape).numel() * self.dtype.itemsize


class Checkpoint:
    """The tensors of one file.

    ``specs`` maps names to shapes and dtypes. Raises :class:`WeightsError` that names the
    file if it is missing, cut short, no checkpoint at all, or a pickle that wants to run code.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.specs = _safetensors_specs(path) if _is_safetensors(path) else _specs(_unpickle(path))

    def tensors(
        self, names: Iterable[str], dtype: torch.dtype | None = None, device: torch.device | str = "cpu"
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield ``(name, tensor)`` cast to ``dtype`` (None: as stored) on ``device``.

        What needs neither cast nor move is a read-only view of the mapped file. Otherwise at most about
        ``WINDOW`` bytes of the file are resident beside the copies.
        """
        wanted, device = set(names), torch.device(device)
        state: Mapping[str, Tensor] | _Lazy | None = None
        read = 0
        for name, spec in self.specs.items():
            if name not in wanted:
                continue
            if state is None or read > READ_WINDOW:
                state, read = None, 0
                state = self._open()
            view = state[name].detach()
            copies = (dtype not in (None, spec.dtype)) or device.type != "cpu"
            read += spec.bytes if copies else 0
            tensor = view.to(device=device, dtype=dtype) if copies else view
            del view
            yield name, tensor

    def _open(self) -> "Mapping[str, Tensor] | _Lazy":
        return _Lazy(self.path) if _is_safetensors(self.path) else _unpickle(self.path)


class _Lazy:
    """Tensors of a safetensors file, mapped when asked for."""

    def __init__(self, path: Path) -> None:
        self._file = safe_open(str(path), framework="pt")

    def __getitem__(self, name: str) -> Tensor:
        tensor: Tensor = self._file.get_tensor(name)  # type: ignore[no-untyped-call, unused-ignore]
        return tensor


def damage(path: Path) -> str | None:
    """Read a zip checkpoint to its end and say which record is damaged; None if all sums are right.

    safetensors files carry no sums: their size is all there is, and opening them checks it.
    """
    if not is_zip(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        return str(error)
    return None if bad is None else f"record {bad} does not match its checksum"


def _is_safetensors(path: Path) -> bool:
    return path.suffix == ".safetensors"


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(64)
    except OSError as error:
        raise WeightsError(f"cannot read {path} ({error.strerror or error}); download it again") from error


def _foreign(path: Path, head: bytes) -> WeightsError | None:
    """What a file that is no checkpoint at all most likely is."""
    if not head:
        return WeightsError(f"{path} is empty; download it again")
    if head.startswith(b"version https://git-lfs"):
        return WeightsError(
            f"{path} is a Git LFS pointer, not the weights; run `git lfs pull` or download it again"
        )
    if head.lstrip()[:1] == b"<":
        return WeightsError(f"{path} is a web page, not weights; the download failed, get it again")
    if _is_safetensors(path) or head.startswith((b"PK", b"\x80\x02")):
        return None
    if head.startswith(b"\x80"):
        return _refused(path, "a plain Python pickle")
    return WeightsError(f"{path} is no checkpoint; download it again")


def _safetensors_specs(path: Path) -> dict[str, Spec]:
    if foreign := _foreign(path, _head(path)):
        raise foreign
    try:
        with safe_open(str(path), framework="pt") as file:
            # it is no mapping, though it has keys
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            return {n: Spec(tuple(s.get_shape()), _dtype(s.get_dtype(), path)) for n, s in slices.items()}
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} is cut short or damaged ({_line(error)}); download it again") from error


def _dtype(name: str, path: Path) -> torch.dtype:
    if name not in STORED_DTYPES:
        raise WeightsError(f"{path} holds tensors of type {name}; use a file in float16, bfloat16 or float32")
    return STORED_DTYPES[name]


def _unpickle(path: Path) -> Mapping[str, Tensor]:
    head = _head(path)
    if foreign := _foreign(path, head):
        raise foreign
    if tarfile.is_tarfile(path):
        raise _refused(path, "a tar archive, as torch wrote before 0.2")
    if (zipped := head.startswith(b"PK")) and not is_zip(path):
        raise WeightsError(f"{path} is cut short or damaged (the archive has no end); download it again")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        raise _refused(path, _culprit(error)) from error
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:  # a damaged pickle can fail in any way its bytes happen to spell
        raise _damaged(path, error) from error
    return _state_dict(path, found)


def _state_dict(path: Path, found: object) -> Mapping[str, Tensor]:
    for nest in ("model_state_dict", "state_dict"):
        if isinstance(found, Mapping) and isinstance(found.get(nest), Mapping):
            found = found[nest]
    if not isinstance(found, Mapping) or not found:
        raise WeightsError(
            f"{path} holds no named tensors; it is no checkpoint of this model; download it again"
        )
    if odd := [str(key) for key, value in found.items() if not isinstance(value, Tensor)]:
        raise WeightsError(
            f"{path} holds {odd[0]!r}, which is no tensor; it is no checkpoint of this model; "
            "download it again"
        )
    return found


def _specs(state: Mapping[str, Tensor]) -> dict[str, Spec]:
    return {name: Spec(tuple(tensor.shape), tensor.dtype) for name, tensor in state.items()}


def _damaged(path: Path, error: Exception) -> WeightsError:
    return WeightsError(f"{path} is cut short or damaged ({_line(error)}); download it again")


def _refused(path: Path, why: str) -> WeightsError:
    return WeightsError(
        f"{path} holds more than tensors and could run code ({why}), so it was not opened; "
        "get the file from its official place"
    )


def _culprit(error: Exception) -> str:
    """The name torch refused to look up, out of its long explanation."""
    words = str(error).replace("`", " ").split()
    named = [after for word, after in pairwise(words) if word == "GLOBAL"]
    return named[0] if named else "unsupported content"


def _line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].split(". ")[0][:120]
