"""What is done for each kind of job, in the worker's process."""

import functools
from collections.abc import Callable
from pathlib import Path

from echomimic.conditions import Conditions, gather
from echomimic.engine import Engine
from echomimic.errors import EchoMimicError
from echomimic.flow import run, video_shape
from echomimic.motion.load import GENERATED
from echomimic.request import Request, Settings
from echomimic.studio.database import Database, Row, as_json, update
from echomimic.studio.directed import directed_driver, undirected
from echomimic.studio.home import Home
from echomimic.studio.report import JobReport
from echomimic.studio.scene import PLAYING, VIDEO, TakeScene, draw_all, keep_thumb, prepare_scene, redraw
from echomimic.studio.sources import Borrowed, describe_sources, with_edits
from echomimic.studio.take_motion import motion_file

LoadEngine = Callable[[Settings, JobReport], Engine]
KEPT_SCENES = 3


class Work:
    """Does jobs; keeps what it prepared for the last takes, so that an edit of them starts at once."""

    def __init__(self, home: Home, database: Database, engine: LoadEngine) -> None:
        self.home, self.database, self.engine = home, database, engine
        self._scenes: dict[str, TakeScene] = {}

    def do(self, job: Row, report: JobReport) -> None:
        """Does one job; raises what goes wrong, in the words under which files were given."""
        if job["kind"] == "weights":
            from echomimic import hub

            hub.get(job["model"], report=report)
            return
        take = self.database.row("SELECT * FROM takes WHERE id = ?", [job["take"]])
        if take is None:
            raise EchoMimicError("its take was deleted; make it again")
        files = {kind: self._file(take[kind]) for kind in ("portrait", "speech")}
        try:
            self._render(take, files, report, whole=job["kind"] == "render")
        except EchoMimicError as error:
            names = [*files.values(), (self.home.take(take["id"]) / VIDEO, "the take")]
            told = functools.reduce(lambda text, file: text.replace(str(file[0]), file[1]), names, str(error))
            raise EchoMimicError(told) from None

    def _render(self, take: Row, files: dict[str, tuple[Path, str]], report: JobReport, whole: bool) -> None:
        folder = self.home.take(take["id"])
        folder.mkdir(parents=True, exist_ok=True)
        for part in folder.glob(".*.part*"):  # a process that was killed left it
            part.unlink(missing_ok=True)
        if take["editable"]:
            facts = self._preview(take, files, folder, report, whole)
        else:
            facts = self._diffusion(take, files, folder, report)
        facts |= {"bytes": (folder / VIDEO).stat().st_size, "ready": 1, "evaluation": None}
        with self.database.write() as connection:
            update(connection, "takes", take["id"], facts)
            connection.execute("UPDATE takes SET revision = revision + 1 WHERE id = ?", [take["id"]])

    def _preview(
        self, take: Row, files: dict[str, tuple[Path, str]], folder: Path, report: JobReport, whole: bool
    ) -> Row:
        scene = self._scene(take, files, folder, report)
        described = describe_sources(self.home, self.database, take["edits"])
        points = None if scene.job.face is None else scene.job.face.points
        acted = with_edits(scene.base, take["edits"], Borrowed(described, points, True, report))
        if whole:
            draw_all(scene, acted, folder, report)
        else:
            drawn = redraw(scene, acted, folder, report)
            report.notes.append(f"{sum(b - a for a, b in drawn)} of {scene.job.frames} frames were rendered")
        (folder / PLAYING).unlink(missing_ok=True)
        shape = video_shape(scene.job)
        facts: Row = {"frames": shape.frames, "fps": shape.fps, "width": shape.width, "height": shape.height}
        return facts | {"notes": list(scene.job.notes)}

    def _scene(
        self, take: Row, files: dict[str, tuple[Path, str]], folder: Path, report: JobReport
    ) -> TakeScene:
        key = as_json([take[name] for name in ("id", "portrait", "speech", "settings", "request")])
        if key not in self._scenes:
            while len(self._scenes) >= KEPT_SCENES:
                del self._scenes[next(iter(self._scenes))]
            request = {k: v for k, v in take["request"].items() if k != "driver"}
            job = gather(
                files["portrait"][0],
                files["speech"][0],
                Settings(**take["settings"]),
                driver=self._driver(take),
                report=report,
                **request,
            )
            self._scenes[key] = prepare_scene(job, folder, report)
        return self._scenes[key]

    def _diffusion(
        self, take: Row, files: dict[str, tuple[Path, str]], folder: Path, report: JobReport
    ) -> Row:
        settings = Settings(**take["settings"])
        driver = self._driver(take)
        asked = take["request"] | {"driver": driver}

        def conditions() -> Conditions:
            return gather(files["portrait"][0], files["speech"][0], settings, report=report, **asked)

        directed = directed_driver(self.home, self.database, take, conditions, report)
        if told := undirected(take):
            report.note(told)
        asked |= {"driver": str(directed or driver), "overwrite": True}
        request = Request(files["portrait"][0], files["speech"][0], folder / VIDEO, **asked)
        done = run(request, settings, report, self.engine(settings, report))
        if report.frame is not None:
            keep_thumb(report.frame, folder)
        facts: Row = {"frames": done.frames, "fps": done.fps, "width": done.width, "height": done.height}
        return facts | {"notes": list(done.notes)}

    def _driver(self, take: Row) -> str:
        """The driver as a path. A take that was made from another one's edits follows its motion."""
        driver = take["request"].get("driver", "auto")
        if driver in GENERATED:
            return str(driver)
        if driver[:1] == "t":
            return str(motion_file(self.home, self.database, driver))
        return str(self._file(driver)[0])

    def _file(self, id: str) -> tuple[Path, str]:
        row = self.database.row("SELECT * FROM assets WHERE id = ?", [id])
        if row is None:
            raise EchoMimicError("a file that it is made from was deleted; upload it again")
        return self.home.file(row["digest"], row["suffix"]), row["name"]
