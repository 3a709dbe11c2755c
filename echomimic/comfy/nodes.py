"""The three nodes, under the ids that existing workflows know."""

from typing import Any

from echomimic.comfy import folders
from echomimic.comfy.api import ComfyExtension, InputImpl, Types, io, ui
from echomimic.comfy.modes import MODES, VERSIONS, variant_name
from echomimic.comfy.widgets import settings_options, widget
from echomimic.errors import EchoMimicError
from echomimic.request import Dtype, Offload

CATEGORY = "EchoMimic"
MODEL = io.Custom("ECHOMIMIC_MODEL")

CLASSIC = (
    *("seed", "cfg", "steps", "fps", "sample_rate", "facemask_ratio", "facecrop_ratio"),
    *("context_frames", "context_overlap", "length", "width", "height"),
)
"""Options of the classic sampler, in its order: the editor saves widgets by position."""
NEWER = ("expressiveness", "head_motion", "blink_rate", "gaze", "crop", "lips", "draw_mouth")
MOTION = ("seed", "fps", "facecrop_ratio", "length", "width", "height", "draw_mouth")

_POSES = (
    "Where the motion comes from. none: the speech alone (V2: its bundled pose). auto: motion made from the speech. "
    "Or a folder of pose files (V1 .pkl, V2 .npy) or a motion file (.npz) under ComfyUI's input folder. "
    "A linked driving video comes before it."
)


class EchoLoadModel(io.ComfyNode):  # type: ignore[misc]
    """Chooses and loads a model."""

    @classmethod
    def define_schema(cls) -> Any:
        """What the server shows of this node."""
        return io.Schema(
            node_id="Echo_LoadModel",
            display_name="EchoMimic: Load Model",
            category=CATEGORY,
            description="Loads EchoMimic V1 or V2, or the preview engine, which needs no download and runs on any CPU.",
            inputs=[
                _combo("version", VERSIONS, "Preview: no download, any CPU. V1: portraits. V2: half body."),
                _combo(
                    "infer_mode", MODES, "audio: driven by speech. pose: by landmarks too. acc: needs 6 steps, not 30."
                ),
                *(widget(option) for option in settings_options(("dtype", "offload"))),
                _combo("weights", folders.weights_choices(), _WEIGHTS),
                _combo("vae", folders.vae_choices(), "auto: the weights folder's own. Or a Stable Diffusion 1.x VAE."),
            ],
            outputs=[MODEL.Output(display_name="model", tooltip="Connect it to Echo_Sampler.")],
        )

    @classmethod
    def validate_inputs(cls, version: str | None = None, infer_mode: str | None = None) -> bool | str:
        """Takes older spellings too, which the server's own check of lists would refuse."""
        try:
            variant_name(version or VERSIONS[0], infer_mode or MODES[0])
        except EchoMimicError as fault:
            return str(fault)
        return True

    @classmethod
    def fingerprint_inputs(
        cls, version: str = VERSIONS[0], infer_mode: str = MODES[0], weights: str = folders.AUTO, **others: Any
    ) -> str:
        """Changes when the weight files do."""
        from echomimic.variants import variant

        return repr(folders.weights_stamp(weights, variant(variant_name(version, infer_mode))))

    @classmethod
    def execute(
        cls,
        version: str = VERSIONS[0],
        infer_mode: str = MODES[0],
        dtype: Dtype = "auto",
        offload: Offload = "none",
        weights: str = folders.AUTO,
        vae: str = folders.AUTO,
    ) -> Any:
        """The model, from the shelf if it was the last one used."""
        from echomimic.comfy.jobs import said_plainly

        with said_plainly():
            from echomimic.comfy.bar import Bar
            from echomimic.comfy.model_cache import SHELF, recipe

            wanted = recipe(variant_name(version, infer_mode), dtype, offload, weights, vae)
            return io.NodeOutput(SHELF.get(wanted, Bar()))


_WEIGHTS = "auto: the folder under models/echo_mimic that holds the files, else the Hugging Face cache. Or one by name."


