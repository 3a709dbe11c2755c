"""Names → local weight files: what each model needs, what is there, and getting the rest from the Hugging
Face hub.

The only room that touches the network. huggingface_hub knows addresses, tokens, mirrors (``HF_ENDPOINT``),
offline mode and the cache; the transfer itself goes into a partial file under our own name, so a download
that was killed goes on where it stopped. What arrives is compared with the size and, where the hub tells one,
the SHA-256 it should have.
"""

import errno
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from echomimic.errors import ResourceError, WeightsError
from echomimic.models import layouts
from echomimic.models.manifests import size
from echomimic.progress import Progress, Report, silent
from echomimic.variants import VARIANTS, Variant
from echomimic.variants import variant as row_of

_LOG = logging.getLogger(__package__)


@dataclass(frozen=True, slots=True)
class Item:
    """One file a model needs. ``path`` is where it is, None if it is not there; ``bytes`` is exact if it is
    there.

    ``repo`` and ``name`` are its address on the hub, ``local`` its place in an official folder.
    """

    model: str
    component: str
    repo: str
    name: str
    local: str
    bytes: int
    path: Path | None


@dataclass(frozen=True, slots=True)
class _Remote:
    """What the hub says about a file."""

    item: Item
    url: str
    size: int
    etag: str
    commit: str


def listing(weights: Path | None = None) -> list[Item]:
    """Every file of every model, with its place if it is there; touches no network."""
    return [item for row in VARIANTS.values() if row.files for item in items(row.name, weights)]


def items(variant: str, weights: Path | None = None) -> list[Item]:
    """The files of one model; see :func:`listing`."""
    row, there = row_of(variant), layouts.present(variant, weights)
    return [_item(row, component, there.get(component)) for component in layouts.COMPONENTS]


def get(variant: str, into: Path | None = None, report: Report = silent) -> layouts.WeightFiles:
    """Make the weights of ``variant`` local and return their files.

    What is there and whole, in whatever layout, is not fetched again. The rest goes into the Hugging Face
    cache or into ``into`` as an official folder (V2's own files in its subfolder ``v2``, because V1's have
    the same names).

    Raises WeightsError: offline, refused, not found, interrupted, or not what was announced; says what to do.
    Raises ResourceError: huggingface_hub is not installed, or the disk is full.
    """
    if into is not None:
        into.mkdir(parents=True, exist_ok=True)
    place = into or layouts.home_folder()
    absent = [item for item in items(variant, into) if item.path is None or _cut_short(item.path)]
    if absent:
        _require_online(absent)
        with _explained(f"{absent[0].repo}"):
            remotes = [_ask(item) for item in absent]
            _require_room(remotes, place or layouts.cache())
            _fetch_all(remotes, row_of(variant), place, report)
    return layouts.find(variant, into)


def _item(row: Variant, component: str, path: Path | None) -> Item:
    local = repo = name = ""
    if component == "vae":
        repo, name = layouts.VAE_REPO, "diffusion_pytorch_model.safetensors"
        local = f"sd-vae-ft-mse/{name}"
    elif component == "whisper":
        repo, name = layouts.WHISPER_REPO, "model.safetensors"
        local = f"audio_processor/whisper-tiny/{name}"
    else:
        repo, name = row.repo, row.files[component]
        local = f"v2/{name}" if row.family == "v2" else name
    known = path.stat().st_size if path else size(_manifest(row, component))
    return Item(row.name, component, repo, name, local, known, path)


def _manifest(row: Variant, component: str) -> str:
    guiders = {"mask": "face_locator_audio", "landmarks": "face_locator_pose", "hands": "pose_encoder"}
    return {"guider": guiders.get(row.guide, ""), "whisper": "whisper_tiny"}.get(component, component)


