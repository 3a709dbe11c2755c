"""Signatures: valid, trusted with one's own root, broken by one changed byte,
and nothing left when they fail."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("c2pa", reason="signing needs the extra `provenance`")

import echomimic
from echomimic.errors import OutputError, SettingsError
from echomimic.provenance.identity import CHAIN, KEY, ROOT, make_identity
from echomimic.provenance.show import read_provenance
from tests.cli.door import run
from tests.conftest import FakeEngine


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_identity("A tester", tmp_path_factory.mktemp("keys") / "mine")


@pytest.fixture
def make(
    portrait: Path, short_speech: Path, tmp_path: Path, fake_engine: FakeEngine, keys: Path
) -> Callable[..., Path]:
    def make(name: str, **options: object) -> Path:
        out = tmp_path / name
        wanted = {"sign": True, "sign_key": keys, "length": 3, "size": 128, **options}
        echomimic.animate(portrait, short_speech, out, **wanted)  # type: ignore[arg-type]
        return out

    return make


@pytest.mark.parametrize("name", ["talk.mp4", "talk.webm", "frames"])
def test_a_signed_video_is_trusted_with_its_root_valid_without_and_invalid_when_changed(
    make: Callable[..., Path], keys: Path, name: str
) -> None:
    out = make(name)
    assert read_provenance(out, keys / ROOT).signature.state == "Trusted"
    assert read_provenance(out).signature.state == "Valid"
    assert dict(read_provenance(out).signature.inputs).keys() == {"portrait", "speech"}
    assert read_provenance(out).aigc["Label"] == "1", "signing took the other marks away"
    victim = out / "000002.png" if out.is_dir() else out
    changed = bytearray(victim.read_bytes())
    at = changed.find(b"mdat") + 100 if name.endswith(".mp4") else len(changed) // 2
    changed[at] ^= 1  # in a picture: the file itself stays readable
    victim.write_bytes(changed)
    assert read_provenance(out, keys / ROOT).signature.state == "Invalid"


def test_another_root_does_not_trust_it(make: Callable[..., Path], tmp_path: Path) -> None:
    other = make_identity("Somebody else", tmp_path / "other")
    assert read_provenance(make("talk.mp4"), other / ROOT).signature.state == "Valid"


def test_the_key_is_readable_by_its_owner_only_and_never_replaced(keys: Path) -> None:
    assert stat.S_IMODE((keys / KEY).stat().st_mode) == 0o600
    before = (keys / KEY).read_bytes()
    with pytest.raises(OutputError, match="never replaced"):
        make_identity("Again", keys)
    assert (keys / KEY).read_bytes() == before


def test_a_failed_signature_leaves_no_file(make: Callable[..., Path], tmp_path: Path, keys: Path) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / KEY).write_bytes((keys / KEY).read_bytes())
    (bad / CHAIN).write_bytes((keys / ROOT).read_bytes())  # a certificate that signed itself is refused
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OutputError, match="signature failed"):
        make("talk.mp4", sign_key=bad)
    assert sorted(tmp_path.iterdir()) == before


def test_missing_keys_are_said_before_anything_is_rendered(
    make: Callable[..., Path], tmp_path: Path, fake_engine: FakeEngine
) -> None:
    with pytest.raises(SettingsError, match=KEY):
        make("talk.mp4", sign_key=tmp_path / "nowhere")
    assert fake_engine.seen == []


def test_the_terminal_makes_keys_and_verifies(
    make: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ECHOMIMIC_KEYS", str(tmp_path / "own"))
    assert run("provenance", "init", "--name", "Me") == 0
    signed = make("talk.mp4", sign_key=None)
    assert run("provenance", "verify", signed) == 0
    assert "Trusted" in capsys.readouterr().out
    unsigned = make("plain.mp4", sign=False)
    assert run("provenance", "verify", unsigned) == 1
    assert run("provenance", "show", unsigned) == 0
    assert "not signed" in capsys.readouterr().out
    assert run("provenance", "show", tmp_path / "missing.mp4") == 2
