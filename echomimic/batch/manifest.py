"""The list of videos to make: JSON lines, CSV or Parquet, every row checked before anything starts.

The columns are the fields of ``Request`` and ``Settings``, besides ``id``. Relative paths are relative to the
manifest.
"""

import csv
import hashlib
import io
import json
import re
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from echomimic.batch.places import fetch, is_remote
from echomimic.errors import EchoMimicError, ManifestError, SettingsError
from echomimic.option import Option, options
from echomimic.request import Request, Settings

KNOWN_OPTIONS = {o.name: o for kind in (Request, Settings) for o in options(kind)}
_COLUMNS = ("id", *(name for name in KNOWN_OPTIONS if name != "overwrite"))
_REQUEST = {o.name for o in options(Request)}
_INPUTS = ("portrait", "speech", "driver")
_GENERATED = ("auto", "none")
# Names that every file system and object store takes; letters of any script.
_ID = re.compile(r"[^\W.][\w.\- ]{0,99}")

# A row's record would have the name of the report.
_REPORT = re.compile(r"report(-\d+-of-\d+)?", re.IGNORECASE)

DEFAULT_NAME = "{id}.mp4"


@dataclass(frozen=True)
class ManifestRow:
    """One video: its line in the manifest, name, inputs (paths or URLs by role) and settings that were given.

    ``output`` is the file's name below the output folder.
    """

    line: int
    id: str
    output: str
    inputs: tuple[tuple[str, str], ...]
    values: tuple[tuple[str, Any], ...]

    @property
    def settings(self) -> Settings:
        """The row's settings, checked."""
        return Settings(**{k: v for k, v in self.values if k not in _REQUEST})

    @property
    def request_values(self) -> dict[str, Any]:
        """What goes into ``Request`` besides portrait, speech, output and driver."""
        return {k: v for k, v in self.values if k in _REQUEST}


@dataclass(frozen=True)
class Refusal:
    """A row that cannot be rendered, and why, in one line."""

    line: int
    id: str
    reason: str


def read_manifest(
    source: str, overrides: Mapping[str, str] | None = None, name: str = DEFAULT_NAME
) -> tuple[list[ManifestRow], list[Refusal]]:
    """All rows of the manifest at ``source`` (a path, a URL, or ``-`` for standard input), and those that are
    wrong.

    ``overrides`` are set in every row; ``name`` is the output's pattern with ``{id}`` and ``{stem}`` (of the
    portrait).
    Raises :class:`ManifestError` when the manifest itself cannot be read.
    """
    forced = {k: _typed(k, v) for k, v in (overrides or {}).items()}
    if not is_remote(source):
        home = Path.cwd() if source == "-" else Path(source).absolute().parent
        return _rows(source, _Home(home), forced, name)
    with tempfile.TemporaryDirectory() as cache:
        local = str(fetch(source, Path(cache)))
        try:
            return _rows(local, _Home(Path.cwd(), source.rpartition("/")[0]), forced, name)
        except ManifestError as error:
            raise ManifestError(str(error).replace(local, source)) from None


@dataclass(frozen=True)
class _Home:
    """What paths in a manifest are relative to: its folder; for inputs, where it came from a URL, that
    URL's."""

    folder: Path
    url: str = ""


def _rows(
    source: str, home: _Home, forced: Mapping[str, Any], name: str
) -> tuple[list[ManifestRow], list[Refusal]]:
    rows: list[ManifestRow] = []
    refused: list[Refusal] = []
    there: dict[str, bool] = {}
    taken: dict[str, int] = {}
    for line, values in _lines(source):
        label = str(values.get("id") or "") if isinstance(values, dict) else ""
        try:
            row = _row(line, values, forced, home, name, there)
            _claim_name(row, taken)
        except EchoMimicError as error:
            refused.append(Refusal(line, label, " ".join(str(error).split())))
        else:
            rows.append(row)
    if not rows and not refused:
        raise ManifestError(f"{source} has no rows; write one video per line, with portrait and speech")
    return rows, refused


