import torch

from lightning_abkd.training._stage_losses import StageLosses


def term(value, weight=1.0):
    return weight, torch.tensor(value)


def test_means_are_over_counted_positions():
    losses = StageLosses()
    losses.update("val", {"task_loss": term(2.0), "divergence": term(4.0, 0.5)}, {"task_loss": 1, "divergence": 3})
    losses.update("val", {"task_loss": term(8.0), "divergence": term(0.0, 0.5)}, {"task_loss": 2, "divergence": 1})
    values = losses.compute("val")
    # (2 + 16) / 3, (12 + 0) / 4, and 6 + 0.5 * 3
    assert {name: value.item() for name, value in values.items()} == {"loss": 7.5, "task_loss": 6.0, "divergence": 3.0}
    assert losses.compute("val") == {}


def test_a_batch_without_positions_does_not_count_even_if_it_is_nan():
    losses = StageLosses()
    for value, count in ((torch.nan, torch.tensor(0)), (3.0, torch.tensor(2)), (torch.nan, 0)):
        losses.update("val", {"task_loss": term(value)}, {"task_loss": count})
    assert losses.compute("val")["loss"] == 3.0


def test_terms_without_positions_and_sums_without_weight_are_left_out():
    losses = StageLosses()
    losses.update("val", {"task_loss": term(2.0, 0), "divergence": term(4.0)}, {"task_loss": 1, "divergence": 0})
    assert list(losses.compute("val")) == ["task_loss"]


def test_the_loss_is_nan_where_no_position_counts_in_any_term():
    losses = StageLosses()
    losses.update("val", {"task_loss": term(0.0), "divergence": term(torch.nan)}, {"task_loss": 0, "divergence": 0})
    values = losses.compute("val")
    assert (list(values), values["loss"].isnan().item()) == (["loss"], True)


def test_a_weight_may_be_a_tensor():
    losses = StageLosses()
    losses.update("val", {"kd": term(2.0, torch.tensor(0.25))}, {"kd": 1})
    assert losses.compute("val")["loss"] == 0.5
