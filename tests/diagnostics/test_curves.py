import sys
from types import SimpleNamespace

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


def test_an_axis_is_logarithmic_only_where_values_are_far_apart_and_large():
    def line(*values):
        return SimpleNamespace(get_ydata=lambda: values)

    assert _curves._spans_decades([line(14.0, 15.0), line(1e28)])
    assert not _curves._spans_decades([line(4e-4, 0.5)])
    assert not _curves._spans_decades([line(0.0, 1e6)])
    assert not _curves._spans_decades([])


def test_missing_matplotlib_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'lightning-abkd\[quickstart\]'"):
        plot_curves({"a": [write(tmp_path / "1.csv")]}, tmp_path / "curves.png")
