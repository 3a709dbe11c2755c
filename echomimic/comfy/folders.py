"""Where things lie on the user's server, asked of ``folder_paths``:
weights, poses under the input folder, outputs."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import folder_paths

from echomimic.errors import DriverError, WeightsError
from echomimic.variants import Variant

MODELS = "echo_mimic"
"""Name of our folder among the server's model folders, as extra_model_paths.yaml may relocate it."""

AUTO = "auto"
DRIVERS = ("none", "auto")
# A user may have pointed the model folder at a whole disk: looking ends at this depth and number.
_DEPTH = 3
_MOST_FOLDERS = 200


def register_folders() -> None:
    """Tells the server about our model folder; folders that the user configured come first."""
    folder_paths.add_model_folder_path(MODELS, os.path.join(folder_paths.models_dir, MODELS))


def _weights_roots() -> list[Path]:
    register_folders()
    return [Path(root) for root in folder_paths.get_folder_paths(MODELS)]


def weights_choices() -> list[str]:
    """``auto`` and every folder right under the model folders."""
    names = {
        entry.name for root in _weights_roots() if root.is_dir() for entry in root.iterdir() if entry.is_dir()
    }
    return [AUTO, *sorted(name for name in names if not name.startswith("."))]


def weights_folder(choice: str, row: Variant) -> Path | None:
    """The folder to look for the variant's files in.

    ``auto`` takes the model folder that has all of them, else the one that has most; None when there are
    none: then the package looks where it always does. Raises :class:`WeightsError` when the chosen folder
    does not exist.
    """
    from echomimic.models import layouts

    roots = [root for root in _weights_roots() if root.is_dir()]
    if choice != AUTO:
        return _chosen(choice, roots)
    held = {root: len(layouts.present(row.name, root)) for root in roots if _own(row, root)}
    return max(held, key=lambda root: held[root], default=None)


def _own(row: Variant, root: Path) -> bool:
    """Whether anything of this model is in ``root``, beside the files that every model shares."""
    from echomimic.models import layouts

    return any(name in layouts.OWN for name in layouts.present(row.name, root))


def _chosen(choice: str, roots: Sequence[Path]) -> Path:
    for root in roots:
        inside = _inside(root, choice)
        if inside is not None and inside.is_dir():
            return inside
    raise WeightsError(f"weights {choice!r} is no folder in {home()}; choose {AUTO} or refresh the page")


def _inside(root: Path, name: object) -> Path | None:
    """What ``name`` calls below ``root``; None for what leads out of it, is not there, or is no name."""
    try:
        place = (root / str(name)).resolve()
        return place if place.is_relative_to(root.resolve()) and place.exists() else None
    except (OSError, ValueError, RuntimeError):  # RuntimeError: links that lead to each other, before 3.13
        return None


def weights_stamp(choice: str, row: Variant) -> tuple[tuple[str, int, int], ...]:
    """Names, sizes and times of the variant's files: changes when they do."""
    from echomimic.models import layouts

    if not row.files:
        return ()
    found = layouts.present(row.name, weights_folder(choice, row))
    return tuple(s for path in sorted(set(found.values())) for s in file_stamp(path))


def check_installed(row: Variant, folder: Path | None, vae: Path | None = None) -> None:
    """Raises :class:`WeightsError` that lists what is missing, where it belongs,
    and the command that fetches it."""
    from echomimic.models import layouts

    try:
        layouts.find(row.name, folder, vae)
    except WeightsError as fault:
        found = {"vae": vae} if vae else {}
        found |= layouts.present(row.name, folder)
        gone = [file for part, file in row.files.items() if part not in found]
        reason = f"{', '.join(gone)} not found in {folder or home()}" if gone else str(fault)
        clone = Path(__file__).parents[2]
        program = f'"{clone}"' if (clone / "__main__.py").is_file() else "-m echomimic"
        fetch = f'"{sys.executable}" {program} weights get {row.name} -o "{home()}"'
        raise WeightsError(
            f"{row.title} is not installed: {reason}; run: {fetch} (or put the files there by hand)"
        ) from None


def home() -> Path:
    """The folder that users are told to put weights into."""
    return _weights_roots()[0]


def vae_choices() -> list[str]:
    """``auto`` and the autoencoders the user has for other nodes."""
    return [AUTO, *folder_paths.get_filename_list("vae")]


def vae_file(choice: str) -> Path | None:
    """The chosen autoencoder's file; None for ``auto``. Raises :class:`WeightsError` when it is gone."""
    if choice == AUTO:
        return None
    there = choice in folder_paths.get_filename_list("vae")
    found = folder_paths.get_full_path("vae", choice) if there else None
    if found is None:
        raise WeightsError(
            f"vae {choice!r} is not in the vae folder any more; choose {AUTO} or refresh the page"
        )
    return Path(found)


def pose_choices() -> list[str]:
    """``none``, ``auto``, then every motion file and every folder of pose files under the input folder."""
    return [*DRIVERS, *sorted(_poses(Path(folder_paths.get_input_directory())))]


def _poses(inputs: Path) -> Iterator[str]:
    for count, (place, folders, files) in enumerate(os.walk(inputs)):
        inside = Path(place).relative_to(inputs)
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        if len(inside.parts) >= _DEPTH or count >= _MOST_FOLDERS:
            folders.clear()
        yield from ((inside / name).as_posix() for name in files if name.endswith(".npz"))
        if inside.parts and any(name.endswith((".pkl", ".npy")) for name in files):
            yield inside.as_posix()


def driver_of(pose_dir: str) -> str:
    """The package's driver for a value of the pose_dir widget.
    Raises :class:`DriverError` naming the choices."""
    name = str(pose_dir or "none").strip()
    if name.lower() in DRIVERS:
        return name.lower()
    inputs = Path(folder_paths.get_input_directory()).resolve()
    place = _inside(inputs, name)
    if place is None:
        raise DriverError(f"pose_dir {name!r} is not in {inputs}; choose one of {_listed(pose_choices())}")
    return str(place)


def _listed(names: Sequence[str], most: int = 8) -> str:
    more = f", … ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def file_stamp(path: Path | str | None) -> tuple[tuple[str, int, int], ...]:
    """Names, sizes and times of a file, or of a folder's files: changes when what lies there changes."""
    if path is None or not Path(path).exists():
        return ()
    place = Path(path)
    files = sorted(place.iterdir()) if place.is_dir() else [place]
    return tuple((str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files)


def output_file(width: int, height: int, prefix: str = "video/EchoMimic") -> tuple[Path, str]:
    """A new name in the output folder for a video of that size, and its subfolder as the editor wants it."""
    folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
        prefix, folder_paths.get_output_directory(), width, height
    )
    return Path(folder) / f"{name}_{counter:05}_.mp4", subfolder


def scratch(name: str) -> Path:
    """A path in the server's temp folder, which the server empties itself."""
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name
