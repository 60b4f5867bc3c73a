"""The palette can be read by everybody, on light pages and on dark ones.

Colour blindness is simulated with the matrices of G. Machado, M. Oliveira and L. Fernandes, "A
Physiologically-based Model for Simulation of Color Vision Deficiency" (2009), at full severity.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from biddable.report.style import INKS, css_variables

SIGHT = {
    "full": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
LIGHT_AND_DARK = pytest.mark.parametrize("side", [0, 1], ids=["light", "dark"])


def linear(colour: str) -> np.ndarray:
    """sRGB hex to linear light."""
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(light: np.ndarray) -> np.ndarray:
    """Linear sRGB to CIE Lab under D65."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(to_xyz) @ np.clip(light, 0, 1) / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(first: str, second: str) -> float:
    """The contrast ratio of WCAG 2.1."""
    low, high = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (first, second))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@LIGHT_AND_DARK
@pytest.mark.parametrize(
    ("ink", "ground"),
    [
        ("ink", "paper"),
        ("ink", "wash"),
        ("soft", "paper"),
        ("soft", "wash"),
        ("good", "paper"),
        ("good", "good-wash"),
        ("bad", "paper"),
        ("bad", "bad-wash"),
        ("paper", "series-1"),
    ],
)
def test_text_has_the_contrast_wcag_asks_for(ink: str, ground: str, side: int) -> None:
    assert contrast(INKS[ink][side], INKS[ground][side]) >= 4.5


@LIGHT_AND_DARK
def test_bars_and_lines_stand_out_from_the_page(side: int) -> None:
    for name, colours in INKS.items():
        if name == "reference" or name.startswith("series-"):
            assert contrast(colours[side], INKS["paper"][side]) >= 2.95, name


@LIGHT_AND_DARK
@pytest.mark.parametrize("sight", SIGHT)
def test_every_series_can_be_told_from_every_other(sight: str, side: int) -> None:
    by_name = {
        name: lab(np.array(SIGHT[sight]) @ linear(colours[side]))
        for name, colours in INKS.items()
        if name == "reference" or name.startswith("series-")
    }
    assert len(by_name) == 7
    for first, second in combinations(by_name, 2):
        assert np.linalg.norm(by_name[first] - by_name[second]) > 15, (first, second)


def test_the_page_gets_every_ink_for_both_settings() -> None:
    css = css_variables()
    for name, (light, dark) in INKS.items():
        assert f"--{name}:{light};" in css.partition("@media")[0]
        assert f"--{name}:{dark};" in css.partition("@media")[2]


def test_no_two_inks_are_alike_or_a_chart_could_not_be_recoloured() -> None:
    lights = [light for light, _ in INKS.values()]
    assert len(set(lights)) == len(lights)
