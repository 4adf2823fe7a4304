"""Captchas."""

from __future__ import annotations

from random import Random

from detector.synth.style import Style, chance


def captcha(rng: Random) -> Style:
    """Draw a captcha: signs of its own making, with lines, dots and colours over them."""
    touching = chance(rng, 0.35)
    floating = not touching and chance(rng, 0.6)
    thin = chance(rng, 0.2)
    each = chance(rng, 0.55)
    return Style(
        faces="any",
        mixed_faces=chance(rng, 0.25),
        lower=rng.choices(("never", "word", "some"), (5, 3, 2))[0],
        weight=0 if thin else rng.choice((-2, 0, 0)) if touching else rng.choice((-2, 0, 0, 2, 4)),
        outline=rng.randint(4, 7) if thin else 0,
        gap=rng.uniform(-0.1, 0.04) if touching else rng.uniform(0.05, 1.1) if floating else rng.uniform(0.02, 0.35),
        stretch=rng.uniform(0.6, 1.4) if floating else rng.uniform(0.65, 1.4),
        jitter_y=rng.choice((0, 0.05, 0.12, 0.35)),
        jitter_size=rng.choice((0, 0.08, 0.2)),
        rotation=rng.choice((0, 6, 15, 25)),
        cap_px=rng.uniform(15, 36) if floating else rng.uniform(26, 56),
        margin=rng.uniform(0.02, 0.12),
        centred=chance(rng, 0.3),
        angle=rng.gauss(0, 3),
        shear=rng.gauss(0, 0.12),
        perspective=rng.gauss(0, 0.03),
        arc=rng.gauss(0, 0.25) if chance(rng, 0.25) else 0.0,
        wave_px=rng.uniform(1, 3.5) if chance(rng, 0.3) else 0.0,
        fray_px=rng.uniform(1, 3) if chance(rng, 0.15) else 0.0,
        ink="each" if each else "one",
        any_hue=each and chance(rng, 0.6),
        faint=chance(rng, 0.3),
        tiles=chance(rng, 0.04),
        background=rng.choice(("flat", "flat", "flat", "gradient", "noise", "blobs", "guilloche")),
        ground=rng.choice(("white", "white", "pastel", "light", "any")),
        contrast=rng.choice((14, 26, 40, 60, 90) if each else (26, 40, 60, 90)),
        grey=not each and chance(rng, 0.3),
        effect=rng.choice(("none", "none", "none", "none", "shadow", "halo")),
        lines_over=rng.choice((0, 1, 1, 2, 3)),
        lines_under=rng.choice((0, 0, 3, 6)),
        line_px=rng.uniform(0.8, 2.6),
        bold_lines=chance(rng, 0.4),
        line_ink=rng.choice(("own", "text", "text")),
        dashed=chance(rng, 0.25),
        ticks=rng.choice((0, 0, 0, 25, 60, 90)),
        tick_reach=rng.uniform(0.08, 0.3),
        tick_ink=rng.choice(("each", "each", "one", "black")),
        dots=rng.choice((0, 0, 40, 150)),
        texture=rng.choice((0, 0, 0.15, 0.3)),
        fine_texture=chance(rng, 0.5),
    )
