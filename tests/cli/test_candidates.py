import re
from collections.abc import Callable

import pytest
from lightning.pytorch import Callback
from torch import Tensor, nn
from torch.optim import Optimizer

from lightning_abkd.cli._candidates import candidates
from lightning_abkd.losses import DistillationLoss
from lightning_abkd.schedules import Schedule


@pytest.mark.parametrize(
    ("hint", "names"),
    [
        (nn.Module | None, {"resnet20", "load_pretrained", "causal_lm"}),
        (DistillationLoss, {"DKD", "ReverseKL"}),
        (Schedule | float, {"Linear", "Cosine"}),
        (list[Callback] | Callback | None, {"AlphaBetaScheduler", "EarlyStopping"}),
        (Callable[[list], Optimizer], {"AdamW", "Adam"}),
    ],
)
def test_short_names_of_what_fits_are_listed(hint, names):
    assert names <= set(candidates(hint, most=50).rstrip(".").replace(",", "").split())


@pytest.mark.parametrize("hint", [int, str | None, float | Tensor, None])
def test_plain_values_have_no_names(hint):
    assert candidates(hint) == ""


def test_a_base_class_and_what_cannot_be_built_are_left_out():
    assert "DistillationLoss" not in candidates(DistillationLoss)
    assert "Schedule," not in candidates(Schedule)


def test_names_of_other_packages_are_cut():
    # Which they are depends on what is imported.
    assert re.fullmatch(r"Takes \w+, \w+, …", candidates(Callable[[list], Optimizer], most=2))
