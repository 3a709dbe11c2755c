"""C2PA signatures: a manifest with what was done, from what, by which software, bound to the file's bytes.

Specification: https://spec.c2pa.org. mp4 files carry their manifest; a WebM cannot, so its manifest lies
beside it as ``talk.webm.c2pa``; an image sequence is signed through its list of digests, ``sums.sha256``.
"""

import hashlib
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from echomimic.errors import OutputError, ResourceError, SettingsError
from echomimic.media.output import placed
from echomimic.provenance.identity import Identity, load_identity
from echomimic.provenance.marks import PRODUCER, Marks
from echomimic.request import Settings
from echomimic.version import VERSION

SIDECAR = ".c2pa"
SUMS = "sums.sha256"
EMBEDDED = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".png": "image/png",
    ".jpg": "image/jpeg",
}
"""Suffixes whose files carry the manifest inside."""

DETACHED = "application/octet-stream"
_INPUTS = "org.echomimic.inputs"
_SETTINGS = "org.echomimic.settings"


def _c2pa() -> Any:
    try:
        import c2pa
    except ImportError:
        raise ResourceError(
            "signatures need the package c2pa-python; pip install 'echomimic-studio[provenance]'"
        ) from None
    return c2pa


def manifest_of(marks: Marks) -> dict[str, Any]:
    """The manifest's definition for a file with ``marks``."""
    action = {
        "action": "c2pa.created",
        "digitalSourceType": marks.source_type,
        "softwareAgent": {"name": PRODUCER, "version": VERSION},
    }
    return {
        "title": marks.title,
        "claim_generator_info": [{"name": PRODUCER, "version": VERSION}],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [action]}},
            {"label": _INPUTS, "data": {role: f"sha256:{digest}" for role, digest in marks.inputs}},
            {"label": _SETTINGS, "data": dict(marks.settings)},
        ],
        "ingredients": [
            {"title": role, "relationship": "inputTo", "instance_id": f"urn:sha256:{digest}"}
            for role, digest in marks.inputs
        ],
    }


@dataclass(frozen=True)
class Signer:
    """Signs finished files with one identity;
    ready before the rendering, so that missing keys are said at once."""

    identity: Identity
    timestamp_url: str = ""

    def sign(self, path: Path, marks: Marks, final: Path) -> None:
        """Signs the file or folder at ``path``, which will be called ``final``. A failure leaves no new file.

        Raises :class:`OutputError` when the signature cannot be made.
        """
        if path.is_dir():
            (path / SUMS).write_text(sums_of(path))
            self._detach(path / SUMS, path / f"{SUMS}{SIDECAR}", marks)
        elif final.suffix.lower() in EMBEDDED:
            self._embed(path, EMBEDDED[final.suffix.lower()], marks)
        else:
            self._detach(path, sidecar_of(final), marks)

    def _embed(self, path: Path, kind: str, marks: Marks) -> None:
        with placed(path) as signed, path.open("rb") as source, signed.open("w+b") as target:
            self._run(lambda builder, signer: builder.sign(signer, kind, source, target), marks, path)

    def _detach(self, path: Path, sidecar: Path, marks: Marks) -> None:
        import io

        def sign(builder: Any, signer: Any) -> bytes:
            builder.set_no_embed()
            with path.open("rb") as source:
                made: bytes = builder.sign(signer, DETACHED, source, io.BytesIO())
            return made

        manifest = self._run(sign, marks, path)
        with placed(sidecar) as part:
            part.write_bytes(manifest)

    def _run(self, work: Any, marks: Marks, path: Path) -> bytes:
        c2pa = _c2pa()
        try:
            info = c2pa.C2paSignerInfo(
                alg=b"es256",
                sign_cert=self.identity.chain,
                private_key=self.identity.key,
                ta_url=self.timestamp_url.encode() or None,
            )
            with (
                c2pa.Signer.from_info(info) as signer,
                c2pa.Builder(json.dumps(manifest_of(marks))) as builder,
            ):
                return bytes(work(builder, signer) or b"")
        except c2pa.C2paError as error:
            reason = " ".join(str(error).split())
            raise OutputError(
                f"the signature failed ({reason}); no file was left; check {self.identity.folder}, "
                "or do not sign"
            ) from None


def signer_for(settings: Settings) -> Signer | None:
    """Who signs, as ``settings`` ask; None when nothing is to be signed.

    Raises :class:`SettingsError` (no keys) or :class:`ResourceError` (package missing) before any rendering.
    """
    if not settings.sign:
        return None
    if settings.timestamp_url and not settings.timestamp_url.startswith(("https://", "http://")):
        raise SettingsError(
            f"timestamp_url {settings.timestamp_url!r} is no web address; give one with https://"
        )
    _c2pa()
    return Signer(load_identity(settings.sign_key), settings.timestamp_url)


def sidecar_of(path: Path) -> Path:
    """Where the manifest of a file lies that cannot carry it."""
    return path.with_name(path.name + SIDECAR)


def sums_of(folder: Path) -> str:
    """``sha256sum``'s list of the folder's files, in order of their names."""
    names = sorted(p.name for p in folder.iterdir() if not p.name.startswith(SUMS))
    return "".join(f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names)


@dataclass(frozen=True)
class Signature:
    """A file's signature: ``state`` is Trusted (by the given root),
    Valid (intact, signer unknown), Invalid or none."""

    state: str
    signer: str = ""
    when: str = ""
    reasons: tuple[str, ...] = ()
    inputs: tuple[tuple[str, str], ...] = ()


def read_signature(path: Path, root: Path | None = None) -> Signature:
    """Checks the signature of a file or image sequence against its bytes,
    and its signer against ``root`` (PEM)."""
    target, sidecar, broken = path, sidecar_of(path), ""
    if path.is_dir():
        target, sidecar = path / SUMS, path / f"{SUMS}{SIDECAR}"
        if not sidecar.exists() or not target.exists():
            return Signature("none")
        broken = "" if target.read_text("utf-8", "replace") == sums_of(path) else "pictures.changed"
    kind = EMBEDDED.get(target.suffix.lower(), DETACHED)
    if kind == DETACHED and not sidecar.exists():
        return Signature("none")
    manifest = sidecar.read_bytes() if kind == DETACHED else None
    signature = _validate(target, kind, manifest, root)
    return Signature("Invalid", signature.signer, signature.when, (broken,)) if broken else signature


def _validate(path: Path, kind: str, manifest: bytes | None, root: Path | None) -> Signature:
    c2pa = _c2pa()
    trust = (
        {"trust": {"trust_anchors": root.read_text("ascii", "replace")}, "verify": {"verify_trust": True}}
        if root
        else {}
    )
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader = c2pa.Reader(kind, file, manifest, context=c2pa.Context.from_dict(trust))
            state, found = reader.get_validation_state(), json.loads(reader.json())
    except c2pa.C2paError as error:
        if type(error).__name__.endswith("ManifestNotFound") or "ManifestNotFound" in str(error):
            return Signature("none")
        return Signature("Invalid", reasons=(" ".join(str(error).split()),))
    active = found["manifests"][found["active_manifest"]]
    info = active.get("signature_info", {})
    reasons = tuple(
        sorted({s["code"] for s in found.get("validation_status", []) if not s["code"].endswith("untrusted")})
    )
    inputs: dict[str, str] = next(
        (a["data"] for a in active.get("assertions", []) if a["label"].startswith(_INPUTS)), {}
    )
    return Signature(
        str(state), info.get("issuer", ""), info.get("time", ""), reasons, tuple(sorted(inputs.items()))
    )
