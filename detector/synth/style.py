"""How one picture is drawn: a :class:`Style`; `styles` draws one of a kind at random."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Style:
    """All parameters of one drawn text. Lengths are in heights of a capital unless stated otherwise."""

    # signs
    # "sans", "plain", "any", "hand" (fonts), "pen" (strokes), "folder", "dots", "drops" (dots of ink), "seven" and
    # "fourteen" (segments), "fourteen plain" and "dots plain" (numbers: nothing tells 0 and 5 from O and S)
    faces: str = "any"
    mixed_faces: bool = False  # another face for each sign
    lower: str = "never"  # "never", "word" (all signs small), "title" (all but the first), "some" (each may be)
    twins: str = ""  # digits that are drawn as the similar letter, where a digit beside them disambiguates
    weight: int = 0  # pixels that strokes gain (or lose) at the masks' size
    outline: int = 0  # stroke of hollow signs at the masks' size; 0: filled
    drop_rows: int = 7  # dots of a capital's height, with faces "drops"
    drop_width: float = 0.9  # in distances between two
    unevenness: float = 0.0  # of drops: 0 as on a display, 1 as an ink jet that needs cleaning
    bridges: float = 0.0  # width of the gaps in the level strokes of a stencil
    wobble: float = 0.0  # distortion of each sign by itself
    # setting
    gap: float | None = None  # between the ink of two signs; None: as the font has it
    tracking: float = 0.0  # added to the font's own advance
    stretch: float = 1.0  # width over the font's own
    separators: str = ""  # drawn between signs now and then, never labelled
    ending: str = ""  # drawn after the text, never labelled
    grouped: bool = False  # a wide unlabelled gap somewhere
    emblems: float = 0.0  # probability of a small picture in that gap, before the text and after it
    jitter_y: float = 0.0
    jitter_size: float = 0.0
    rotation: float = 0.0  # of each sign, degrees, at most
    overlapping: bool = False  # a negative gap may reach a third of a sign's width, not only a fifth
    leading: float = 0.3  # between two lines
    groups: int = 1  # wide gaps, if grouped
    group_gap: float = 0.0  # added to each of them
    slashed: str = ""  # signs with a stroke through them: "0", or "0O" where the neighbours tell which is which
    foreign: int = 0  # signs of another script, set as the text is, never labelled
    foreign_share: float = 0.0  # of the text's signs that are replaced by such
    # place
    cap_px: float = 1e9  # height of capitals in a picture 64 high; very large: as high as fits
    margin: float = 0.05  # shares of the picture kept free
    centred: bool = True
    angle: float = 0.0  # degrees
    shear: float = 0.0
    perspective: float = 0.0
    arc: float = 0.0
    bow: float = 0.0  # part of a circle that the line takes, -1 to 1: half a circle down or up
    wave_px: float = 0.0
    fray_px: float = 0.0  # sideways shift of rows of ink, varying along the text
    whirls: int = 0  # circles in which ink is turned and magnified, as under a lens
    # colours
    ink: str = "one"  # "one", "each" (a colour a sign)
    fill: str = "flat"  # inside of the signs: "flat", "gradient", "stripes", "mottled"
    any_hue: bool = False  # these colours may be as bright as the ground: pale yellow on white
    faint: bool = False  # strokes thinner than a pixel stay pale
    second_ink: bool = False  # ink runs into another colour, across the picture or within signs
    mixed_inks: bool = False  # where signs overlap, their colours mix; otherwise the later sign hides the earlier
    rim: float = 0.0  # free ground around each sign where it covers another one; hollow signs hide those behind them
    tiles: bool = False  # signs are cut out of filled fields, as on a counter's wheels
    # "flat", "gradient", "blobs", "noise", "guilloche", "metal", "split", or one of `grounds.TEXTURES`
    background: str = "flat"
    ground: str = "any"  # "light", "dark", "any", "white", "pastel", "backlight"
    contrast: float = 90.0  # minimum difference of brightness between ink and ground, 0-255
    grey: bool = False
    # "none", "shadow", "halo", "emboss", "glow", "extruded", "relief" (no ink), "neon", "rimmed", "lamp"
    effect: str = "none"
    process: str = "none"  # "none", "stamp", "ribbon", "thermal", "chalk", "spray", "copy", "worn"
    texture: float = 0.0  # share of ink lost in patches
    fine_texture: bool = False  # patches narrower than a stroke
    extrusion: float = 0.0  # depth of signs that stand out as solids
    speckle: float = 0.0  # share of ink that specks of ground replace; 0: none
    stray: float = 0.0  # share of the ground that specks of ink replace
    halftone: float = 0.0  # distance of the dots that ink consists of
    coarse: int = 0  # pixels of a capital's height in a font of few, enlarged; 0: not coarse
    ground_bgr: tuple[float, float, float] | None = None  # instead of a random colour of `ground`
    ink_bgr: tuple[float, float, float] | None = None  # instead of a random colour of that contrast
    # around and over the text
    frame: bool = False
    captions: tuple[str, ...] = ()  # "above", "below", "corner", "stack", "rows" (small print)
    bolts: bool = False
    lines_over: int = 0
    lines_under: int = 0
    line_px: float = 1.0
    bold_lines: bool = False  # nearly as thick as strokes, and bent
    dashed: bool = False  # each line may be
    line_ink: str = "own"  # "own" (a colour of the line), "text" (that of the text)
    strokes: int = 0  # in the ink of the text, through it
    stroke_paths: tuple[str, ...] = ("straight",)  # "straight", "bent", "curve", "sine", "arc", "oval", "short"
    stroke_weight: float = 1.0  # thickness over that of the text's strokes
    stroke_ink: str = "text"  # "text", "other"
    contour: bool = False  # only the outline of text and strokes together is drawn
    inverted: str = ""  # where ink and ground change places: "arcs", "bands", "half", "checks", "blocks", "discs"
    grid: float = 0.0  # distance of the lines of a grid; 0: none
    grid_ink: str = "pale"  # "pale", "text", "ground" (cuts the text)
    grid_over: bool = False
    ticks: int = 0
    tick_reach: float = 0.14  # share of the picture's height, each way at most
    tick_ink: str = "each"  # "each" (a colour a tick), "one", "black"
    dots: int = 0
    # displays and counters
    display: str = ""  # "lcd", "lamps", "drums", "any" (inks as in print): how lines are set and painted; "": print
    unlit: float = 0.0  # opacity of what is not lit, as a share of the ink's
    blanks: int = 0  # places before the first sign where nothing is lit
    small_signs: int = 0  # signs at the end that are smaller
    small_size: float = 0.6
    points: float = 0.0  # probability of points or colons between signs, never labelled
    units: float = 0.0  # probability of each of a unit, captions and symbols beside, never labelled
    tight: bool = False  # only the labelled signs need to lie in the picture: what is beside may be cut
    rims: float = 0.0  # probability of a rim of the window on each side
    reflections: float = 0.0  # opacity of the brightest reflection on the window
    opacity: float = 1.0  # of ink: below 1 the ground shines through
    dead: float = 0.0  # share of a dot matrix's dots that are missing
    drum_shade: float = 0.0  # share of the light lost at a drum's upper and lower end
    turned: float = 0.0  # how far drums stand from their digit, in heights of a capital at most
    # around a licence plate
    fittings: tuple[str, ...] = ()  # parts of a licence plate, see `setting.fittings`
    surroundings: bool = False  # parts of a car, and other text, outside of the frame
    # of the picture as a whole
    surface: str = "flat"  # "flat", "cloth", "film", "crumpled", "bottle", "pipe"
    medium: str = "none"  # "none", "screen", "scan", "fax"
    cut: bool = False  # cut out with little room around the text, then letterboxed
    # damage
    camera: tuple[str, ...] = ()  # effects of light, weather and motion in this order, see `painting.camera`
    shade: float = 0.0  # share of the light lost on one side of a shadow's edge
    blur: float = 0.0  # sigma, pixels
    motion: int = 0  # length, pixels
    low_px: float = 0.0  # height of capitals that the picture is downscaled to; 0: not downscaled
    noise: float = 0.0
    pepper: float = 0.0  # share of pixels that are black or white
    jpeg: int = 0  # quality; 0: none


def chance(rng: Random, share: float) -> bool:
    """Draw True with the probability ``share``."""
    return rng.random() < share
