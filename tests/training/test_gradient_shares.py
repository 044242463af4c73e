import re

import pytest
import torch

from lightning_abkd.losses import AlphaBetaDivergence, ForwardKL, WeightedSum
from lightning_abkd.training._gradient_shares import describe_shares, shares_of
from tests.language._text import language_module
from tests.training._training import loader, module, trainer


@pytest.fixture
def said(monkeypatch):
    messages = []
    monkeypatch.setattr("lightning_abkd.training._gradient_shares.rank_zero_info", messages.append)
    return messages


def weights(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.student.parameters()])


def expected_shares(model):
    signals = model.signals(loader().dataset[:8])
    norms = {}
    for name, (weight, value) in model.losses(signals).items():
        gradient = torch.autograd.grad(weight * value, signals["student_logits"], retain_graph=True)[0]
        norms[name] = gradient.norm().item()
    return shares_of(norms)


@pytest.mark.parametrize(
    "options",
    [
        {"divergence": ForwardKL(4.0)},
        {"divergence": WeightedSum({"kd": ForwardKL(), "hot": ForwardKL(9.0)}, {"hot": 0.1}), "task_weight": 0.01},
    ],
)
def test_shares_are_those_of_the_weighted_gradients_of_the_logits(tmp_path, said, options):
    expected = describe_shares(expected_shares(module(**options)))
    trainer(tmp_path, accumulate_grad_batches=2).fit(module(**options), loader())
    assert said == [expected]
    assert re.search(r"(divergence|hot) \d.\d %", expected)


def test_norms_are_kept_also_of_a_single_term(tmp_path):
    model = module(task_weight=0.0)
    assert dict(model.gradient_norms) == {}
    trainer(tmp_path, max_epochs=1).fit(model, loader())
    assert model.gradient_norms.keys() == {"divergence"}


def test_nothing_is_said_where_every_term_counts(tmp_path, said):
    trainer(tmp_path, max_epochs=1).fit(module(divergence=ForwardKL(4.0, scale_by_temperature=True)), loader())
    trainer(tmp_path, max_epochs=1).fit(module(teacher=None, divergence=None), loader())
    assert said == []


def test_looking_at_gradients_changes_no_step(tmp_path, monkeypatch):
    trainer(tmp_path).fit(watched := module(divergence=AlphaBetaDivergence(0.5, 0.5, 9.0)), loader())
    monkeypatch.setattr("lightning_abkd.training._gradient_shares.GradientShares._tapped", lambda s, name, x: x)
    trainer(tmp_path).fit(plain := module(divergence=AlphaBetaDivergence(0.5, 0.5, 9.0)), loader())
    assert weights(watched).equal(weights(plain))


def test_a_second_fit_looks_again(tmp_path, said):
    model = module(divergence=ForwardKL(9.0))
    for _ in range(2):
        trainer(tmp_path, max_epochs=1).fit(model, loader())
    assert len(said) == 2


def test_losses_of_hidden_states_are_looked_at_too(tmp_path, said):
    ids = torch.arange(2, 18).view(2, 8)
    rows = [{"input_ids": row, "labels": row} for row in ids]
    net = language_module(divergence=ForwardKL(), distillation_weight=0.01)
    trainer(tmp_path, max_epochs=1).fit(net, torch.utils.data.DataLoader(rows, 2))
    assert len(said) == 1
    assert "with respect to the student's hidden states: divergence 0.0 %, task_loss 100 %." in said[0]


def test_shares_sum_to_one_or_say_nothing():
    assert shares_of({"a": 3.0, "b": 1.0}) == {"a": 0.75, "b": 0.25}
    for norms in ({"a": 1.0}, {"a": 0.0, "b": 0.0}, {"a": torch.inf, "b": 1.0}, {}):
        assert shares_of(norms) == {}
    assert describe_shares({"a": 0.9, "b": 0.1}) == ""
