"""Eyelids that close: first the photo's own lid slides down, then a drawn lid takes over.

Stretching the photo's lid all the way would draw its lashes and crease out into smears. The drawn lid
continues the colours of the skin above and below the eye, carries that skin's pores or brush strokes, lies
round on the eyeball, has a crease above and lashes at its rim.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from echomimic.preview.eyes.eye_axis import EyeAxis, make_axis
from echomimic.preview.eyes.lid_skin import LidSkin, make_lid_skin
from echomimic.preview.eyes.tuning import EYE_TUNING
from echomimic.preview.mesh.face_mesh import SMALL, Array, Mesh, soft_step
from echomimic.preview.mesh.warp import Pixels, Scene
from echomimic.preview.mesh.warp import blur as smooth


@dataclass(frozen=True)
class Lid:
    """One eye's upper lid."""

    axis: EyeAxis
    travel: Array
    """(n,) how far it goes down to close, pixels"""
    fold: float
    """how far above the lid its skin unfolds"""
    skin: LidSkin
    line: Array
    """(n,) half the thickness of the line of lashes"""

    def close(
        self, eye: Array, scene: Scene, source: Array, corner: Array, aperture: Array, blink: float
    ) -> Array:
        """(h, w, 3) the eye with its lid down by `blink`.

        source: (h, w, 2) photo coordinates that each pixel shows. corner: (2,) of the eye's box.
        """
        axis = self.axis
        along, down = axis.local(source)
        edge, travel, line = (axis.along(row, along) for row in (axis.upper, self.travel, self.line))
        drop = blink * travel
        under = down - edge - drop
        taken = float(soft_step(np.float32(blink), *EYE_TUNING.taken_over))
        colour, above, below = self.skin.sample(source - corner)
        below *= soft_step(np.float32(blink), *EYE_TUNING.covered)
        shadow = 1 - np.clip(under / (EYE_TUNING.shadow_reach * axis.width), 0, 1)
        eye = eye * (1 - EYE_TUNING.shadow * min(1.0, 2 * blink) * shadow * aperture[..., 0])[..., None]
        eye = eye + (colour * self._lash_shadow(under) - eye) * below[..., None]
        lid = self._slide(scene, source, edge, down, under, drop)
        if taken > 0:
            drawn = lid + (colour * self._shade(down - edge, under, drop) - lid) * above[..., None]
            lid = lid + (drawn - lid) * taken
        softness = max(1.0, EYE_TUNING.edge * axis.width)
        closed = lid + (eye - lid) * np.clip(under / softness + 0.5, 0, 1)[..., None]
        return self._draw_lashes(closed, along, under, line, taken)

    def _slide(
        self, scene: Scene, source: Array, edge: Array, down: Array, under: Array, drop: Array
    ) -> Array:
        """The photo's own lid, its skin unfolding from `fold` above."""
        top = edge - self.fold
        opened = np.maximum(edge + drop - top, SMALL)
        place = np.clip((down - top) / opened, 0, 1)
        start = np.maximum(2 - opened / self.fold, EYE_TUNING.fold_start)
        from_down = top + self.fold * (start * place + (1 - start) * place * place)
        slide = np.where((down > top) & (under <= 0), from_down - down, np.where(under > 0, -drop, 0.0))
        at = source + slide[..., None] * self.axis.down
        return scene.sample(at.astype(np.float32))

    def _shade(self, above_edge: Array, under: Array, drop: Array) -> Array:
        """(h, w, 1) the light on a lid that lies round on the eyeball, and the crease above it."""
        width = self.axis.width
        height = np.clip(-under / np.maximum(drop, 2 * EYE_TUNING.edge * width), 0, 2)
        share = np.clip(drop / (EYE_TUNING.shadow_reach * width), 0, 1)
        middle, reach = EYE_TUNING.bulge_at
        light = EYE_TUNING.bulge * np.exp(-np.square((height - middle) / reach))
        light = light - EYE_TUNING.rim_shade * np.exp(-np.square(height / EYE_TUNING.rim_reach))
        raised = min(EYE_TUNING.crease_at, EYE_TUNING.crease_brow * self.axis.brow / width) * width
        crease = (above_edge + raised - EYE_TUNING.crease_drop * drop) / (EYE_TUNING.crease_width * width)
        # Softer above the crease, where the skin rolls over it, than below.
        crease = np.where(crease < 0, crease / 2, crease)
        return (1 + share * (light - EYE_TUNING.crease_depth * np.exp(-np.square(crease))))[..., None]

    def _lash_shadow(self, under: Array) -> Array:
        """(h, w, 1) the light on the skin right under closed lashes."""
        near = np.maximum(under, 0) / (EYE_TUNING.under_reach * self.axis.width)
        return (1 - EYE_TUNING.under_shade * np.exp(-near))[..., None]

    def _draw_lashes(self, closed: Array, along: Array, under: Array, line: Array, strength: float) -> Array:
        """The line of lashes, a little ragged, and hairs hanging from it."""
        phase = (along + under / 2) / self.axis.width * 2 * np.pi
        rough = float(soft_step(np.float32(self.axis.width), *EYE_TUNING.ragged_from))
        ragged = 1 + rough * sum(
            size * np.cos(count * phase + shift) for size, count, shift in EYE_TUNING.hair_waves
        )
        # A line thinner than a pixel is drawn a pixel wide and fainter, or it would break into dots.
        thick = np.maximum(line, 1)
        stroke = np.sqrt(line / thick) * np.exp(-np.square(under / thick))
        hairs = (
            EYE_TUNING.lash_hairs * ragged * np.exp(-np.maximum(under, 0) / (EYE_TUNING.lash_length * thick))
        )
        hairs *= np.clip(under + 0.5, 0, 1) * np.sqrt(line / thick)
        cover = np.clip(EYE_TUNING.lash_cover * stroke + hairs * (1 - stroke), 0, 1) * strength
        return np.asarray(closed + (self.skin.lash - closed) * cover[..., None]).clip(0, 255)


def make_lid(
    mesh: Mesh,
    picture: Pixels,
    box: tuple[int, int, int, int],
    contours: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]],
) -> Lid:
    """The lid of the eye with these mesh points: upper contour and lower contour (outer corner first),
    brow."""
    axis = make_axis(mesh, contours)
    width, step = axis.width, float(axis.stations[1] - axis.stations[0])
    gap = np.maximum(axis.lower - axis.upper, 0)
    place = axis.stations / width
    shut = smooth((axis.upper + gap * EYE_TUNING.meeting)[None], EYE_TUNING.shut_blur * width / step)[0]
    inner = soft_step(place, 0, 0.5) * (1 - soft_step(place, 0.5, 1))
    travel = np.maximum(shut + 4 * EYE_TUNING.sag * width * inner - axis.upper, 0)
    share, least, most = EYE_TUNING.fold
    fold = float(np.clip(share * axis.brow, least * width, most * width))
    outer_first = mesh.points[contours[0][0], 0] < mesh.points[contours[0][-1], 0]
    outwards = 1 - place if outer_first else place
    begins, whole, thins, ends = EYE_TUNING.lash_ends
    line = width * (EYE_TUNING.lash_line[0] + EYE_TUNING.lash_line[1] * np.clip(outwards, 0, 1))
    line *= soft_step(outwards, begins, whole) * (1 - soft_step(outwards, thins, ends))
    skin = make_lid_skin(axis, picture, box)
    return Lid(axis, travel.astype(np.float32), fold, skin, line.astype(np.float32))
