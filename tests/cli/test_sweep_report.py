import pytest

from lightning_abkd.cli._sweep_command import read_command
from lightning_abkd.cli._sweep_grid import Point
from lightning_abkd.cli._sweep_report import _subject, report
from lightning_abkd.cli._sweep_results import Results


@pytest.fixture(autouse=True)
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("seed_everything: 0")


def reported(capsys, values, *arguments):
    request = read_command(["--config", "mine.yaml", "--seeds", "0,1", "--folder", "out", *arguments])
    results = Results(request)
    for point, seeds in values.items():
        for seed, value in enumerate(seeds):
            results.write(Point(point, seed), None if value is None else {"val/accuracy": value})
    report(results, request.grid, {})
    return capsys.readouterr().out.splitlines()


def test_rows_are_in_the_order_of_numbers_and_the_best_is_named(capsys):
    lines = reported(capsys, {("10",): (0.5, 0.7), ("9",): (0.6, 0.8), ("x|y",): (0.1, 0.1)}, "--over", "a=9,10,x|y")
    assert [line.split(" | ")[0] for line in lines[2:5]] == ["| 9", "| 10", "| x\\|y"]
    # √((0.1² + 0.1²) / 1) = 0.1414, and the means are 0.1 apart.
    best = "Best (highest val/accuracy): a = 9, with 0.7000 ± 0.1414. Within one standard deviation of it: 1 other."
    assert lines[5:] == [best, "In out: table.md, points.png"]


def test_a_sweep_that_diverged_everywhere_says_so(capsys):
    assert "Every training diverged." in reported(capsys, {("1",): (None, None)}, "--over", "a=1")


def test_seeds_alone_are_one_row(capsys):
    lines = reported(capsys, {(): (0.5, 0.7)})
    assert lines[2] == "| 0.6000 ± 0.1414 | 2 | 0 |"
    assert lines[3] == "Best (highest val/accuracy): all seeds, with 0.6000 ± 0.1414."


def test_the_picture_is_of_what_all_points_have_in_common(tmp_path):
    place = tmp_path / "point" / "seed_0"
    place.mkdir(parents=True)
    data = "data:\n  class_path: a.b.Digits\n  init_args:\n    batch_size: 64\n"
    (place / "config.yaml").write_text(f"model:\n  init_args:\n    temperature: 4.0\n{data}")
    assert _subject(tmp_path, ["α"]) == "Digits, T = 4, batch 64"
    assert _subject(tmp_path, ["temperature"]) == "Digits, batch 64"
    assert _subject(tmp_path / "nothing", []) == ""
