"""Rows are read from every format, typed, and all wrong ones are named at once, with their line."""

import contextlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echomimic.batch.manifest import in_loading_order, read_manifest, shard
from echomimic.errors import ManifestError, SettingsError
from tests.batch.conftest import Make, batch


def test_every_kind_of_wrong_row_is_named_with_its_line(manifest: Make) -> None:
    path = manifest(
        {"id": "good"},
        {"portrait": "nobody.jpg"},
        {"seed": -1},
        {"stepz": 3},
        "{broken",
        {"id": "good"},
        {"model": "v9"},
        {"id": "../up"},
        {"output": "/abs.mp4"},
        {"output": "a.gif"},
        {"size": "large"},
        "[1, 2]",
        {"portrait": None},
        {"id": "Report-1-of-2"},
    )
    rows, refused = read_manifest(str(path))
    assert [row.id for row in rows] == ["good"]
    assert [(r.line, word) for r, word in zip(refused, WORDS, strict=True) if word not in r.reason] == []
    assert [r.line for r in refused] == list(range(2, 15))


WORDS = (
    "nobody.jpg",
    "seed",
    "stepz",
    "JSON",
    "line 1",
    "model",
    "../up",
    "/abs.mp4",
    "a.gif",
    "size",
    "object",
    "portrait",
    "the batch's own report",
)


def test_csv_and_jsonl_give_the_same_rows(inputs: Path, manifest: Make) -> None:
    lines = manifest({"id": "a", "seed": 3, "allow_silence": True, "head_motion": 0.5}, {"id": "b"})
    table = inputs / "jobs.csv"
    table.write_text(
        "id,portrait,speech,size,length,seed,allow_silence,head_motion\n"
        "a,p.jpg,s.wav,128,3,3,yes,0.5\nb,p.jpg,s.wav,128,3,,,\n"
    )
    strip = [(r.id, r.inputs, r.values) for r in read_manifest(str(lines))[0]]
    assert strip == [(r.id, r.inputs, r.values) for r in read_manifest(str(table))[0]]


def test_parquet_is_read_when_pyarrow_is_there(inputs: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(
        pyarrow.table({"portrait": ["p.jpg"], "speech": ["s.wav"], "seed": [4]}), inputs / "j.parquet"
    )
    rows, refused = read_manifest(str(inputs / "j.parquet"))
    assert (rows[0].settings.seed, refused) == (4, [])


def test_overrides_reach_every_row_and_are_checked(manifest: Make) -> None:
    path = str(manifest({"seed": 1, "id": "a"}, {"seed": 2, "id": "b"}))
    assert [r.settings.seed for r in read_manifest(path, {"seed": "9"}, "{id}.mp4")[0]] == [9, 9]
    with pytest.raises(SettingsError, match="whole number"):
        read_manifest(path, {"seed": "x"})
    with pytest.raises(SettingsError, match="unknown"):
        read_manifest(path, {"sead": "1"})


def test_an_id_comes_from_the_row_not_from_its_place(manifest: Make) -> None:
    alone = read_manifest(str(manifest({"seed": 5})))[0][0].id
    assert [r.id for r in read_manifest(str(manifest({"seed": 1}, {"seed": 5})))[0]][1] == alone
    assert alone.startswith("p-s-")


def test_names_are_filled_in(manifest: Make) -> None:
    rows, refused = read_manifest(str(manifest({"id": "x"})), {}, "{stem}/{id}.webm")
    assert (rows[0].output, refused) == ("p/x.webm", [])
    assert "{stem}" in read_manifest(str(manifest({})), {}, "{who}.mp4")[1][0].reason


def test_shards_are_disjoint_and_whole(manifest: Make) -> None:
    rows = read_manifest(str(manifest(*({"seed": i} for i in range(10)))))[0]
    parts = [shard(rows, f"{i}/3") for i in (1, 2, 3)]
    assert sorted(r.line for part in parts for r in part) == list(range(1, 11))
    assert max(map(len, parts)) - min(map(len, parts)) == 1
    for wrong in ("0/3", "4/3", "1", "a/b", "1/0"):
        with pytest.raises(SettingsError, match="i/n"):
            shard(rows, wrong)


def test_rows_that_share_weights_stand_together(manifest: Make) -> None:
    models = ("v1", "preview", "v1", "v2", "preview")
    rows = read_manifest(
        str(manifest(*({"model": m, "size": 256, "id": str(i)} for i, m in enumerate(models))))
    )[0]
    assert [r.settings.model for r in in_loading_order(rows)] == ["v1", "v1", "preview", "preview", "v2"]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00", b"\0" * 10])
def test_a_file_that_is_no_manifest_is_refused_in_one_line(
    inputs: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (inputs / "bad.jsonl").write_bytes(content)
    code = batch(inputs / "bad.jsonl", "-o", inputs / "out", "--check")
    told = capsys.readouterr().err.strip()
    assert code in (1, 2)
    assert len(told.splitlines()) == 1
    with pytest.raises(ManifestError):
        read_manifest(str(inputs / "missing.jsonl"))


def test_a_row_may_hold_anything_json_can(inputs: Path) -> None:
    values: tuple[object, ...] = (1, 1.5, True, [], {}, "\0", " ", "a" * 5000)
    wild = [
        *({"portrait": v, "speech": v} for v in values),
        "s",
        None,
        3,
        "[" * 3000,
    ]
    (inputs / "wild.jsonl").write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in wild))
    rows, refused = read_manifest(str(inputs / "wild.jsonl"))
    assert rows == []
    assert len(refused) == len(wild)


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=200) | st.text(max_size=200).map(str.encode),
    st.sampled_from((".jsonl", ".csv", ".parquet")),
)
def test_any_bytes_as_a_list_are_refused_as_a_list(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    path.write_bytes(content)
    with contextlib.suppress(ManifestError):  # nothing else may escape
        assert read_manifest(str(path))[0] == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet"])
def test_a_pipe_is_refused_at_once(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(ManifestError, match="is a pipe"):
        read_manifest(str(tmp_path / name))


@pytest.mark.parametrize("device", ["/dev/null", "/dev/full"])
def test_a_device_is_refused_at_once(device: str) -> None:
    with pytest.raises(ManifestError, match=r"is a pipe or a device.*save it to a file"):
        read_manifest(device)
