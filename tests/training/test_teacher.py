import logging

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_abkd.models import resnet8
from lightning_abkd.training._teacher import Teacher
from tests.language._text import language_module
from tests.training._training import loader, module, network, trainer


class Watch(Callback):
    """Looks at the teacher after every hook of a fit."""

    def __getattribute__(self, name):
        if name.startswith("on_") and "checkpoint" not in name and name != "on_exception":
            return self._look
        return super().__getattribute__(name)

    def _look(self, trainer, pl_module, *args, **kwargs):
        assert not any(child.training for child in pl_module.teacher.modules())
        assert not any(p.requires_grad or p.grad is not None for p in pl_module.teacher.parameters())


def test_stays_frozen_and_in_eval_mode_in_every_hook(tmp_path):
    model = module()
    model.unfreeze()
    model.train()
    trainer(tmp_path, callbacks=[Watch()]).fit(model, loader(), loader())


def test_returns_to_eval_mode_whatever_part_left_it():
    teacher, inputs = Teacher(network()), torch.randn(8, 5)
    expected = teacher(inputs)
    for part in (teacher.network, teacher.network[1]):
        part.train()
        torch.testing.assert_close(teacher(inputs), expected)


@pytest.mark.parametrize("make", [module, language_module])
def test_runs_before_the_student_keeps_its_activations(make):
    net, ran = make(), []
    for name, part in (("teacher", net.teacher), ("student", net.student)):
        part.register_forward_hook(lambda *_, name=name: ran.append(name))
    vision = isinstance(net.teacher, torch.nn.Sequential)
    ids = torch.arange(8).reshape(2, 4)
    net.signals(next(iter(loader())) if vision else {"input_ids": ids, "labels": ids})
    assert ran == ["teacher", "student"]


def test_a_compiled_teacher_runs_compiled():
    # torch 2.9 and older compile no network of torch's own modules alone.
    net, ran = resnet8(3), []
    net.compile(backend=lambda graph, inputs: ran.append(1) or graph.forward)
    Teacher(net)(torch.randn(2, 3, 8, 8))
    assert ran == [1]


def test_is_absent_from_parameters_state_and_hyperparameters():
    model = module()
    assert not any("teacher" in name for name, _ in (*model.named_parameters(), *model.named_buffers()))
    assert not any("teacher" in name for name, _ in model.named_modules())
    assert not any("teacher" in name for name in model.state_dict())
    assert "teacher" not in model.hparams


def test_is_absent_from_optimizer_and_checkpoint_bytes(tmp_path):
    teacher = network(1)
    marker = torch.arange(8, dtype=torch.float32) + 0.123456
    with torch.no_grad():
        teacher[0].bias.copy_(marker)
    model = module(teacher=teacher)
    checkpoint = ModelCheckpoint(tmp_path, save_last=True)
    run = trainer(tmp_path, callbacks=[checkpoint], enable_checkpointing=True)
    run.fit(model, loader())
    optimized = {id(p) for group in run.optimizers[0].param_groups for p in group["params"]}
    assert not optimized & {id(p) for p in teacher.parameters()}
    content = (tmp_path / "last.ckpt").read_bytes()
    assert marker.numpy().tobytes() not in content
    assert model.student[0].bias.detach().numpy().tobytes() in content


def test_keeps_its_dtype_when_the_module_is_cast():
    model = module(teacher_dtype="bfloat16").double()
    assert model.teacher[0].weight.dtype == torch.bfloat16
    assert model.student[0].weight.dtype == torch.float64


def test_moves_with_the_module():
    assert module().to("meta").teacher[0].weight.device.type == "meta"


def test_own_precision_holds_under_autocast():
    teacher = Teacher(network(), "float32")
    with torch.autocast("cpu", torch.bfloat16):
        assert teacher(torch.zeros(2, 5)).dtype == torch.float32


def test_freezing_is_said_once(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("lightning"), "propagate", True)
    messages = []
    monkeypatch.setattr("lightning_abkd.training._teacher.rank_zero_info", messages.append)
    net = network()
    Teacher(net)
    Teacher(net)
    assert messages == ["Froze the teacher Sequential: 6 trainable parameter tensors."]


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
def test_integer_inputs_are_left_alone(dtype):
    teacher = Teacher(torch.nn.Embedding(3, 2), dtype)
    assert teacher(torch.tensor([0, 2])).shape == (2, 2)
