"""Which face-mesh points the V1 landmark map joins, in drawing order, and in which colours.

Colours are RGB channel values. Left and right are the person's own: left is on the image's right. Source: the
recorded official drawings (fixture `v1_landmark_maps`).
"""

from __future__ import annotations

from typing import NamedTuple


class Stroke(NamedTuple):
    """Lines of one colour: pairs of mesh points joined in this order."""

    colour: tuple[int, int, int]
    edges: tuple[tuple[int, int], ...]


def _stroke(colour: tuple[int, int, int], edges: str) -> Stroke:
    pairs = (edge.split("-") for edge in edges.split())
    return Stroke(colour, tuple((int(a), int(b)) for a, b in pairs))


OVAL_LINES = _stroke(
    (10, 200, 10),
    "58-132 93-234 127-162 132-93 136-172 148-176 149-150 150-136 152-148 162-21 172-58 176-149 234-127 "
    "251-389 288-397 323-361 356-454 361-288 365-379 377-152 378-400 379-378 389-356 397-365 400-377 454-323",
)
LEFT_EYE_LINES = _stroke(
    (180, 200, 10),
    "374-380 390-373 249-390 385-384 373-374 263-466 387-386 381-382 384-398 466-388 386-385 388-387 263-249 "
    "380-381 398-362 382-362",
)
RIGHT_EYE_LINES = _stroke(
    (10, 200, 180),
    "154-155 33-7 246-161 159-158 144-145 173-133 158-157 163-144 153-154 7-163 161-160 157-173 33-246 "
    "160-159 145-153 155-133",
)
LEFT_BROW_LINES = _stroke(
    (180, 220, 10),
    "334-296 276-283 293-334 295-285 296-336 282-295 283-282 300-293",
)
RIGHT_BROW_LINES = _stroke(
    (10, 220, 180),
    "46-53 66-107 52-65 53-52 63-105 70-63 65-55 105-66",
)
LEFT_IRIS_LINES = _stroke(
    (250, 200, 10),
    "476-477 475-476 477-474 474-475",
)
RIGHT_IRIS_LINES = _stroke(
    (10, 200, 250),
    "469-470 472-469 471-472 470-471",
)
MOUTH_LINES = (
    _stroke((10, 180, 20), "61-146 146-91 91-181 181-84 84-17"),
    _stroke((20, 10, 180), "17-314 314-405 405-321 321-375 375-291"),
    _stroke((100, 100, 30), "78-95 95-88 88-178 178-87 87-14"),
    _stroke((100, 150, 50), "14-317 317-402 402-318 318-324 324-308"),
    _stroke((20, 80, 100), "61-185 185-40 40-39 39-37 37-0"),
    _stroke((80, 100, 20), "0-267 267-269 269-270 270-409 409-291"),
    _stroke((120, 100, 200), "78-191 191-80 80-81 81-82 82-13"),
    _stroke((150, 120, 100), "13-312 312-311 311-310 310-415 415-308"),
)
"""Outer bottom, inner bottom, outer top, inner top; each left half first, then right."""

SQUARES: dict[int, tuple[int, int, int]] = {468: (10, 200, 250), 473: (250, 200, 10), 4: (200, 200, 200)}
"""Squares on the pupils and the tip of the nose."""
