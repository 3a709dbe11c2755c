"""What is done for each kind of job, in the worker's process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from echomimic.engine import Engine
from echomimic.errors import EchoMimicError
from echomimic.flow import run
from echomimic.request import Request, Settings
from echomimic.studio.database import Database, Row, update
from echomimic.studio.home import Home
from echomimic.studio.report import JobReport

LoadEngine = Callable[[Settings, JobReport], Engine]


def do(home: Home, database: Database, job: Row, report: JobReport, engine: LoadEngine) -> None:
    """Does one job; raises what goes wrong."""
    if job["kind"] == "weights":
        from echomimic import hub

        hub.get(job["model"], report=report)
        return
    take = database.row("SELECT * FROM takes WHERE id = ?", [job["take"]])
    if take is None:
        raise EchoMimicError("its take was deleted")
    render(home, database, take, report, engine)


def render(home: Home, database: Database, take: Row, report: JobReport, engine: LoadEngine) -> None:
    """Renders a take as a whole."""
    folder = home.take(take["id"])
    folder.mkdir(parents=True, exist_ok=True)
    settings = Settings(**take["settings"])
    names = {str(path): name for path, name in (_file(home, database, take[kind]) for kind in ("portrait", "speech"))}
    portrait, speech = names
    request = Request(Path(portrait), Path(speech), folder / "video.mp4", overwrite=True, **take["request"])
    try:
        done = run(request, settings, report, engine(settings, report))
    except EchoMimicError as error:
        raise type(error)(_with_names(str(error), names)) from None
    facts: dict[str, Any] = {"frames": done.frames, "fps": done.fps, "width": done.width, "height": done.height}
    facts |= {"bytes": (folder / "video.mp4").stat().st_size, "ready": 1, "revision": take["revision"] + 1}
    with database.write() as connection:
        update(connection, "takes", take["id"], facts | {"notes": list(done.notes)})


def _file(home: Home, database: Database, id: str) -> tuple[Path, str]:
    row = database.row("SELECT * FROM assets WHERE id = ?", [id])
    if row is None:
        raise EchoMimicError("a file that it is made from was deleted")
    return home.file(row["digest"], row["suffix"]), row["name"]


def _with_names(text: str, names: dict[str, str]) -> str:
    """Paths of the data folder as the names under which the files were given."""
    for path, name in names.items():
        text = text.replace(path, name)
    return text
