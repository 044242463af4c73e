"""Checkpoints of Lightning, loaded without what they were trained with, and those of something else."""

import pytest
import torch
from lightning.pytorch import LightningModule, seed_everything
from torch import nn

from lightning_abkd import losses
from lightning_abkd.cli import AbkdCLI
from lightning_abkd.models import load_weights
from lightning_abkd.modules import BaseToNewModule, DistillationModule, LanguageDistillationModule
from tests.field._networks import WRAPS, equal, gpt2, net
from tests.training._training import trainer


def saved(module, folder):
    run = trainer(folder)
    run.strategy.connect(module)
    run.save_checkpoint(folder / "run.ckpt")
    return folder / "run.ckpt"


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS.keys())
def test_a_checkpoint_of_a_wrapped_student_is_read(tmp_path, wrap):
    path = saved(DistillationModule(net(), wrap(net(1))), tmp_path)
    assert not [name for name in torch.load(path)["state_dict"] if "_orig_mod" in name or ".module." in name]
    assert equal(load_weights(net(), path), net(1))
    assert equal(DistillationModule.load_from_checkpoint(path, student=net()).student, net(1))


class Features(nn.Module):
    def __init__(self, seed=0):
        super().__init__()
        self.body = nn.Linear(4, 6)
        self.head = nn.Linear(6, 5)

    def forward_features(self, images):
        return self.body(images)

    def forward(self, images):
        return self.head(self.body(images))


LOSSES = {
    "default": lambda: None,
    "AlphaBetaDivergence": lambda: losses.AlphaBetaDivergence(0.4, 0.3, temperature=2.0),
    "ReverseKL": losses.ReverseKL,
    "TAID": lambda: losses.TAID(total_steps=10),
    "TokenwiseAlphaBeta": lambda: losses.TokenwiseAlphaBeta(losses.TopOneAgreement(), 1.0, 0.0, 0.0, 1.0),
    "CRD": lambda: losses.CRD(n_data=20, student_dim=6, teacher_dim=6, negatives=4),
    "ITRD": lambda: losses.ITRD(student_dim=6, teacher_dim=6),
    "WeightedSum": lambda: losses.WeightedSum({"kd": losses.ForwardKL(), "dkd": losses.DKD()}, {"dkd": 0.3}),
}


@pytest.mark.parametrize("kind", [DistillationModule, BaseToNewModule])
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
def test_a_checkpoint_loads_without_the_teacher_for_every_divergence(tmp_path, kind, loss):
    seed_everything(0, verbose=False)
    module = kind(Features(), Features(), loss())
    path = saved(module, tmp_path)
    for options in ({}, {"strict": True}, {"strict": False}):
        assert equal(kind.load_from_checkpoint(path, student=Features(), **options).student, module.student)
    for options in ({}, {"teacher": Features()}):
        loaded = kind.load_from_checkpoint(path, student=Features(), divergence=loss(), **options)
        assert equal(loaded, module)


def test_a_language_checkpoint_loads_without_the_teacher(tmp_path):
    path = saved(LanguageDistillationModule(gpt2(), gpt2(1), vocabulary=30), tmp_path)
    loaded = LanguageDistillationModule.load_from_checkpoint(path, student=gpt2())
    assert equal(loaded.student, gpt2(1))
    assert loaded.vocabulary == 30
    assert loaded.divergence.alpha == losses.AlphaBetaDivergence().alpha


CONFIG = """
trainer: {{max_steps: 1, accelerator: cpu, logger: false, enable_progress_bar: false, limit_val_batches: 0,
  enable_model_summary: false,
  callbacks: [{{class_path: ModelCheckpoint, init_args: {{dirpath: run, save_last: true}}}}]}}
model: {{class_path: DistillationModule, init_args: {{teacher: {net}, student: {net}{divergence}}}}}
data: {{class_path: DigitsDataModule, init_args: {{batch_size: 8}}}}
"""
NET = "{class_path: lightning_abkd.models.resnet8, init_args: {num_classes: 10, in_channels: 1}}"
SUM = "{class_path: WeightedSum, init_args: {losses: {a: {class_path: TAID, init_args: {total_steps: 9}}}}}"


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("divergence", ["", f", divergence: {SUM}"], ids=["default", "WeightedSum"])
def test_a_checkpoint_of_the_command_loads_without_any_argument(tmp_path, monkeypatch, divergence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(CONFIG.format(net=NET, divergence=divergence))
    trained = AbkdCLI(["fit", "--config", "c.yaml"]).model
    assert equal(DistillationModule.load_from_checkpoint("run/last.ckpt"), trained)


class Foreign(LightningModule):
    def __init__(self):
        super().__init__()
        self.backbone = net()


def test_a_checkpoint_of_another_module_is_one_sentence(tmp_path):
    path = saved(Foreign(), tmp_path)
    with pytest.raises(ValueError, match="run.ckpt should be of this DistillationModule.*it holds backbone") as caught:
        trainer(tmp_path).validate(DistillationModule(student=net()), [torch.ones(1)], ckpt_path=path)
    assert "\n" not in str(caught.value)