def _claim_name(row: ManifestRow, taken: dict[str, int]) -> None:
    for key in {f"id {row.id}", f"output {row.output}"}:
        first = taken.setdefault(key.casefold(), row.line)
        if first != row.line:
            raise ManifestError(f"{key} is that of line {first} too; give each row an id of its own")


def _row(
    line: int, values: Any, forced: Mapping[str, Any], home: _Home, name: str, there: dict[str, bool]
) -> ManifestRow:
    if isinstance(values, ManifestError):
        raise values
    given = _checked_columns(values) | dict(forced)
    inputs = tuple((role, _place(role, given.pop(role), home, there)) for role in _INPUTS if role in given)
    missing = [role for role in ("portrait", "speech") if role not in dict(inputs)]
    if missing:
        raise ManifestError(f"{missing[0]} is missing; give every row a portrait and a speech")
    for key, option in KNOWN_OPTIONS.items():
        if option.type is Path and isinstance(given.get(key), Path) and key != "output":
            given[key] = home.folder / given[key]
    pattern = str(given.pop("output", name))
    row_id = str(given.pop("id", "") or _default_id(inputs, given))
    if not _ID.fullmatch(row_id):
        raise ManifestError(
            f"id {row_id!r} cannot be a file's name; use letters, digits, '-', '_' and '.', at most 100"
        )
    if _REPORT.fullmatch(row_id):
        raise ManifestError(f"id {row_id!r} is the name of the batch's own report; choose another id")
    settings = tuple(sorted(given.items()))
    row = ManifestRow(line, row_id, _output(pattern, row_id, dict(inputs)["portrait"]), inputs, settings)
    _ = row.settings  # raises for what is out of range
    Request(Path("p"), Path("s"), Path("o"), **row.request_values)
    return row


def _output(pattern: str, row_id: str, portrait: str) -> str:
    try:
        name = pattern.format(id=row_id, stem=Path(portrait).stem)
    except (KeyError, IndexError, ValueError):
        raise ManifestError(f"output {pattern!r} cannot be filled in; use {{id}} and {{stem}}") from None
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts or any(p.startswith(".") for p in parts):
        raise ManifestError(f"output {name!r} leaves the output folder; give a name below it")
    if Path(name).suffix.lower() not in (".mp4", ".webm", ""):
        raise ManifestError(
            f"output {name!r} is not written; name it .mp4, .webm, or without suffix for a folder"
        )
    return Path(name).as_posix()


def _default_id(inputs: tuple[tuple[str, str], ...], values: Mapping[str, Any]) -> str:
    """From the row alone, so that it does not change when rows are added before it."""
    digest = hashlib.sha256(repr((inputs, sorted(values.items()))).encode()).hexdigest()[:8]
    stems = (re.sub(r"[^\w\-]", "-", Path(path).stem)[:40].strip("-") or "x" for _, path in inputs[:2])
    return "-".join((*stems, digest))