def _cut_short(path: Path) -> bool:
    """Whether a file is visibly not whole: a zip without its end,
    safetensors shorter than their header says."""
    with path.open("rb") as file:
        head = file.read(8)
        if path.suffix != ".safetensors":
            return not (head.startswith(b"\x80") or layouts.is_zip(path))
        length = int.from_bytes(head, "little")
        try:
            entries = json.loads(file.read(min(length, 2**26)))
            ends = [
                int(entry["data_offsets"][1]) for name, entry in entries.items() if name != "__metadata__"
            ]
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
            return True
    return path.stat().st_size != 8 + length + max(ends, default=0)


def _require_online(absent: list[Item]) -> None:
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        names = ", ".join(item.name for item in absent)
        raise WeightsError(
            f"{names} not found and HF_HUB_OFFLINE forbids downloading; unset it or copy the files here"
        )
    try:
        import huggingface_hub  # noqa: F401
    except ImportError as error:
        raise ResourceError(
            "downloading needs huggingface_hub; run `pip install echomimic-studio[diffusion]`"
        ) from error


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or None


def _ask(item: Item) -> _Remote:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    with _explained(f"{item.name} of {item.repo}"):
        url = hf_hub_url(item.repo, item.name, endpoint=_endpoint())
        found = get_hf_file_metadata(url, token=_token(), timeout=30)
    if not found.size or not found.etag:
        raise WeightsError(f"{url} does not answer like a Hugging Face hub; check HF_ENDPOINT and your proxy")
    commit = found.commit_hash or ""
    # Both become parts of paths here, so a server may not choose them freely.
    if not re.fullmatch(r"[0-9A-Za-z-]{1,128}", found.etag) or not re.fullmatch(r"[0-9A-Za-z]{1,64}", commit):
        raise WeightsError(f"{url} names its file in a way no hub does; check HF_ENDPOINT and your proxy")
    return _Remote(item, url, found.size, found.etag, commit)


def _token() -> str | None:
    from huggingface_hub import get_token

    return get_token()


def _require_room(remotes: list[_Remote], place: Path) -> None:
    while not place.exists():
        place = place.parent
    need, free = sum(remote.size for remote in remotes), shutil.disk_usage(place).free
    if need > free:
        raise ResourceError(
            f"the weights need {need / 1e9:.1f} GB, but the disk of {place} has {free / 1e9:.1f} GB left; "
            "free some space or choose another folder with ECHOMIMIC_HOME"
        )


def _fetch_all(remotes: list[_Remote], row: Variant, place: Path | None, report: Report) -> None:
    total, before = sum(remote.size for remote in remotes), 0
    for remote in remotes:
        start, name = before, remote.item.name
        _LOG.info("fetching %s (%d bytes)", remote.url, remote.size)

        def tell(done: int, start: int = start, name: str = name) -> None:
            report(Progress("download", start + done, total, detail=name))

        with _explained(f"{remote.item.name} of {remote.item.repo}"):
            if place is not None:
                _fetch(remote, place / remote.item.local, tell)
            else:
                _fetch_into_cache(remote, tell)
        before += remote.size
    report(Progress("download", total, total))


def _fetch_into_cache(remote: _Remote, tell: Callable[[int], None]) -> None:
    """Put the content and its entry where huggingface_hub's cache keeps them.

    The entry is made here, not by huggingface_hub, which would ask the server once more and believe what it
    says.
    """
    repo = layouts.cache() / f"models--{remote.item.repo.replace('/', '--')}"
    blob, entry = repo / "blobs" / remote.etag, repo / "snapshots" / remote.commit / remote.item.name
    _fetch(remote, blob, tell)
    entry.parent.mkdir(parents=True, exist_ok=True)
    (repo / "refs").mkdir(exist_ok=True)
    entry.unlink(missing_ok=True)
    try:
        entry.symlink_to(os.path.relpath(blob, entry.parent))
    except OSError:  # a file system without links
        shutil.copyfile(blob, entry)
    (repo / "refs" / "main").write_text(remote.commit, "utf-8")


