"""Every tuned number of the eyes. Lengths are in widths of the eye, shades in shares of the light.

Tuned by eye on 30 portraits: photos of light and dark skin, paintings, grey photos, glasses, a statue and a
puppet.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EyeTuning:
    """How eyes look around and how lids close."""

    axis_ends: tuple[float, float] = (-0.5, 1.5)
    """Where the line through an eye's corners, at 0 and 1, begins and ends: the lids' skin reaches beside
    it."""
    still_gaze: float = 0.04
    """Pixels: irises that move less are left to the photo."""
    still_lid: float = 0.01
    """Lids that close less are left to the photo."""
    margin: float = 0.6
    """Room around the eye in its box."""
    pull_fall: float = 1.2
    """How quickly the eye beside the iris stops following it, per iris radius squared."""
    aperture_blur: float = 0.12
    """Softness of the open eye's outline, in iris radii."""
    reach: tuple[float, float] = (0.48, 0.20)
    """How far above and around the open eye lids change the picture."""
    near_margin: float = 0.28
    """The same room, and …"""
    near_reach: tuple[float, float] = (0.10, 0.08)
    """… reach for an eye that only looks around."""
    reach_blur: float = 0.05
    box_edge: int = 6
    """Pixels over which the eye's box blends into the frame."""

    taken_over: tuple[float, float] = (0.12, 0.42)
    """Between these closures the drawn lid replaces the photo's own: stretched further, its lashes would
    smear."""
    meeting: float = 0.90
    """Where closed lids meet, from the upper (0) to the lower one (1)."""
    sag: float = 0.025
    """How much lower the middle of the closed line hangs."""
    shut_blur: float = 0.12
    """The closed line is a smooth arc, without the hooks that the open eye's outline has at its corners."""
    fold: tuple[float, float, float] = (0.72, 0.10, 0.30)
    """How much of the way to the brow the photo's lid unfolds from; least; most."""
    fold_start: float = 0.22
    """The least share of its skin that an unfolding lid shows at its upper end."""

    above: tuple[float, float] = (0.15, 0.38)
    """The drawn skin covers all up to the first height over the open eye and ends at the second, …"""
    above_brow: float = 0.80
    """… but at this share of the way to the brow."""
    below: tuple[float, float] = (0.05, 0.16)
    """The same under the open eye, …"""
    beside: tuple[float, float] = (0.0, 0.15)
    """… and at its corners."""
    probe_above: tuple[tuple[float, float], tuple[float, float]] = ((0.35, 0.80), (0.16, 0.24))
    """Where the skin's colour is read over the eye, in shares of the way to the brow and at least, …"""
    probe_below: tuple[float, float] = (0.18, 0.36)
    """… and under it."""
    probe_rank: float = 0.6
    """Of the colours on one vertical this rank of brightness counts: lashes and wrinkles are darker, gloss
    brighter."""
    probe_blur: float = 0.16
    """Smoothing of the colours along the eye."""
    upper_light: tuple[float, float] = (0.72, 0.99)
    """A lid has at least the first share of the light under the eye, however deep the shadow of the brow."""
    tint: tuple[float, float, float] = (0.985, 0.962, 0.957)
    """A lid's thin skin is a little darker and redder than the skin around it."""
    texture_from: float = 0.34
    """Pores and brush strokes are taken from this far under the eye, …"""
    texture_blur: float = 0.06
    """… as what is finer than this, …"""
    texture_most: float = 2.5
    """… and at most this many median deviations strong: the rim of glasses is no pore."""

    bulge: float = 0.05
    """The light on the middle of the lid, which lies on the round eye, …"""
    bulge_at: tuple[float, float] = (0.50, 0.34)
    """… its height (share of the lid) and reach."""
    rim_shade: float = 0.10
    """How dark the lid gets towards its lashes, …"""
    rim_reach: float = 0.20
    crease_depth: float = 0.10
    """How dark the crease is, …"""
    crease_at: float = 0.115
    """… how far it lies over the open eye, at most this share of the way to the brow, …"""
    crease_brow: float = 0.45
    crease_width: float = 0.042
    crease_drop: float = 0.12
    """… and how far it goes along with the lid."""
    under_shade: float = 0.07
    """Shadow of the lashes on the skin below, …"""
    under_reach: float = 0.05
    shadow: float = 0.30
    """Shadow that a falling lid throws on the eye, …"""
    shadow_reach: float = 0.12
    covered: tuple[float, float] = (0.70, 0.95)
    """Between these closures what the lid's arc leaves of the eye turns to skin."""
    edge: float = 0.018
    """Softness of the lid's edge."""

    lash_line: tuple[float, float] = (0.009, 0.017)
    """Half the thickness of the line of lashes at the inner corner, and what is added to it at the outer
    one."""
    lash_ends: tuple[float, float, float, float] = (-0.02, 0.12, 0.86, 1.08)
    """Along the eye from the inner corner: where the line begins, is whole, thins, ends."""
    lash_cover: float = 0.80
    lash_hairs: float = 0.40
    lash_length: float = 2.2
    """In half thicknesses of the line."""
    lash_dark: float = 0.50
    """Lashes are at most this bright against the skin."""
    hair_waves: tuple[tuple[float, float, float], ...] = ((0.22, 23.0, 0.0), (0.14, 37.0, 1.7))
    """Strength, number along the eye and phase of two waves that make the line ragged."""
    ragged_from: tuple[float, float] = (30.0, 70.0)
    """Pixels: eyes narrower than the first show no single hairs, wider than the second all."""


EYE_TUNING = EyeTuning()
