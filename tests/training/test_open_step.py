import pytest
import torch
from lightning.pytorch.callbacks import LambdaCallback

from lightning_abkd.training._open_step import restore_step, step_state
from lightning_abkd.training._step_mean import StepMean
from tests.training._training import loader, module, trainer

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers")


def whole(trainer):
    trainer.save_checkpoint(path := trainer.default_root_dir + "/a.ckpt")
    return torch.load(path)["resumption"]


def test_within_a_step_counts_and_gradients_are_saved(tmp_path):
    seen = []
    save = LambdaCallback(on_train_batch_end=lambda trainer, *_: seen.append(whole(trainer)))
    trainer(tmp_path, max_epochs=1, accumulate_grad_batches=2, callbacks=[save]).fit(net := module(), loader(24))
    assert [state["step"] for state in seen] == [{"unit": 8.0, "count": 8.0}, {"unit": 8.0}, {"unit": 8.0}]
    assert seen[0]["gradients"].keys() == dict(net.named_parameters()).keys()
    assert "gradients" not in seen[1]


def test_a_mean_over_other_ranks_is_scaled(tmp_path):
    net = module()
    run = trainer(tmp_path, max_steps=1)
    run.fit(net, loader())
    state = {"step": {"unit": 8.0, "count": 16.0}, "world_size": 2}
    ones = {name: torch.ones_like(value) for name, value in net.named_parameters()}
    restore_step(state | {"gradients": ones}, net, run, step := StepMean())
    assert step.is_open
    assert {parameter.grad.mean().item() for parameter in net.parameters()} == {2.0}


def test_between_steps_there_are_no_gradients(tmp_path):
    net = module()
    run = trainer(tmp_path, max_steps=1)
    run.fit(net, loader())
    assert step_state(net, run, StepMean()) == {"step": {}, "world_size": 1}
