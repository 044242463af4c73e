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


def test_title_says_what_was_trained_and_what_the_lines_are():
    assert (
        _curves._title("digits, T = 2", 5) == "lightning_abkd: digits, T = 2\nthick: median of 5 seeds, thin: each seed"
    )


def test_line_is_the_median_of_the_seeds_and_every_seed_is_drawn(tmp_path, monkeypatch):
    runs = {"a": [write(tmp_path / f"{seed}.csv", offset) for seed, offset in enumerate((0.0, 0.1, 0.9))]}
    *seeds, median = drawn(monkeypatch, runs, "train/loss").panels[0].axes.lines
    # Epoch 1: (2 + 1) / 2 = 1.5, 1.6 and 2.4; epoch 2: 0.5 in all.
    assert list(median.get_ydata()) == pytest.approx([1.6, 0.5])
    assert [line.get_ydata()[0] for line in seeds] == pytest.approx([1.5, 1.6, 2.4])


def test_one_seed_is_one_line(tmp_path, monkeypatch):
    figure = drawn(monkeypatch, {"a": [write(tmp_path / "1.csv")]}, "train/loss")
    assert len(figure.panels[0].axes.lines) == 1
    assert figure.page.get_suptitle() == "one seed"


def test_lines_that_hide_each_other_are_listed(tmp_path, monkeypatch):
    runs = {"a": [write(tmp_path / "1.csv")], "b": [write(tmp_path / "2.csv")], "c": [write(tmp_path / "3.csv", 0.3)]}
    axes = drawn(monkeypatch, runs, "train/loss").panels[0].axes
    assert axes.get_legend().get_title().get_text() == "same line: a, b"


def test_axes_say_what_they_count(tmp_path, monkeypatch):
    figure = drawn(monkeypatch, {"a": [write(tmp_path / "1.csv")]}, "val/accuracy", "val/other")
    assert [panel.axes.get_ylabel() for panel in figure.panels] == ["share of positions", "other"]


def test_more_methods_than_colours_are_all_drawn_and_told_apart(tmp_path, monkeypatch):
    runs = {f"method {number}": [write(tmp_path / f"{number}.csv")] for number in range(9)}
    figure = drawn(monkeypatch, runs, "train/loss")
    # In grey too: the colour is not looked at.
    looks = {(line.get_marker(), line.get_linestyle()) for line in figure.panels[0].axes.lines}
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
