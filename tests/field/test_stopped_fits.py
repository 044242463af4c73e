"""A language model whose fit stops anywhere: another fit is that of a fresh module with the same weights."""

import copy
import signal

import pytest
import torch
from lightning.pytorch import Callback
from torch.utils.data import DataLoader

from lightning_abkd.modules import AdaptiveOffPolicy, Sampling
from tests.language._text import language_module, network
from tests.training._training import trainer

IDS = torch.randint(2, 384, (12, 8), generator=torch.Generator().manual_seed(0))
LABELS = torch.where(torch.arange(8) < torch.arange(12).unsqueeze(1) % 6, -100, IDS)
ROWS = [{"input_ids": a, "labels": b, "attention_mask": torch.ones_like(a)} for a, b in zip(IDS, LABELS, strict=True)]


class Stop(Callback):
    """Raises an error in a hook when it is called for the second time."""

    def __init__(self, hook, error):
        self.calls = 0
        self.error = error
        setattr(self, hook, self.called)

    def called(self, *unused, **others):
        self.calls += 1
        if self.calls == 2:
            raise self.error


def module(student):
    policy = AdaptiveOffPolicy(0.6, step=0.2, tolerance=0.0, capacity=4, sampling=Sampling(max_new_tokens=3))
    return language_module(student=student, student_data=policy, optimizer=lambda p: torch.optim.SGD(p, lr=0.1))


def fit(folder, net, *callbacks):
    run = trainer(folder, max_epochs=2, callbacks=list(callbacks), num_sanity_val_steps=0, accumulate_grad_batches=2)
    run.fit(net, DataLoader(ROWS, 3), DataLoader(ROWS[:4], 2))
    return {name: value.item() for name, value in run.callback_metrics.items()}


@pytest.mark.parametrize(
    ("hook", "error"),
    [
        ("on_train_batch_start", RuntimeError("stop")),
        ("on_after_backward", KeyboardInterrupt()),
        ("on_before_optimizer_step", RuntimeError("stop")),
        ("on_train_batch_end", KeyboardInterrupt()),
        ("on_validation_batch_end", RuntimeError("stop")),
        ("on_validation_end", KeyboardInterrupt()),
    ],
)
def test_another_fit_starts_anew(tmp_path, hook, error):
    stopped = module(network(2))
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises((RuntimeError, SystemExit)):
        fit(tmp_path, stopped, Stop(hook, error))
    # Lightning leaves it ignored after an interrupt.
    signal.signal(signal.SIGINT, handler)
    fresh = module(copy.deepcopy(stopped.student))
    assert fit(tmp_path, stopped) == pytest.approx(fit(tmp_path, fresh), rel=1e-6)
    for ours, theirs in zip(stopped.student.parameters(), fresh.student.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