def _place(role: str, value: Any, home: _Home, there: dict[str, bool]) -> str:
    text = str(value)
    if not text.strip() or "\0" in text:
        raise ManifestError(f"{role} is empty; give the path of a file")
    if is_remote(text) or (role == "driver" and text in _GENERATED):
        return text
    if home.url and not Path(text).is_absolute():
        return f"{home.url}/{text}"
    path = str(home.folder / text)
    if path not in there:
        there[path] = _exists(Path(path))
    if not there[path]:
        raise ManifestError(f"{role} {path} does not exist; give paths relative to the manifest")
    return path


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _checked_columns(values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise ManifestError("the row is not an object; write one JSON object per line")
    unknown = sorted(k for k in values if k not in _COLUMNS)
    if unknown:
        raise ManifestError(f"column {unknown[0]!r} is unknown; choose from {', '.join(_COLUMNS)}")
    present = {k: v for k, v in values.items() if v is not None and v != ""}
    return {k: _typed(k, v) if k in KNOWN_OPTIONS else v for k, v in present.items()}


def _typed(name: str, value: Any) -> Any:
    """``value`` in the option's type; texts (of CSV and ``--set``) are read as numbers and yes/no."""
    if name not in KNOWN_OPTIONS or name == "overwrite":
        raise SettingsError(f"{name} is unknown; choose one of {', '.join(_COLUMNS)}", name)
    option = KNOWN_OPTIONS[name]
    if name in _INPUTS:  # a path would lose one slash of a URL
        return value
    if not isinstance(value, str):
        return Path(str(value)) if option.type is Path else value
    return _parsed(option, value.strip())


def _parsed(option: Option, text: str) -> Any:
    if option.type is bool:
        known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.lower() not in known:
            raise SettingsError(
                f"{option.name} takes true or false, not {text!r}; write true or false", option.name
            )
        return known[text.lower()]
    if option.type in (int, float):
        try:
            return option.type(text)
        except ValueError:
            kind = "a whole number" if option.type is int else "a number"
            raise SettingsError(f"{option.name} takes {kind}, not {text!r}", option.name) from None
    return Path(text) if option.type is Path else text


def _lines(source: str) -> Iterator[tuple[int, Any]]:
    """(line, values or the error) of every row, in order."""
    suffix = Path(source).suffix.lower()
    if _is_pipe(source):
        raise ManifestError(
            f"{source} is a pipe or a device, and may never end; save it to a file, or give - and pipe it"
        )
    if suffix == ".parquet":
        yield from enumerate(_parquet(Path(source)), 1)
        return
    text = _text(source)
    if suffix in (".csv", ".tsv"):
        yield from _csv(text, "\t" if suffix == ".tsv" else ",", source)
        return
    for line, content in enumerate(text.split("\n"), 1):
        if content.strip():
            yield line, _json(content)


def _is_pipe(source: str) -> bool:
    try:
        kind = Path(source).stat().st_mode
        return not (stat.S_ISREG(kind) or stat.S_ISDIR(kind))
    except (OSError, ValueError):  # a name that cannot be; reading it says so
        return False


def _json(content: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        return ManifestError(
            f"the line is not JSON ({getattr(error, 'msg', error)}); write one JSON object per line"
        )


def _csv(text: str, delimiter: str, source: str) -> Iterator[tuple[int, Any]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        if not reader.fieldnames:
            raise ManifestError(f"{source} has no heading; name the columns in the first line")
        for values in reader:
            extra = values.pop(None, None)
            wrong = ManifestError(
                "the row has more cells than the heading; quote cells that hold the separator"
            )
            yield reader.line_num, wrong if extra else values
    except csv.Error as error:
        raise ManifestError(
            f'{source}, line {reader.line_num} is not CSV ({error}); quote cells with "'
        ) from None


def _text(source: str) -> str:
    try:
        data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ManifestError(f"{source} is not text in UTF-8; save it as JSON lines or CSV in UTF-8") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ManifestError(
            f"{source} cannot be read ({reason}); give a .jsonl, .csv or .parquet file"
        ) from None


def _parquet(path: Path) -> Iterable[dict[str, Any]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise ManifestError(
            f"{path}: Parquet needs the package pyarrow; pip install pyarrow, or give JSON lines"
        ) from None
    try:
        for part in parquet.ParquetFile(path).iter_batches():
            yield from part.to_pylist()
    except (ArrowException, OSError) as error:
        raise ManifestError(f"{path} is not Parquet ({error}); give JSON lines or CSV") from None


def shard(rows: list[ManifestRow], which: str) -> list[ManifestRow]:
    """The rows of shard ``i/n`` (1-based): every n-th, so that long and short rows spread."""
    found = re.fullmatch(r"(\d+)/(\d+)", which)
    index, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= index <= count:
        raise SettingsError(f"shard {which!r} is not i/n with i from 1 to n; give for example 1/4", "shard")
    return rows[index - 1 :: count]


def in_loading_order(rows: list[ManifestRow]) -> list[ManifestRow]:
    """Rows that share an engine one after another, so that weights are loaded once;
    else as in the manifest."""
    first: dict[tuple[Any, ...], int] = {}
    return sorted(rows, key=lambda row: first.setdefault(engine_key(row.settings), len(first)))


def engine_key(settings: Settings) -> tuple[Any, ...]:
    """Rows with equal keys can share one loaded engine."""
    return tuple(getattr(settings, o.name) for o in options(Settings) if o.group == "Model")
