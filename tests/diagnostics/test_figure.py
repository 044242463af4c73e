import sys

import pytest
from matplotlib import pyplot

from lightning_abkd.diagnostics._figure import Figure


def test_panels_are_counted_row_by_row():
    figure = Figure(2, 3, (4, 4))
    assert [panel.axes for panel in figure.panels] == list(figure.grid.flat)


def test_format_is_the_suffix_and_the_folder_is_created(tmp_path):
    figure = Figure(1, 1, (2, 2))
    assert figure.save(tmp_path / "new" / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert figure.save(str(tmp_path / "figure.pdf")).read_bytes().startswith(b"%PDF")


def test_pyplot_knows_nothing_of_the_figure(tmp_path):
    Figure(1, 1, (2, 2)).save(tmp_path / "figure.png")
    assert pyplot.get_fignums() == []


def test_missing_matplotlib_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match=r"^A picture needs matplotlib: .*\[quickstart\]"):
        Figure(1, 1, (2, 2))
