"""Networks given by path: tiny ones made here, called as the documents say,
with numbers worked out by hand."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from echomimic.errors import SettingsError, WeightsError
from echomimic.evaluate.face_meter import Meter
from echomimic.evaluate.net_meters import (
    CsimMeter,
    FidMeter,
    FvdMeter,
    LpipsMeter,
    arcface_crop,
    perceptual_distance,
)
from echomimic.evaluate.nets import load_net
from echomimic.evaluate.reference import Companion
from echomimic.evaluate.run import OwnNets, evaluate
from tests.evaluate.clips import EXAMPLE

if TYPE_CHECKING:
    import torch
else:
    torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")


class Mean(torch.nn.Module):
    """(N, 3, …) → (N, 3): the mean of each channel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(2).mean(2)


class Gap(torch.nn.Module):
    """Two pictures → their mean absolute difference, as LPIPS gives one number."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a - b).abs().mean((1, 2, 3), keepdim=True)


class Maps(torch.nn.Module):
    """A picture → two feature maps."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x + 2, x.mean((2, 3), keepdim=True) + 2


class Sync(torch.nn.Module):
    """Lips and cepstra → two vectors: the brightness of the mouth's middle, and the energy."""

    def forward(self, lips: torch.Tensor, sound: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return lips.mean((1, 3, 4)) / 255, sound[:, 0, 0, ::4] / 20


def script(module: torch.nn.Module, path: Path) -> Path:
    torch.jit.script(module).save(str(path))  # type: ignore[no-untyped-call]
    return path


def field(number: int, value: bytes | int) -> bytes:
    """One field of a protocol buffer, shorter than 128 bytes."""
    return (
        bytes([number << 3, value])
        if isinstance(value, int)
        else bytes([number << 3 | 2, len(value)]) + value
    )


def onnx_mean(path: Path) -> Path:
    """GlobalAveragePool as an ONNX file, (N, 3, H, W) → (N, 3, 1, 1), written by hand:
    no exporter is needed."""

    def tensor(name: bytes, *dims: bytes | int) -> bytes:
        shape = b"".join(field(1, field(1, d) if isinstance(d, int) else field(2, d)) for d in dims)
        return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))

    node = field(1, b"x") + field(2, b"y") + field(4, b"GlobalAveragePool")
    given, made = tensor(b"x", b"n", 3, b"h", b"w"), tensor(b"y", b"n", 3, 1, 1)
    graph = field(1, node) + field(2, b"g") + field(11, given) + field(12, made)
    path.write_bytes(field(1, 8) + field(7, graph) + field(8, field(2, 13)))
    return path


def test_torchscript_and_its_digest(tmp_path: Path) -> None:
    path = script(Mean(), tmp_path / "mean.pt")
    net = load_net(path)
    assert net.inputs == 1
    assert hashlib.sha256(path.read_bytes()).hexdigest()[:12] in net.label
    assert net(np.full((2, 3, 4, 4), 0.5, np.float32))[0] == pytest.approx(np.full((2, 3), 0.5))
    with pytest.raises(WeightsError, match="takes 1 inputs"):
        net(np.zeros((1, 3, 2, 2), np.float32), np.zeros((1, 3, 2, 2), np.float32))


def test_onnx(tmp_path: Path) -> None:
    net = load_net(onnx_mean(tmp_path / "mean.onnx"))
    assert net(np.full((1, 3, 5, 5), 0.25, np.float32))[0].ravel() == pytest.approx([0.25] * 3)
    with pytest.raises(WeightsError, match="cannot take"):
        net(np.zeros((1, 4, 5), np.float32))


