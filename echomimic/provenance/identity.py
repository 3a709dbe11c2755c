"""Keys to sign with: a personal certificate authority and a certificate of its own, made on this machine.

C2PA refuses a certificate that signed itself, so there are two: the root (kept by whoever wants to trust the
videos) and the leaf that signs. The root's private key is thrown away: nothing else can ever be signed in its
name.
"""

import datetime
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from echomimic.errors import OutputError, ResourceError, SettingsError

if TYPE_CHECKING:
    from cryptography.x509 import CertificateBuilder

KEY, CHAIN, ROOT = "key.pem", "chain.pem", "root.pem"
YEARS = 2
"""How long a certificate lasts. Without a time stamp a signature ends with its certificate."""


@dataclass(frozen=True)
class Identity:
    """The leaf's private key and the certificates from the leaf to the root, all PEM; where they lie."""

    folder: Path
    key: bytes
    chain: bytes


def identity_folder() -> Path:
    """Where a person's own keys are: ``ECHOMIMIC_KEYS``, else the user's settings folder."""
    if given := os.environ.get("ECHOMIMIC_KEYS"):
        return Path(given)
    settings = os.environ.get("APPDATA") or os.environ.get("XDG_CONFIG_HOME")
    return (
        (Path(settings) if settings else Path(os.path.expanduser("~/.config"))) / "echomimic" / "provenance"
    )


def load_identity(folder: Path | None = None) -> Identity:
    """The keys in ``folder`` (else one's own).
    Raises :class:`SettingsError` naming what is missing and what to do."""
    chosen = folder or identity_folder()
    found = {}
    for name in (KEY, CHAIN):
        try:
            found[name] = (chosen / name).read_bytes()
        except OSError as reason:
            remedy = (
                f"give a folder with {KEY} and {CHAIN}" if folder else "run `echomimic provenance init` first"
            )
            raise SettingsError(
                f"{chosen / name} cannot be read ({reason.strerror}), so nothing can be signed; {remedy}"
            ) from None
    return Identity(chosen, found[KEY], found[CHAIN])


def make_identity(name: str, folder: Path | None = None) -> Path:
    """Writes a new root, leaf and key for ``name`` into ``folder`` (else one's own); the folder.

    Keys that are there are never replaced: raises :class:`OutputError`.
    """
    chosen = folder or identity_folder()
    if any((chosen / file).exists() for file in (KEY, CHAIN, ROOT)):
        raise OutputError(
            f"{chosen} holds keys already; they are never replaced: choose another folder with -o"
        )
    key, chain, root = _issue(name)
    try:
        chosen.mkdir(parents=True, exist_ok=True, mode=0o700)
        for file, content, mode in ((ROOT, root, 0o644), (CHAIN, chain, 0o644), (KEY, key, 0o600)):
            with open(os.open(chosen / file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
                out.write(content)
    except OSError as reason:
        raise OutputError(
            f"{chosen} cannot be written ({reason.strerror}); choose another folder with -o"
        ) from None
    return chosen


def _issue(name: str) -> tuple[bytes, bytes, bytes]:
    """(leaf's key, chain, root), PEM."""
    try:
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError:
        raise ResourceError(
            "keys need the package cryptography; pip install 'echomimic-studio[provenance]'"
        ) from None
    root_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _root(name, root_key).sign(root_key, hashes.SHA256())
    leaf = _leaf(name, leaf_key, root_key, root).sign(root_key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    secret = leaf_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    root_pem, leaf_pem = root.public_bytes(pem), leaf.public_bytes(pem)
    return secret, leaf_pem + root_pem, root_pem


def _blank(name: str, kind: str, issuer: Any, key: Any) -> "CertificateBuilder":
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    who = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, name), x509.NameAttribute(NameOID.COMMON_NAME, kind)]
    )
    now = datetime.datetime.now(datetime.timezone.utc)
    blank = (
        x509.CertificateBuilder().subject_name(who).issuer_name(issuer or who).public_key(key.public_key())
    )
    blank = blank.serial_number(x509.random_serial_number()).not_valid_before(
        now - datetime.timedelta(hours=1)
    )
    blank = blank.not_valid_after(now + datetime.timedelta(days=365 * YEARS))
    return blank.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


def _root(name: str, key: Any) -> "CertificateBuilder":
    from cryptography import x509

    blank = _blank(name, "EchoMimic personal root", None, key)
    blank = blank.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return blank.add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)


def _leaf(name: str, key: Any, root_key: Any, root: Any) -> "CertificateBuilder":
    """C2PA's profile: digital signature, e-mail protection, no authority."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    blank = _blank(name, "EchoMimic signer", root.subject, key)
    blank = blank.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    blank = blank.add_extension(_usage(digital_signature=True), critical=True)
    blank = blank.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
    return blank.add_extension(issuer, critical=False)


def _usage(**wanted: bool) -> Any:
    from cryptography import x509

    names = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign"
    )
    every = [*names.split(), "crl_sign", "encipher_only", "decipher_only"]
    return x509.KeyUsage(**{name: wanted.get(name, False) for name in every})
