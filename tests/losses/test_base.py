import copy

import pytest
import torch

from lightning_abkd.losses import AlphaBetaDivergence, DistillationLoss


class Distance(DistillationLoss):
    def forward(self, student_features, teacher_features, mask=None):
        return (student_features - teacher_features).square().mean()


def test_signals_are_the_parameters_of_forward():
    assert Distance().required_signals == ("student_features", "teacher_features")
    assert Distance().accepted_signals == ("student_features", "teacher_features", "mask")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_casting_a_module_does_not_round_its_live_numbers(dtype):
    loss = AlphaBetaDivergence(alpha=0.2, beta=0.7).to(dtype)
    assert loss.alpha.dtype == torch.float32
    assert loss.alpha == torch.tensor(0.2, dtype=torch.float32)


def test_moving_a_module_moves_its_live_numbers():
    assert AlphaBetaDivergence().to("meta").alpha.device.type == "meta"


def test_live_numbers_are_saved_and_restored():
    loss = AlphaBetaDivergence(alpha=0.2, beta=0.7, temperature=4.0)
    other = AlphaBetaDivergence()
    other.load_state_dict(copy.deepcopy(loss.state_dict()))
    assert [other.alpha.item(), other.beta.item(), other.temperature.item()] == pytest.approx([0.2, 0.7, 4.0])
