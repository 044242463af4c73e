import pytest
import torch

from lightning_abkd.diagnostics import replay_batch
from lightning_abkd.losses import AlphaBetaDivergence
from tests.training._broken import BadGradient, broken_loader
from tests.training._training import loader, module, trainer


def saved(folder, net, data, **options):
    with pytest.raises(FloatingPointError):
        trainer(folder, max_epochs=1, **options).fit(net, data)
    (path,) = folder.glob("non_finite_*.pt")
    return path


def test_a_saved_batch_gives_the_same_finding_and_leaves_the_module_as_it_was(tmp_path):
    net = module()
    path = saved(tmp_path, net, broken_loader(9))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found = replay_batch(net.eval(), path)
    assert found.finding == "The inputs contain NaN in batch 1 in 1 of 8 samples of the batch: 1."
    assert set(found.losses) == {"loss", "task_loss", "divergence"}
    torch.testing.assert_close(dict(net.state_dict()), before, rtol=0, atol=0)
    assert not net.training
    assert not net.student[1].training
    assert not torch.nn.modules.module._global_forward_hooks


def test_the_first_bad_module_is_named(tmp_path):
    teacher = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Linear(7, 7))
    teacher[1].weight.data[0] = torch.inf
    net = module(teacher=teacher)
    assert "The first bad module is the teacher's `1`" in replay_batch(net, saved(tmp_path, net, loader())).finding


def test_alpha_and_beta_are_those_of_the_step(tmp_path):
    net = module(divergence=AlphaBetaDivergence(-3.0, -2.0))
    net.student[3].weight.data.mul_(1e4)
    path = saved(tmp_path, net, loader())
    fresh = module(divergence=AlphaBetaDivergence(1.0, 0.0), student=net.student)
    assert "The loss's term `divergence` is inf" in replay_batch(fresh, path).finding
    assert fresh.divergence.alpha == 1.0


def test_a_gradient_is_found_again_and_gradients_are_left_as_they_were(tmp_path):
    net = module(student=BadGradient(torch.inf))
    path = saved(tmp_path, net, loader())
    net.zero_grad()
    found = replay_batch(net, path).finding
    assert found.startswith("The gradient of `student.layer.weight` contains")
    assert "The first bad module of the backward pass is the student (BadGradient)" in found
    assert all(parameter.grad is None for parameter in net.parameters())
    net.student.settings = (1.0, 0, 0)
    assert replay_batch(net, path).finding == ""


def test_dropout_draws_the_same_numbers(tmp_path):
    class Unlucky(torch.nn.Dropout):
        """Divides by 0 where the first number is dropped."""

        def forward(self, x):
            y = super().forward(x)
            return y / (y[0, 0] != 0)

    torch.manual_seed(3)
    net = module(student=torch.nn.Sequential(torch.nn.Linear(5, 7), Unlucky()))
    path = saved(tmp_path, net, loader(batch_size=1))
    assert all(replay_batch(net, path).finding.startswith("The student's logits contain") for _ in range(4))


def test_language_modules_replay_too(tmp_path):
    from torch.utils.data import DataLoader

    from tests.language._text import language_module, network

    ids = torch.randint(2, 384, (4, 8), generator=torch.Generator().manual_seed(0))
    net = language_module(student=network(2), teacher=network(1))
    net.student.transformer.h[0].attn.c_attn.weight.data[0] = torch.nan
    rows = [{"input_ids": row, "labels": row, "attention_mask": torch.ones_like(row)} for row in ids]
    path = saved(tmp_path, net, DataLoader(rows, 2))
    found = replay_batch(net, path).finding
    assert "The first bad module is the student's `transformer.h.0.attn.c_attn` (Conv1D)" in found
