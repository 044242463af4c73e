import math

import torch

from lightning_abkd.cli._numbers import narrow, scalars


def test_narrow_numbers_have_at_most_five_columns():
    values = (0.0, 1.0, 99.99, 12345.6, 1e9, 0.05, 0.0012, 3e-7, math.inf)
    assert [narrow(value) for value in values] == [
        "0.00", "1.00", "99.99", "12346", "1e+09", "0.050", "0.001", "3e-07", "inf",
    ]  # fmt: skip


def test_scalars_are_those_of_a_stage():
    metrics = {"val/accuracy": torch.tensor(0.5), "train/loss": torch.tensor(1.0), "val/set/loss": torch.tensor(2.0)}
    assert scalars(metrics, "val") == {"accuracy": 0.5, "set/loss": 2.0}
