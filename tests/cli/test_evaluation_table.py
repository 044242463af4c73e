import pytest

from lightning_abkd.cli._evaluation_table import line, table
from tests.cli._commands import run
from tests.cli._terminal import WIDTH, seen, trained

pytestmark = pytest.mark.float32


def test_student_and_teacher_stand_beside_each_other():
    measured = {"accuracy": 0.9123, "teacher_accuracy": 0.95, "student_entropy": 1.0, "teacher_entropy": 0.5, "loss": 2}
    assert table("Epoch 1/2", measured) == [
        "Epoch 1/2     student    teacher",
        "  accuracy      0.912      0.950",
        "  entropy        1.00      0.500",
        "  loss           2.00",
    ]


def test_sets_of_several_loaders_keep_their_names():
    rows = table("Epoch 1", {"dolly/accuracy": 0.5, "dolly/teacher_accuracy": 1.0, "vicuna/accuracy": 0.25})
    assert [row.split() for row in rows[1:]] == [["dolly/accuracy", "0.500", "1.00"], ["vicuna/accuracy", "0.250"]]


def test_a_line_holds_the_key_numbers():
    val = {"loss": 0.5, "accuracy": 0.9, "teacher_accuracy": 0.95, "hardness": 3.0}
    assert line("Epoch 1/2, 3 s", {"loss": 1.0, "alpha": 0.8}, val) == (
        "Epoch 1/2, 3 s: loss 1.00, α 0.800, val/loss 0.500, val/accuracy 0.900 (teacher 0.950)"
    )
    assert line("Epoch 1", {}, {}) == "Epoch 1"


def test_a_terminal_has_a_table_after_each_validation(monkeypatch, capsys):
    lines = seen(monkeypatch, capsys, lambda: run("fit", *trained()))
    heads = [row for row in lines if "validation" in row]
    assert [head.split(",")[0] for head in heads] == ["Epoch 1/2", "Epoch 2/2"]
    rows = [row for row in lines if row.startswith("  ")]
    assert {"accuracy", "agreement", "loss"} <= {row.split()[0] for row in rows}
    assert max(map(len, [*heads, *rows])) < WIDTH


def test_a_file_has_one_line_per_epoch_and_no_control_characters(capsys):
    run("fit", *trained())
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\r" not in out
    epochs = [row for row in out.splitlines() if row.startswith("Epoch")]
    assert [row.split(",")[0] for row in epochs] == ["Epoch 1/2", "Epoch 2/2"]
    assert "val/accuracy" in epochs[0]


def test_validations_within_an_epoch_have_lines_of_their_own(capsys):
    run("fit", *trained("--trainer.val_check_interval", "2", "--trainer.max_epochs", "1"))
    epochs = [row for row in capsys.readouterr().out.splitlines() if row.startswith("Epoch")]
    assert [row.split(":")[0] for row in epochs[:2]] == ["Epoch 1/1, step 2", "Epoch 1/1, step 4"]
    assert len(epochs) == 3
