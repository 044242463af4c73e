import math
import sys

import pytest

from lightning_abkd.diagnostics import plot_alpha_beta_plane
from lightning_abkd.diagnostics._alpha_beta_plane import mean_and_deviation


def test_mean_is_over_what_did_not_diverge():
    # (1 + 3) / 2 = 2, and the deviation of 1 and 3 is √2.
    assert mean_and_deviation([1.0, math.nan, 3.0]) == pytest.approx((2.0, math.sqrt(2.0)))
    assert mean_and_deviation([1.0]) == (1.0, 0.0)
    assert math.isnan(mean_and_deviation([math.nan])[0])


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
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'lightning-abkd\[quickstart\]'"):
        plot_alpha_beta_plane({(0.5, 0.5): [0.7]}, tmp_path / "plane.png")
