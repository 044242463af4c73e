import sys

import pytest

from lightning_abkd.diagnostics import _curves, plot_curves, read_metrics

HEADER = "epoch,step,train/loss,val/accuracy\n"


def write(path, offset=0.0):
    path.write_text(HEADER + f"0,0,{2 + offset},\n0,1,{1 + offset},\n0,1,,0.5\n1,2,0.5,\n1,3,,{0.7 - offset}\n")
    return path


def test_metrics_are_means_per_epoch(tmp_path):
    assert read_metrics(write(tmp_path / "metrics.csv")) == {"train/loss": [1.5, 0.5], "val/accuracy": [0.5, 0.7]}


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="Found no file at .*nothing.csv"):
        read_metrics(tmp_path / "nothing.csv")


def test_picture_is_drawn(tmp_path):
    runs = {"a": [write(tmp_path / "1.csv"), write(tmp_path / "2.csv", 0.1)], "b": [write(tmp_path / "3.csv")]}
    picture = plot_curves(runs, tmp_path / "new" / "curves.png")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_panels_may_be_chosen_in_any_number(tmp_path):
    runs = {"a": [write(tmp_path / "1.csv")]}
    assert plot_curves(runs, tmp_path / "one.png", {"train/loss": "loss"}).is_file()


def test_no_runs_are_an_error(tmp_path):
    with pytest.raises(ValueError, match="`runs` should have at least one method. Found none"):
        plot_curves({}, tmp_path / "curves.png")


def drawn(monkeypatch, runs, *panels):
    figures = []
    monkeypatch.setattr(_curves.Figure, "save", lambda figure, output: figures.append(figure))
    plot_curves(runs, "curves.png", {panel: panel for panel in panels})
    return figures[0]


def test_line_is_the_mean_over_the_seeds_and_its_band_their_range(tmp_path, monkeypatch):
    runs = {"a": [write(tmp_path / "1.csv"), write(tmp_path / "2.csv", 0.1)]}
    axes = drawn(monkeypatch, runs, "train/loss").panels[0].axes
    # Epoch 1: ((2 + 1) / 2 + (2.1 + 1.1) / 2) / 2 = 1.55; epoch 2: 0.5 in both.
    assert list(axes.lines[0].get_ydata()) == pytest.approx([1.55, 0.5])
    assert axes.collections[0].get_paths()[0].vertices[:, 1].max() == pytest.approx(1.6)


def test_more_methods_than_colours_are_all_drawn_and_told_apart(tmp_path, monkeypatch):
    runs = {f"method {number}": [write(tmp_path / f"{number}.csv")] for number in range(9)}
    figure = drawn(monkeypatch, runs, "train/loss")
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.panels[0].axes.lines}
    assert len(looks) == 9
    assert [text.get_text() for text in figure.page.legends[0].get_texts()] == list(runs)


def test_lowest_panel_of_each_column_shows_the_epochs(tmp_path, monkeypatch):
    figure = drawn(monkeypatch, {"a": [write(tmp_path / "1.csv")]}, "train/loss", "val/accuracy", "train/alpha")
    assert [panel.axes.get_xlabel() for panel in figure.panels] == ["", "epoch", "epoch", ""]
    assert [panel.axes.get_visible() for panel in figure.panels] == [True, True, True, False]


def test_an_axis_is_logarithmic_only_where_values_are_far_apart_and_large():
    assert _curves._spans_decades([14.0, 15.0, 1e28])
    assert not _curves._spans_decades([4e-4, 0.5])
    assert not _curves._spans_decades([0.0, 1e6])
    assert not _curves._spans_decades([])


def test_missing_matplotlib_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'lightning-abkd\[quickstart\]'"):
        plot_curves({"a": [write(tmp_path / "1.csv")]}, tmp_path / "curves.png")
