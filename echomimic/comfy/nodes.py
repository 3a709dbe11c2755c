"""The three nodes, under the ids that existing workflows know."""

from collections.abc import Iterable
from typing import Any

from echomimic.comfy import folders, hooks
from echomimic.comfy.api import ComfyExtension, io, ui
from echomimic.comfy.modes import MODES, VERSIONS, variant_name
from echomimic.comfy.widgets import ADVANCED, CLASSIC, MOTION, NEWER, settings_options, widget
from echomimic.errors import EchoMimicError
from echomimic.request import Dtype, Offload, Settings

CATEGORY = "EchoMimic"
MODEL = io.Custom("ECHOMIMIC_MODEL")

FACE_DETECTOR = io.Custom("MODEL_FACE_E")
VISUALIZER = io.Custom("MODEL_VISUAL_E")
"""Kinds of the outputs that only the classic loader needed: workflows link them still."""

_MODES = (
    "audio: driven by speech. pose: by landmarks too. "
    "acc: 6 steps and cfg 1 unless the sampler says otherwise."
)
_POSES = (
    "Where the motion comes from. none: the speech alone (V2: its bundled pose). "
    "auto: motion made from the speech. "
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
            description="Loads EchoMimic V1 or V2, or the preview engine, "
            "which needs no download and runs on any CPU.",
            inputs=[
                _combo("version", VERSIONS, "Preview: no download, any CPU. V1: portraits. V2: half body."),
                _combo("infer_mode", MODES, _MODES),
                *(widget(option) for option in settings_options(("dtype", "offload"))),
                _combo("weights", folders.weights_choices(), _WEIGHTS),
                _combo(
                    "vae",
                    folders.vae_choices(),
                    "auto: the weights folder's own. Or a Stable Diffusion 1.x VAE.",
                ),
            ],
            outputs=[
                MODEL.Output(display_name="model", tooltip="Connect it to Echo_Sampler."),
                FACE_DETECTOR.Output(display_name="face_detector", tooltip=_EMPTY),
                VISUALIZER.Output(display_name="visualizer", tooltip=_EMPTY),
            ],
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
        cls,
        version: str = VERSIONS[0],
        infer_mode: str = MODES[0],
        weights: str = folders.AUTO,
        **others: Any,
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
        **ignored: Any,
    ) -> Any:
        """The model, from the shelf if it was the last one used, and the two empty outputs."""
        from echomimic.comfy.jobs import said_plainly

        with said_plainly():
            from echomimic.comfy.bar import NodeBar
            from echomimic.comfy.model_cache import SHELF, recipe

            report = NodeBar(_remarks(cls, ignored))
            wanted = recipe(variant_name(version, infer_mode), dtype, offload, weights, vae)
            return io.NodeOutput(SHELF.get(wanted, report), None, None, ui=_told(report))


_EMPTY = "Empty: only old workflows link it."
_WEIGHTS = (
    "auto: the folder under models/echo_mimic that holds the files, else the Hugging Face cache. "
    "Or one by name."
)