def _fetch(remote: _Remote, target: Path, tell: Callable[[int], None]) -> None:
    """Transfer one file, going on with a partial one; it gets its name when it is complete and right."""
    if target.is_file() and target.stat().st_size == remote.size:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name[:40]}.{remote.etag[:16]}.partial")
    have = partial.stat().st_size if partial.exists() else 0
    while True:
        try:
            _transfer(remote, partial, tell)
            break
        except Exception as error:  # a broken connection has another type in every version of huggingface_hub
            before, have = have, partial.stat().st_size
            if (
                have <= before
                or getattr(error, "errno", None)
                or getattr(error, "response", None) is not None
            ):
                raise
    if wrong := _wrong(partial, remote):
        partial.unlink()
        raise WeightsError(f"{remote.item.name} of {remote.item.repo} {wrong}; run the command again")
    os.replace(partial, target)


def _transfer(remote: _Remote, partial: Path, tell: Callable[[int], None]) -> None:
    from huggingface_hub.file_download import http_get

    with partial.open("ab") as file, _quiet():
        if file.tell() > remote.size:
            file.truncate(0)
        http_get(
            remote.url,
            cast(BinaryIO, _Watched(file, tell)),
            resume_size=file.tell(),
            headers={"authorization": f"Bearer {token}"} if (token := _token()) else {},
            expected_size=remote.size,
            displayed_filename=remote.item.name,
        )


def _wrong(path: Path, remote: _Remote) -> str:
    if (have := path.stat().st_size) != remote.size:
        return f"arrived with {have} bytes instead of {remote.size}"
    if len(remote.etag) == 64 and _sha256(path) != remote.etag:
        return "arrived damaged (its SHA-256 is wrong)"
    return ""


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**22):
            digest.update(block)
    return digest.hexdigest()


class _Watched:
    """A file that tells how long it is after every write."""

    def __init__(self, file: BinaryIO, tell: Callable[[int], None]) -> None:
        self._file, self._told = file, tell

    def write(self, data: bytes) -> int:
        written = self._file.write(data)
        self._told(self._file.tell())
        return written

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def truncate(self, size: int | None = None) -> int:
        return self._file.truncate(size)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep huggingface_hub from drawing its own progress beside ours."""
    from huggingface_hub import utils

    bar = "huggingface_hub.http_get"
    if utils.are_progress_bars_disabled(bar):  # type: ignore[attr-defined, unused-ignore]
        yield
        return
    utils.disable_progress_bars(bar)  # type: ignore[attr-defined, unused-ignore]
    try:
        yield
    finally:
        utils.enable_progress_bars(bar)  # type: ignore[attr-defined, unused-ignore]


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn what can go wrong between here and the hub into one line that says what to do."""
    try:
        yield
    except (WeightsError, ResourceError):
        raise
    except Exception as error:  # the HTTP client behind huggingface_hub differs from version to version
        raise _explanation(what, error) from error


def _explanation(what: str, error: Exception) -> WeightsError | ResourceError:
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResourceError(
            f"the disk is full while getting {what}; free some space and run the command again"
        )
    if isinstance(error, PermissionError):
        return WeightsError(
            f"cannot write {error.filename}; choose a folder you may write to with ECHOMIMIC_HOME"
        )
    if isinstance(error, errors.GatedRepoError) or status in (401, 403):
        return WeightsError(f"the hub refuses {what} ({status}); set HF_TOKEN to a token that may read it")
    if isinstance(error, errors.EntryNotFoundError | errors.RepositoryNotFoundError) or status == 404:
        return WeightsError(
            f"the hub has no {what}; check HF_ENDPOINT, or get it by hand (docs/weights.md says where)"
        )
    if status is not None:
        return WeightsError(f"the hub cannot serve {what} now (HTTP {status}); run the command again later")
    if "Consistency check failed" in str(error):
        return WeightsError(f"{what} arrived with the wrong size; run the command again")
    kind = type(error).__name__
    return WeightsError(
        f"getting {what} was interrupted ({kind}); check the connection and run the command again: "
        "it goes on where it stopped"
    )
