import math
import sys

import pytest

from lightning_abkd.diagnostics import plot_alpha_beta_plane
from lightning_abkd.diagnostics._alpha_beta_plane import Cell, _colour_scale, summarize_seeds


def test_mean_is_over_what_did_not_diverge():
    # (1 + 3) / 2 = 2, and the deviation of 1 and 3 is √2.
    assert summarize_seeds([1.0, math.nan, 3.0]) == pytest.approx((2.0, math.sqrt(2.0), 3))
    assert summarize_seeds([1.0]) == (1.0, 0.0, 1)
    assert math.isnan(summarize_seeds([math.nan]).mean)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (Cell(0.5, 0.0, 1), "0.5000"),
        (Cell(0.5, 0.1, 2), "0.5000\n± 0.10"),
        (Cell(math.nan, 0.0, 2), "diverged"),
        (Cell(math.inf, 0.0, 1), "∞"),
    ],
)
def test_cell_shows_its_numbers_or_what_became_of_them(cell, text):
    assert cell.text == text


@pytest.mark.parametrize(
    ("means", "scale"),
    [([0.5, 499.0], "linear"), ([0.5, 501.0, math.nan], "log"), ([-1.0, 1e4], "linear"), ([math.inf], "linear")],
)
def test_colours_are_logarithmic_over_three_decades_of_positive_values(means, scale):
    assert _colour_scale(means) == scale


def test_picture_is_drawn_with_holes_and_diverged_points(tmp_path):
    values = {(0.0, 1.0): [0.5, 0.6], (1.0, 0.0): [0.7, 0.8], (0.5, 0.5): [math.nan]}
    picture = plot_alpha_beta_plane(values, tmp_path / "new" / "plane.png")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_one_point_is_a_picture(tmp_path):
    assert plot_alpha_beta_plane({(0.5, 0.5): [0.7]}, tmp_path / "plane.png", "val/accuracy").is_file()


def test_nothing_to_draw_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"`values` should have at least one point \(α, β\)"):
        plot_alpha_beta_plane({}, tmp_path / "plane.png")


def test_missing_matplotlib_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'lightning-abkd\[quickstart\]'"):
        plot_alpha_beta_plane({(0.5, 0.5): [0.7]}, tmp_path / "plane.png")
