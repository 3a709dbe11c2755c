"""``echomimic motion``: motion as a file that can be seen, borrowed, generated, fitted and edited."""

import contextlib
from pathlib import Path
from typing import Any

import click

from echomimic.cli.options import FOLDER, QUIET, Grouped, add_options, build_options
from echomimic.cli.progress import TerminalBar
from echomimic.errors import DriverError, OutputError
from echomimic.request import Settings

SOURCE = click.argument("source", type=FOLDER)
OUT = click.option("-o", "--output", type=FOLDER, required=True, help="The motion file to write (.npz).")
OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace the output if it exists.")
PORTRAIT = click.option("--portrait", type=FOLDER, help="The picture whose face (and hands) it is for.")
SPOKEN = ("seed", "fps", "expressiveness", "head_motion", "blink_rate", "gaze")
GAIN_PARTS = ("mouth", "brows", "eyes", "head", "hands")


_DRAWN = {"title": "Motion", "comment": "Drawn by EchoMimic"}


@click.group()
def motion() -> None:
    """See, borrow, generate, fit and edit motion (.npz files, official pose folders, videos)."""


@motion.command()
@SOURCE
@OUT
@click.option("--face", type=int, default=0, help="Which face: 0 is the largest.")
@click.option("--hands", is_flag=True, help="Follow body and hands too (for V2); slower.")
@OVERWRITE
@QUIET
def extract(source: Path, output: Path, face: int, hands: bool, overwrite: bool, quiet: bool) -> None:
    """Follow the face (and hands) in the video SOURCE."""
    from echomimic.motion.track.video import extract as extracted
    from echomimic.option import check_number

    check_number("face", face, 0, 99, whole=True)
    _claim(output, overwrite, source)
    with TerminalBar(quiet) as report:
        found = extracted(source, report, face=face, hands=hands)
    _save(found, output, quiet)


@motion.command(cls=Grouped)
@click.argument("speech", type=FOLDER)
@OUT
@PORTRAIT
@click.option("--hands", is_flag=True, help="Move the portrait's hands too (for V2).")
@click.option(
    "--gestures", type=float, default=1.0, help="How far the hands move: 0 keeps them still, 1 is natural."
)
@add_options(Settings, only=SPOKEN)
@OVERWRITE
@QUIET
def speak(
    speech: Path,
    output: Path,
    portrait: Path | None,
    hands: bool,
    gestures: float,
    overwrite: bool,
    quiet: bool,
    **values: Any,
) -> None:
    """Generate the motion of someone who says SPEECH."""
    from echomimic.media.audio import Speech
    from echomimic.motion.speech.hands_from_speech import GESTURES
    from echomimic.motion.speech.motion_from_speech import speak as spoken
    from echomimic.option import check_number

    check_number("gestures", gestures, *GESTURES)
    if hands and portrait is None:
        raise click.UsageError("--hands moves the hands of a portrait; give one with --portrait")
    _claim(output, overwrite, speech, portrait)
    settings = build_options(Settings, values)
    picture = _picture(portrait)
    points, size, body = _subject(picture, hands)
    chosen = {name: getattr(settings, name) for name in SPOKEN}
    chosen["fps"] = chosen["fps"] or settings.variant.fps
    with TerminalBar(quiet) as report:
        made = spoken(
            Speech.open(speech), points, size, body=body, gestures=gestures, report=report, **chosen
        )
    _save(made, output, quiet)


@motion.command()
@SOURCE
@OUT
@click.option("--portrait", type=FOLDER, required=True, help="The picture that the motion shall fit.")
@click.option(
    "--align/--no-align", default=True, help="Fit eyes, brows, nose and mouth to the portrait's own, or not."
)
@OVERWRITE
@QUIET
def sync(source: Path, output: Path, portrait: Path, align: bool, overwrite: bool, quiet: bool) -> None:
    """Fit the motion SOURCE to a portrait: its face for V1, its shoulders, arms and hands for V2."""
    from echomimic.motion.load import motion_from
    from echomimic.motion.retarget.fit import sync_motion

    _claim(output, overwrite, source, portrait)
    with TerminalBar(quiet) as report:
        done = sync_motion(motion_from(source, report), _picture(portrait), align=align)
    _save(done, output, quiet)


@motion.command()
@SOURCE
@OUT
@click.option("--fps", type=float, help="Frame rate.")
@click.option("--start", type=float, default=0.0, help="Cut away what comes before this second.")
@click.option("--stop", type=float, help="Cut away what comes after this second.")
@click.option("--smooth", type=float, default=0.0, help="Smooth over this many seconds.")
@click.option("--mirror", is_flag=True, help="Exchange left and right.")
@click.option("--lips-from", type=FOLDER, help="Take the lips of this other motion.")
@click.option("--length", type=int, help="Exactly this many frames: played there and back, or cut.")
@OVERWRITE
@QUIET
def edit(source: Path, output: Path, overwrite: bool, quiet: bool, **values: Any) -> None:
    """Edit the motion SOURCE. Edits are done in the order in which --help lists them."""
    from echomimic.motion.edit import edited
    from echomimic.motion.load import motion_from

    lips = values.pop("lips_from")
    _claim(output, overwrite, source, lips)
    with TerminalBar(quiet) as report:
        other = motion_from(lips, report) if lips else None
        done = edited(motion_from(source, report), lips=other, **values)
    _save(done, output, quiet)


