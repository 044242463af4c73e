import math
import sys

import pytest

from lightning_abkd.diagnostics import _points, plot_points

VALUES = {"a": [0.1, 0.2, 0.9], "b": [0.5, 0.5, math.nan], "c": [0.3, 0.3, 0.3]}


def drawn(monkeypatch, values, *options):
    figures = []
    monkeypatch.setattr(_points.Figure, "save", lambda figure, output: figures.append(figure))
    plot_points(values, "points.png", "val/accuracy", *options)
    return figures[0]


def starred(figure):
    (star,) = (line for line in figure.panels[0].axes.lines if line.get_marker() == "*")
    return figure.panels[0].axes.get_yticklabels()[int(star.get_ydata()[0])].get_text()


def test_every_seed_and_the_median_are_drawn(monkeypatch):
    lines = drawn(monkeypatch, VALUES).panels[0].axes.lines
    assert [list(line.get_xdata()) for line in lines[:2]] == [[0.1, 0.2, 0.9], [0.2]]


def test_a_star_marks_the_best_median_of_what_did_not_diverge(monkeypatch):
    assert starred(drawn(monkeypatch, VALUES)) == "c"
    assert starred(drawn(monkeypatch, VALUES, "min")) == "a"
    assert starred(drawn(monkeypatch, VALUES, "max", "b")) == "b"


def test_medians_and_divergences_are_written_beside_the_rows(monkeypatch):
    texts = [text.get_text() for text in drawn(monkeypatch, VALUES).panels[0].axes.texts]
    assert texts == ["0.200", "0.500, 1 diverged", "0.300"]


def test_only_the_best_of_many_points_are_shown_and_said(monkeypatch):
    figure = drawn(monkeypatch, {str(number): [float(number)] for number in range(50)})
    assert [label.get_text() for label in figure.panels[0].axes.get_yticklabels()] == [str(n) for n in range(10, 50)]
    assert "the best 40 of 50 points" in figure.page.get_suptitle()


def test_points_that_all_diverged_are_a_picture(tmp_path):
    assert plot_points({"a": [math.nan]}, tmp_path / "points.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_to_draw_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="`values` should have at least one point"):
        plot_points({}, tmp_path / "points.png")


def test_missing_matplotlib_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'lightning-abkd\[quickstart\]'"):
        plot_points({"a": [0.7]}, tmp_path / "points.png")
