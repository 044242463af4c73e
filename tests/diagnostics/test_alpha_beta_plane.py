import math
import sys

import pytest

from lightning_abkd.diagnostics import _alpha_beta_plane as plane, plot_alpha_beta_plane
from lightning_abkd.diagnostics._alpha_beta_plane import _colour_scale, _shown
from lightning_abkd.diagnostics._seeds import summarize_seeds


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.5], "0.500"),
        ([0.51234, 0.5, 0.6], "0.512\n0.500–0.600"),
        ([0.5, math.nan], "0.500\n1 diverged"),
        ([math.nan, math.nan], "diverged"),
        ([math.inf], "∞"),
    ],
)
def test_cell_shows_its_numbers_or_what_became_of_them(values, text):
    assert _shown(summarize_seeds(values)) == text


def drawn(monkeypatch, values, **options):
    figures = []
    monkeypatch.setattr(plane.Figure, "save", lambda figure, output: figures.append(figure))
    plot_alpha_beta_plane(values, "plane.png", "val/accuracy", **options)
    return figures[0]


def test_best_is_framed_and_the_two_kl_are_named(monkeypatch):
    values = {(1.0, 0.0): [0.5, 0.7], (0.0, 1.0): [0.6, 0.8], (0.0, 0.0): [0.9, 0.9]}
    axes = drawn(monkeypatch, values).panels[0].axes
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["0.600\n0.500–0.700\nforward KL", "0.700\n0.600–0.800\nreverse KL", "0.900\n0.900–0.900\nbest"]
    # A black and a white frame around α = 0, β = 0, the lowest cell on the left.
    assert [patch.get_xy() for patch in axes.patches] == [(-0.47, -0.47)] * 2


def test_title_names_the_library_and_what_was_trained(monkeypatch):
    page = drawn(monkeypatch, {(1.0, 0.0): [0.5]}, title="digits, T = 4, batch 64").page
    assert page.get_suptitle() == "lightning_abkd: digits, T = 4, batch 64"


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


def test_mode_is_one_of_two_words(tmp_path):
    with pytest.raises(ValueError, match="`mode`"):
        plot_alpha_beta_plane({(0.5, 0.5): [0.7]}, tmp_path / "plane.png", mode="best")