class EchoSampler(io.ComfyNode):  # type: ignore[misc]
    """Renders the video."""

    @classmethod
    def define_schema(cls) -> Any:
        """What the server shows of this node."""
        return io.Schema(
            node_id="Echo_Sampler",
            display_name="EchoMimic: Sampler",
            category=CATEGORY,
            description="Makes the portrait say the speech. "
            "Connect video to Save Video, or images and audio.",
            inputs=[
                *_sources(),
                *_pose_dir(),
                *_widgets(CLASSIC),
                io.Boolean.Input(
                    "save_video",
                    optional=True,
                    default=False,
                    tooltip="Also writes an mp4 into the output folder.",
                ),
                *_widgets(NEWER),
                _driving(),
                *_widgets(ADVANCED, advanced=True),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="All frames.", **_EACH),
                io.Audio.Output(
                    display_name="audio", tooltip="The speech, cut to the length of the frames.", **_EACH
                ),
                io.Float.Output(
                    display_name="frame_rate",
                    tooltip="Frames per second, for nodes that make videos.",
                    **_EACH,
                ),
                io.Video.Output(
                    display_name="video",
                    tooltip="Frames and speech together: connect it to Save Video.",
                    **_EACH,
                ),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo, io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(
        cls,
        pose_dir: str | None = None,
        context_frames: int | None = None,
        context_overlap: int | None = None,
    ) -> bool | str:
        """Any folder that is there will do, also one that came later; windows have to fit the model."""
        fault = _misfit(context_frames, context_overlap)
        return fault or _known_pose(pose_dir)

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
        """Per picture of the batch: frames, sound, rate and video.
        ``widgets`` are options; others are ignored."""
        from echomimic.comfy.jobs import said_plainly

        with said_plainly(driving is not None):
            from echomimic.comfy import jobs
            from echomimic.comfy.bar import NodeBar

            inputs, ignored = jobs.sorted_out(widgets)
            report = NodeBar(_remarks(cls, ignored))
            sources = jobs.NodeInputs(image, audio, model, pose_dir, driving, inputs)
            made = [
                jobs.render_job(one, save_video, _workflow(cls), report) for one in jobs.each(sources, report)
            ]
            files = [ui.SavedResult(m.file.name, m.subfolder, io.FolderType.output) for m in made if m.file]
            outputs = ([getattr(m, name) for m in made] for name in ("image", "sound", "rate", "video"))
            return io.NodeOutput(
                *outputs, ui=_told(report, ui.PreviewVideo(files).as_dict() if files else {})
            )


# One entry per picture: nodes that follow run once for each.
_EACH: dict[str, Any] = {"is_output_list": True}


class EchoPreviewMotion(io.ComfyNode):  # type: ignore[misc]
    """Shows what will drive the portrait, before a long render."""

    @classmethod
    def define_schema(cls) -> Any:
        """What the server shows of this node."""
        return io.Schema(
            node_id="Echo_PreviewMotion",
            display_name="EchoMimic: Preview Motion",
            category=CATEGORY,
            description="Draws the landmarks, mask or pose "
            "that the sampler would follow with the same inputs.",
            inputs=[
                *_sources(),
                *_pose_dir(),
                *_widgets(MOTION),
                _driving(),
                *_widgets(("face", "no_face"), advanced=True),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="One drawing per frame."),
                io.Float.Output(display_name="frame_rate", tooltip="Frames per second."),
            ],
            hidden=[io.Hidden.unique_id],
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
        """The guide's pictures and their rate. ``widgets`` are options; others are ignored."""
        from echomimic.comfy.jobs import said_plainly

        with said_plainly(driving is not None):
            from echomimic.comfy import guides, jobs, values
            from echomimic.comfy.bar import NodeBar

            inputs, ignored = jobs.sorted_out(widgets)
            report = NodeBar(_remarks(cls, ignored))
            one = next(jobs.each(jobs.NodeInputs(image, audio, model, pose_dir, driving, inputs), report))
            drawn = values.image_of(guides.pictures(one.job, report), one.job.frames)
            return io.NodeOutput(drawn, float(one.job.fps), ui=_told(report))


class EchoMimicExtension(ComfyExtension):  # type: ignore[misc]
    """The pack."""

    async def get_node_list(self) -> list[type]:
        """Its nodes; our model folder, routes and prompt check become known to the server here."""
        folders.register_folders()
        hooks.register()
        return [EchoLoadModel, EchoSampler, EchoPreviewMotion]


def _combo(name: str, choices: Any, tooltip: str) -> Any:
    names = list(choices)
    return io.Combo.Input(name, options=names, default=names[0], optional=True, tooltip=tooltip)


def _sources() -> list[Any]:
    return [
        io.Image.Input("image", tooltip="The portrait. Of several pictures each gets its own video."),
        io.Audio.Input("audio", tooltip="The speech, at any rate, mono or stereo."),
        MODEL.Input("model", tooltip="From Echo_LoadModel."),
    ]


def _pose_dir() -> list[Any]:
    return [_combo("pose_dir", folders.pose_choices(), _POSES)]


def _driving() -> Any:
    tooltip = "A video, or its frames at the sampler's rate, whose motion the portrait takes over."
    return io.MultiType.Input("driving", types=[io.Image, io.Video], optional=True, tooltip=tooltip)


def _widgets(names: tuple[str, ...], advanced: bool = False) -> list[Any]:
    more: dict[str, dict[str, Any]] = {"seed": {"control_after_generate": True}}
    made = [widget(option, **more.get(option.name, {})) for option in settings_options(names)]
    for value in made if advanced else ():
        value.extra_dict = {
            **(getattr(value, "extra_dict", None) or {}),
            "advanced": True,
        }  # no argument on 0.3.64
    return made


def _misfit(context_frames: int | None, context_overlap: int | None) -> str:
    """Why the windows cannot be, before a model is loaded for them; empty when they can."""
    given = {"context_frames": context_frames, "context_overlap": context_overlap}
    try:
        known = {name: value for name, value in given.items() if value is not None}
        Settings(**known)  # type: ignore[arg-type]
    except EchoMimicError as fault:
        return str(fault)
    return ""


def _remarks(node: Any, ignored: Iterable[str]) -> list[str]:
    """What was done to this node's inputs before it ran, and which of them it does not know."""
    place = getattr(getattr(node, "hidden", None), "unique_id", None)
    done = list(hooks.remarks_on(place))
    return [*done, *(f"{name} is no input of this node: it was ignored" for name in ignored)]


def _told(report: Any, shown: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """What the page shows of a run: its files, and the remarks, which the node displays."""
    return {**(shown or {}), **({"text": list(report.notes)} if report.notes else {})} or None


def _workflow(node: Any) -> dict[str, Any]:
    """What a saved file carries, so that dropping it onto the page opens the workflow again."""
    hidden = getattr(node, "hidden", None)
    carried = dict(getattr(hidden, "extra_pnginfo", None) or {})
    prompt = getattr(hidden, "prompt", None)
    return {**carried, **({"prompt": prompt} if prompt else {})}


def _known_pose(pose_dir: str | None) -> bool | str:
    try:
        folders.driver_of(pose_dir or "none")
    except EchoMimicError as fault:
        return str(fault)
    return True


def _pose_stamp(pose_dir: str | None) -> str:
    driver = folders.driver_of(pose_dir or "none")
    return repr(folders.file_stamp(driver) if driver not in folders.DRIVERS else driver)
