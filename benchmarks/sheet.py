"""A contact sheet of a video: ``python -m benchmarks.sheet talk.mp4 sheet.png``; see ``--help``."""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from echomimic.media.image import Picture, resize
from echomimic.media.video import VideoReader


def sheet(frames: list[Picture], columns: int, width: int) -> Picture:
    """``frames`` in rows of ``columns``, each ``width`` pixels wide; (H, W, 3) uint8."""
    height = round(frames[0].shape[0] * width / frames[0].shape[1])
    small = [resize(frame, width, height) for frame in frames]
    small += [np.full_like(small[0], 255)] * (-len(small) % columns)
    rows = [np.concatenate(small[i : i + columns], axis=1) for i in range(0, len(small), columns)]
    return np.concatenate(rows)


def main() -> None:
    """Reads a video, writes a picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--most", type=int, default=24)
    parser.add_argument("--columns", type=int, default=6)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument(
        "--box", type=float, nargs=4, help="left top right bottom of the part to show, in 0…1"
    )
    options = parser.parse_args()
    frames = list(VideoReader(options.video))[options.first :: options.every][: options.most]
    if options.box:
        height, width = frames[0].shape[:2]
        left, top, right, bottom = (np.array(options.box) * [width, height, width, height]).astype(int)
        frames = [frame[top:bottom, left:right] for frame in frames]
    Image.fromarray(sheet(frames, options.columns, options.width)).save(options.picture)


if __name__ == "__main__":
    main()
