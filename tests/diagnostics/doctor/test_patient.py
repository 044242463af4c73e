from collections import namedtuple

import torch

from lightning_abkd.diagnostics.doctor._patient import counted_rows, first_rows, rows_that_fit, size_of
from tests.diagnostics.doctor._patients import module, patient, texts


def test_rows_of_every_form_are_cut():
    x, y = torch.zeros(4, 2), torch.arange(4)
    pair = namedtuple("pair", ["image", "label"])
    assert [size_of(first_rows(batch, 2)) for batch in (x, (x, y), [[x, x], y], {"x": x}, pair(x, y))] == [2] * 5
    assert first_rows({"x": x, "scale": torch.ones(1), "name": "a"}, 2)["scale"].shape == (1,)


def test_few_rows_of_long_texts_are_examined():
    long = {"input_ids": torch.zeros(8, 1024, dtype=torch.int64)}
    assert rows_that_fit(long) == 1
    assert rows_that_fit((torch.zeros(8, 3), torch.zeros(8))) == 8


def test_positions_found_on_the_host_are_not_those_of_fewer_rows():
    assert "counted" not in first_rows(texts() | {"counted": torch.arange(3)}, 1)


def test_counted_rows_are_those_of_the_mask():
    signals = {"student_logits": torch.zeros(2, 3, 5), "mask": torch.tensor([[True, False, True], [False] * 3])}
    assert counted_rows(signals, "student_logits").shape == (2, 5)
    assert counted_rows({"student_logits": torch.zeros(2, 3, 5)}, "student_logits").shape == (6, 5)


def test_an_examination_leaves_the_modes():
    model = module()
    model.student.train()
    assert patient(model).signals["student_logits"].shape == (96, 3)
    assert model.student.training
