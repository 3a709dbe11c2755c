"""Folders, manifests, reports and the terminal door."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

from echomimic.errors import InputError
from echomimic.evaluate.batch import BatchItem, VideoRow, items_in, summarise, to_csv
from echomimic.evaluate.page import report_page
from echomimic.evaluate.result import Evaluation, WorstMoment
from echomimic.evaluate.sheet import worst_sheet
from tests.cli.door import run
from tests.evaluate.clips import EXAMPLE, write_clip


def touch(*paths: Path) -> None:
    for path in paths:
        path.write_bytes(b"x")


def test_a_folder_gives_every_video_with_what_lies_beside_it(tmp_path: Path) -> None:
    touch(
        *(
            tmp_path / n
            for n in ("b.mp4", "a.webm", "a.wav", "a.jpg", "b.reference.mp4", ".part.mp4", "notes.txt")
        )
    )
    items = items_in(tmp_path, BatchItem(tmp_path, portrait=Path("shared.png")))
    assert [i.video.name for i in items] == ["a.webm", "b.mp4"]
    assert items[0] == BatchItem(tmp_path / "a.webm", tmp_path / "a.wav", tmp_path / "a.jpg")
    assert items[1] == BatchItem(tmp_path / "b.mp4", None, Path("shared.png"), tmp_path / "b.reference.mp4")


def test_manifests_and_what_is_wrong_with_them(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("video,portrait\nx/a.mp4,p.png\nb.mp4,\n")
    (tmp_path / "m.jsonl").write_text('{"video": "x/a.mp4", "portrait": "p.png"}\n\n{"video": "b.mp4"}\n')
    expected = [BatchItem(tmp_path / "x/a.mp4", portrait=tmp_path / "p.png"), BatchItem(tmp_path / "b.mp4")]
    assert items_in(tmp_path / "m.csv") == items_in(tmp_path / "m.jsonl") == expected
    for name, text, told in (
        ("typo.csv", "video,protrait\na.mp4,p.png\n", "unknown field 'protrait'"),
        ("none.csv", "video,speech\n,s.wav\n", "row 1 has no video"),
        ("empty.csv", "video\n", "names no videos"),
        ("bad.jsonl", "{", "cannot be read"),
        ("deep.jsonl", "[" * 100_000, "cannot be read"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=told):
            items_in(tmp_path / name)


def test_rows_become_a_table_and_a_summary(good: Evaluation) -> None:
    rows = [
        VideoRow(BatchItem(Path("good.mp4")), good),
        VideoRow(BatchItem(Path("bad.mp4")), None, "bad.mp4 is no video"),
    ]
    table = list(csv.DictReader(io.StringIO(to_csv(rows))))
    assert float(table[0]["identity"]) == pytest.approx(good["identity"] or 0, rel=1e-5)
    assert table[0]["psnr"] == ""
    assert (table[1]["video"], table[1]["identity"], table[1]["error"]) == (
        "bad.mp4",
        "",
        "bad.mp4 is no video",
    )
    found = {s.metric.name: s for s in summarise(rows)}
    assert found["identity"].count == 1
    assert found["identity"].good == 1
    assert "psnr" not in found


def test_the_report_is_one_file_that_asks_for_nothing(good: Evaluation) -> None:
    hostile = VideoRow(BatchItem(Path("<script>alert(1)</script>.mp4")), None, "<img src=http://x>")
    page = report_page([VideoRow(BatchItem(Path(good.video)), good), hostile])
    assert "<script" not in page
    assert "<img src=http" not in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "heard_opening" in page
    assert "default-src 'none'" in page


def test_worst_moments_become_a_sheet(good: Evaluation, clip: Path) -> None:
    moments = tuple(WorstMoment(s, "trembling", "3 %", 2.0) for s in (0.2, 0.9, 1.3))
    bad = Evaluation(str(clip), good.frames, good.fps, good.size, (), {}, moments, (), ())
    sheet = worst_sheet([bad])
    assert sheet.shape == (332, 3 * 288, 3)
    assert sheet[:280, 10:280].std() > 20
    empty = worst_sheet([Evaluation("x", 1, 25, (64, 64), (), {}, (), (), ())])
    assert empty.shape[0] < 100


@pytest.mark.slow
def test_the_door(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report.html"
    options = ["--portrait", EXAMPLE / "portrait.jpg", "--html", out, "--require", "lag<=45"]
    assert run("evaluate", clip, *options) == 0
    told = capsys.readouterr().out
    assert "mouth behind the sound" in told
    assert "preview's own ear" in told
    assert f"wrote {out}" in told
    assert out.read_text().startswith("<!doctype html>")
    assert run("evaluate", clip, "--html", out) == 2
    assert "exists" in capsys.readouterr().err
    assert run("evaluate", clip, "--json", "--require", "identity>=1.5", "--require", "psnr>=30") == 1
    printed = capsys.readouterr()
    figures = json.loads(printed.out.splitlines()[-1])
    assert figures["lag_ms"] is not None
    assert figures["psnr"] is None
    assert "identity>=1.5: it is" in printed.err
    assert "psnr>=30: not measured" in printed.err


def test_a_folder_at_the_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "takes"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    write_clip(folder / "grey.mp4", [np.full((96, 96, 3), 99, np.uint8)] * 6, 25, None)
    (folder / "broken.mp4").write_bytes(b"no video")
    assert run("evaluate", folder) == 1
    printed = capsys.readouterr()
    assert "1 of 2 videos" in printed.out
    assert "broken.mp4" in printed.err
    assert {p.name for p in tmp_path.iterdir()} == {"takes", "evaluation.csv", "evaluation.png"}
    assert len((tmp_path / "evaluation.csv").read_text().splitlines()) == 3
    (folder / "broken.mp4").unlink()
    assert run("evaluate", "--compare", folder, folder, "--json") == 0
    compared = json.loads(capsys.readouterr().out)
    assert compared["pairs"] == 1
    assert compared["frozen"]["difference"] == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "give a video"),
        (["no.mp4"], "no such file"),
        (["x.mp4", "--require", "lag"], "no requirement"),
        (["x.mp4", "--html", "report.txt"], "ought to end in .html"),
    ],
)
def test_misuse_is_one_line(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evaluate", *arguments) == 2
    error = capsys.readouterr().err.strip()
    assert told in error
    assert "\n" not in error


def test_what_lies_beside_a_video_is_an_input_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    touch(tmp_path / "a.mp4", tmp_path / "a.png")
    (tmp_path / "m.csv").write_text("video,portrait\na.mp4,a.png\n")
    for asked in (tmp_path, tmp_path / "m.csv"):
        assert run("evaluate", asked, "--sheet", tmp_path / "a.png", "--overwrite") == 2
        assert "is an input too" in capsys.readouterr().err
    assert run("evaluate", tmp_path / "m.csv", "--csv", tmp_path / "m.csv", "--overwrite") == 2
    assert (tmp_path / "a.png").read_bytes() == b"x"