class EchoSampler(io.ComfyNode):  # type: ignore[misc]
    """Renders the video."""

    @classmethod
    def define_schema(cls) -> Any:
        """What the server shows of this node."""
        return io.Schema(
            node_id="Echo_Sampler",
            display_name="EchoMimic: Sampler",
            category=CATEGORY,
            description="Makes the portrait say the speech. Connect video to Save Video, or images and audio.",
            inputs=[
                *_sources(),
                *_pose_dir(),
                *_widgets(CLASSIC),
                io.Boolean.Input(
                    "save_video", optional=True, default=False, tooltip="Also writes an mp4 into the output folder."
                ),
                *_widgets(NEWER),
                _driving(),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="All frames."),
                io.Audio.Output(display_name="audio", tooltip="The speech, cut to the length of the frames."),
                io.Float.Output(display_name="frame_rate", tooltip="Frames per second, for nodes that make videos."),
                io.Video.Output(display_name="video", tooltip="Frames and speech together: connect it to Save Video."),
            ],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, pose_dir: str | None = None) -> bool | str:
        """Any folder that is there will do, also one that came after the page was loaded."""
        return _known_pose(pose_dir)

    @classmethod
    def fingerprint_inputs(cls, pose_dir: str | None = None, **others: Any) -> str:
        """Changes when the pose files do."""
        return _pose_stamp(pose_dir)

    @classmethod
    def execute(
        cls,
        image: Any,
        audio: Any,
        model: Any,
        pose_dir: str = "none",
        save_video: bool = False,
        driving: Any = None,
        **widgets: Any,
    ) -> Any:
        """Frames, sound, rate and video. ``widgets`` are fields of ``Settings``; others raise."""
        from echomimic.comfy.jobs import said_plainly

        with said_plainly():
            from echomimic.comfy import jobs, values
            from echomimic.comfy.bar import Bar

            report = Bar()
            job = jobs.prepare(image, audio, model, pose_dir, driving, widgets, report)
            made = jobs.render(job, model, save_video, report)
            sound = values.sound_of(audio, made.image.shape[0] / job.fps)
            parts = Types.VideoComponents(images=made.image, audio=sound, frame_rate=values.rate_of(job.fps))
            shown = _shown(made.file.name, made.subfolder) if made.file else None
            return io.NodeOutput(made.image, sound, float(job.fps), InputImpl.VideoFromComponents(parts), ui=shown)


class EchoPreviewMotion(io.ComfyNode):  # type: ignore[misc]
    """Shows what will drive the portrait, before a long render."""

    @classmethod
    def define_schema(cls) -> Any:
        """What the server shows of this node."""
        return io.Schema(
            node_id="Echo_PreviewMotion",
            display_name="EchoMimic: Preview Motion",
            category=CATEGORY,
            description="Draws the landmarks, mask or pose that the sampler would follow with the same inputs.",
            inputs=[*_sources(), *_pose_dir(), *_widgets(MOTION), _driving()],
            outputs=[
                io.Image.Output(display_name="images", tooltip="One drawing per frame."),
                io.Float.Output(display_name="frame_rate", tooltip="Frames per second."),
            ],
        )

    @classmethod
    def validate_inputs(cls, pose_dir: str | None = None) -> bool | str:
        """Any folder that is there will do."""
        return _known_pose(pose_dir)

    @classmethod
    def fingerprint_inputs(cls, pose_dir: str | None = None, **others: Any) -> str:
        """Changes when the pose files do."""
        return _pose_stamp(pose_dir)

    @classmethod
    def execute(
        cls, image: Any, audio: Any, model: Any, pose_dir: str = "none", driving: Any = None, **widgets: Any
    ) -> Any:
        """The guide's pictures and their rate. ``widgets`` are fields of ``Settings``; others raise."""
        from echomimic.comfy.jobs import said_plainly

        with said_plainly():
            from echomimic.comfy import guides, jobs, values
            from echomimic.comfy.bar import Bar

            report = Bar()
            job = jobs.prepare(image, audio, model, pose_dir, driving, widgets, report)
            return io.NodeOutput(values.image_of(guides.pictures(job, report), job.frames), float(job.fps))


class EchoMimicExtension(ComfyExtension):  # type: ignore[misc]
    """The pack."""

    async def get_node_list(self) -> list[type]:
        """Its nodes; our model folder becomes known to the server here."""
        folders.register()
        return [EchoLoadModel, EchoSampler, EchoPreviewMotion]


def _combo(name: str, choices: Any, tooltip: str) -> Any:
    names = list(choices)
    return io.Combo.Input(name, options=names, default=names[0], optional=True, tooltip=tooltip)


def _sources() -> list[Any]:
    return [
        io.Image.Input("image", tooltip="The portrait. Of several pictures the first is used."),
        io.Audio.Input("audio", tooltip="The speech, at any rate, mono or stereo."),
        MODEL.Input("model", tooltip="From Echo_LoadModel."),
    ]


def _pose_dir() -> list[Any]:
    return [_combo("pose_dir", folders.pose_choices(), _POSES)]


def _driving() -> Any:
    tooltip = "A video, or its frames at the sampler's rate, whose motion the portrait takes over."
    return io.MultiType.Input("driving", types=[io.Image, io.Video], optional=True, tooltip=tooltip)


def _widgets(names: tuple[str, ...]) -> list[Any]:
    more: dict[str, dict[str, Any]] = {"seed": {"control_after_generate": True}}
    return [widget(option, **more.get(option.name, {})) for option in settings_options(names)]


def _known_pose(pose_dir: str | None) -> bool | str:
    try:
        folders.driver_of(pose_dir or "none")
    except EchoMimicError as fault:
        return str(fault)
    return True


def _pose_stamp(pose_dir: str | None) -> str:
    driver = folders.driver_of(pose_dir or "none")
    return repr(folders.stamp(driver) if driver not in folders.DRIVERS else driver)


def _shown(name: str, subfolder: str) -> Any:
    return ui.PreviewVideo([ui.SavedResult(name, subfolder, io.FolderType.output)])