for _part in GAIN_PARTS:
    _text = f"Strength of the {_part}: 0 freezes, 1 leaves as it is."
    edit = click.option(f"--{_part}", type=float, default=1.0, help=_text)(edit)


@motion.command()
@SOURCE
@click.option("-o", "--output", type=FOLDER, help="The video to write.")
@click.option("--png", type=FOLDER, help="The contact sheet to write.")
@PORTRAIT
@OVERWRITE
@QUIET
def show(
    source: Path, output: Path | None, png: Path | None, portrait: Path | None, overwrite: bool, quiet: bool
) -> None:
    """Draw the motion SOURCE over a portrait or on black, as a video or a contact sheet."""
    from echomimic.media.image import write_picture
    from echomimic.media.output import claimed
    from echomimic.media.video import check_output
    from echomimic.motion.draw.contact_sheet import contact_sheet
    from echomimic.motion.load import motion_from

    if output is None and png is None:
        raise click.UsageError("give -o VIDEO or --png PICTURE, or both")
    if output:
        check_output(output, overwrite, (source, portrait))
        click.get_current_context().with_resource(claimed(output))
    if png:
        _claim(png, overwrite, source, portrait, suffix=".png")
    picture = _picture(portrait)
    with TerminalBar(quiet) as report:
        motion = motion_from(source, report)
        if output:
            _draw(motion, picture, output, overwrite, report)
    if png:
        write_picture(png, contact_sheet(motion, picture))
    if not quiet:
        click.echo(" and ".join(str(path) for path in (output, png) if path))


@motion.command()
@SOURCE
@QUIET
def info(source: Path, quiet: bool) -> None:
    """Print length, rate and coverage of the motion SOURCE, and warn of jumps."""
    from echomimic.motion.draw.contact_sheet import describe
    from echomimic.motion.load import motion_from

    with TerminalBar(quiet) as report:
        told = describe(motion_from(source, report))
    click.echo(
        f"{source}: {told.seconds:.2f} s, {told.frames} frames at {told.fps:g} fps, "
        f"{told.size[0]}x{told.size[1]}"
    )
    for name, share in (("face", told.face), ("left hand", told.left_hand), ("right hand", told.right_hand)):
        click.echo(f"  {name:11} {'none' if share is None else f'in {share:.0%} of the frames'}")
    if told.jumps:
        listed = ", ".join(map(str, told.jumps[:8])) + (", …" if len(told.jumps) > 8 else "")
        click.secho(
            f"  warning: jumps at frames {listed}; try `echomimic motion edit --smooth 0.05`", fg="yellow"
        )


def _claim(path: Path, overwrite: bool, *inputs: Path | None, suffix: str = ".npz") -> None:
    """Keeps the output for this command; raises OutputError now rather than after the work."""
    from echomimic.media.output import claim

    if path.suffix.lower() != suffix:
        raise OutputError(f"{path} ought to end in {suffix}; give it such a name")
    click.get_current_context().with_resource(claim(path, overwrite, inputs))


def _save(motion: Any, output: Path, quiet: bool) -> None:
    motion.save(output)
    if not quiet:
        click.echo(f"{output}: {motion.seconds:.2f} s")


def _picture(path: Path | None) -> Any:
    from echomimic.media.image import read_picture

    return None if path is None else read_picture(path)


def _subject(picture: Any, hands: bool) -> tuple[Any, tuple[int, int], Any]:
    """Face points, picture size and body of a portrait; of an average face without one."""
    from echomimic.faces.detect import find_faces
    from echomimic.motion.track.portrait import average_face, body_of

    if picture is None:
        return average_face(), (512, 512), None
    faces = find_faces(picture)
    if not faces:
        raise DriverError(
            "no face was found in the portrait; use a picture that shows one clearly, from the front"
        )
    size = (picture.shape[1], picture.shape[0])
    return faces[0].points, size, body_of(picture) if hands else None


def _draw(motion: Any, picture: Any, output: Path, overwrite: bool, report: Any) -> None:
    from echomimic.media.video import Shape, open_writer
    from echomimic.motion.draw.contact_sheet import describe, shown
    from echomimic.progress import Progress

    told = describe(motion)
    height, width = picture.shape[:2] if picture is not None else told.size[::-1]
    shape = Shape(width - width % 2, height - height % 2, told.fps, told.frames, _DRAWN)
    with (
        open_writer(output, shape, None, overwrite, ours=True) as writer,
        contextlib.closing(shown(motion, picture)) as frames,
    ):
        for done, frame in enumerate(frames, 1):
            writer.add(frame[: shape.height, : shape.width])
            report(Progress("drawing", done, told.frames))