@pytest.mark.parametrize("name", ["broken.onnx", "broken.pt"])
def test_a_file_that_is_no_network_is_told_in_a_line(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"not a network")
    with pytest.raises(WeightsError) as caught:
        load_net(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_perceptual_distance_by_hand(tmp_path: Path) -> None:
    a, b = np.zeros((1, 3, 2, 2), np.float32), np.zeros((1, 3, 2, 2), np.float32)
    b[:, 0] = 0.5
    assert perceptual_distance(load_net(script(Gap(), tmp_path / "gap.pt")), a, b) == pytest.approx(0.5 / 3)
    # unit vectors (2, 2, 2)/√12 and (2.5, 2, 2)/√14.25: |u − v|² = 2 − 2 u·v, in both maps
    expected = 2 * (2 - 2 * (2 * 2.5 + 2 * 2 + 2 * 2) / np.sqrt(12 * 14.25))
    assert perceptual_distance(load_net(script(Maps(), tmp_path / "maps.pt")), a, b) == pytest.approx(
        expected, abs=1e-6
    )


@pytest.mark.slow
def test_all_of_them_on_a_clip(clip: Path, tmp_path: Path) -> None:
    mean = script(Mean(), tmp_path / "mean.pt")
    lpips, sync = script(Gap(), tmp_path / "gap.pt"), script(Sync(), tmp_path / "sync.pt")
    nets = OwnNets(syncnet=sync, fid=onnx_mean(tmp_path / "mean.onnx"), fvd=mean, csim=mean, lpips=lpips)
    found = evaluate(clip, portrait=EXAMPLE / "portrait.jpg", reference=clip, nets=nets)
    assert found["lpips"] == 0
    assert found["fid"] == pytest.approx(0, abs=1e-9)
    assert found["fvd"] == pytest.approx(0, abs=1e-9)
    assert found["csim"] is not None
    assert found["csim"] > 0.9
    assert found["sync_c"] is not None
    assert found["sync_c"] > 0
    told = " ".join(found.protocol)
    for name in ("Sync-C/D", "CSIM", "LPIPS", "FID", "FVD"):
        assert name in told
    assert told.count("sha256") >= 6
    assert told.count("never beside") == 3


@pytest.mark.parametrize("name", ["fid", "fvd", "lpips", "csim"])
def test_a_network_without_its_counterpart_is_refused(name: str, clip: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="give --"):
        evaluate(clip, nets=OwnNets(**{name: tmp_path / "never_read.pt"}))


def test_the_contracts(clip: Path) -> None:
    """What each network is shown: shapes and ranges, as documented."""
    from echomimic.evaluate.face_meter import Shot
    from echomimic.evaluate.likeness import Sitter
    from echomimic.evaluate.nets import JudgeNet
    from echomimic.faces.detect import find_faces
    from echomimic.media.video import VideoReader

    shown: list[np.ndarray] = []

    def watch(outputs: Callable[[np.ndarray], list[np.ndarray]]) -> JudgeNet:
        def call(*arrays: np.ndarray) -> list[np.ndarray]:
            shown.extend(arrays)
            return outputs(arrays[0])

        return JudgeNet("watching", 1, call)

    frames = [f for _, f in zip(range(16), VideoReader(clip), strict=False)]
    face = find_faces(frames[0])[0]
    flat = watch(lambda x: [x.reshape(len(x), 3, -1).mean(2)])
    companion = Companion(clip, 25.0)
    meters: list[Meter] = [
        CsimMeter(flat, Sitter(frames[0], face), 1),
        FidMeter(flat, companion, 16),
        FvdMeter(flat, companion),
    ]
    for number, frame in enumerate(frames):
        for meter in meters:
            meter.read(Shot(number, frame, face if number == 0 else None))
    assert {a.shape for a in shown} == {(1, 3, 112, 112), (1, 3, 299, 299), (1, 3, 16, 224, 224)}
    assert all(a.max() <= 1.001 for a in shown)
    assert any(a.min() < -0.3 for a in shown if a.shape[2] == 112)
    crop = arcface_crop(frames[0], face)
    assert crop.shape == (1, 3, 112, 112)
    assert LpipsMeter(flat, companion, 1).read(Shot(15, frames[15], None)) == {
        "lpips": pytest.approx(0, abs=1e-9)
    }
