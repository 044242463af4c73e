import copy

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from torch import nn

from lightning_abkd.callbacks import AlphaBetaScheduler
from lightning_abkd.losses import AlphaBetaDivergence, DistillationLoss
from lightning_abkd.modules import DistillationModule
from lightning_abkd.schedules import Linear
from tests.training._training import CLASSES, dataset, loader, module, network, sgd, trainer


def weights(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


class FeatureLoss(DistillationLoss):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(CLASSES, CLASSES)

    def forward(self, student_logits, teacher_features):
        return (self.head(student_logits) - teacher_features).square().mean()


def test_fit_moves_the_student_and_only_the_student(tmp_path):
    model = module()
    student, teacher = weights(model.student).clone(), copy.deepcopy(model.teacher.state_dict())
    trainer(tmp_path).fit(model, loader(), loader(seed=1))
    assert not torch.equal(weights(model.student), student)
    assert all(torch.equal(tensor, teacher[name]) for name, tensor in model.teacher.state_dict().items())


def test_training_reduces_the_divergence_from_the_teacher(tmp_path):
    model = module(task_weight=0.0)
    run = trainer(tmp_path, max_epochs=20)
    before = run.validate(model, loader(), verbose=False)[0]
    run.fit(model, loader())
    after = run.validate(model, loader(), verbose=False)[0]
    assert after["val/divergence"] < 0.5 * before["val/divergence"]
    assert after["val/agreement"] > before["val/agreement"]


def test_metrics_are_logged_by_their_names(tmp_path):
    run = trainer(tmp_path)
    run.fit(model := module(), loader(), loader(seed=1))
    for name in ("loss", "task_loss", "divergence"):
        assert f"train/{name}" in run.callback_metrics
        assert f"val/{name}" in run.callback_metrics
    assert 0 <= run.callback_metrics["train/accuracy"] <= 1
    result = run.test(model, loader(seed=2), verbose=False)[0]
    measured = {"accuracy", "accuracy_top5", "calibration_error", "agreement", "student_entropy", "hardness"}
    measured |= {"confidence", "teacher_accuracy", "teacher_entropy"}
    assert set(result) == {f"test/{name}" for name in measured | {"loss", "task_loss", "divergence"}}


def test_loss_is_the_weighted_sum_of_its_terms(tmp_path):
    run = trainer(tmp_path)
    result = run.validate(module(task_weight=0.3, distillation_weight=2.0), loader(), verbose=False)[0]
    assert result["val/loss"] == pytest.approx(0.3 * result["val/task_loss"] + 2.0 * result["val/divergence"])


@pytest.mark.float32
def test_without_a_teacher_it_is_supervised_training(tmp_path):
    model = DistillationModule(student=network(), optimizer=sgd)
    run = trainer(tmp_path, max_epochs=20)
    run.fit(model, loader())
    assert run.test(model, loader(), verbose=False)[0]["test/accuracy"] > 0.6
    assert "train/divergence" not in run.callback_metrics


def test_predictions_are_the_students_logits(tmp_path):
    model = module()
    logits = torch.cat(trainer(tmp_path).predict(model, loader()))
    torch.testing.assert_close(logits, model.student.eval()(dataset().tensors[0]))


def test_networks_may_return_an_object_with_logits(tmp_path):
    class Wrapped(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, inputs):
            return type("Output", (), {"logits": self.inner(inputs)})()

    trainer(tmp_path, fast_dev_run=True).fit(module(student=Wrapped(network()), teacher=Wrapped(network(1))), loader())


def test_a_module_that_provides_signals_feeds_any_loss(tmp_path):
    class WithFeatures(DistillationModule):
        def signals(self, batch):
            signals = super().signals(batch)
            return signals | {"teacher_features": signals["teacher_logits"]}

    loss = FeatureLoss()
    before = weights(loss).clone()
    trainer(tmp_path).fit(WithFeatures(network(1), network(2), loss, optimizer=sgd), loader())
    assert not torch.equal(weights(loss), before)


def test_a_missing_signal_is_named_at_construction():
    with pytest.raises(ValueError, match="FeatureLoss asks for the signal `teacher_features`.*Override `signals`"):
        module(divergence=FeatureLoss())


def test_a_missing_teacher_is_named_when_training_starts(tmp_path):
    with pytest.raises(ValueError, match="asks for the signal `teacher_logits`.*Give the module a `teacher`"):
        trainer(tmp_path).fit(module(teacher=None), loader())


def test_a_student_is_evaluated_without_its_teacher(tmp_path):
    result = trainer(tmp_path).test(module(teacher=None), loader(), verbose=False)[0]
    assert "test/accuracy" in result
    assert "test/agreement" not in result


def test_a_missing_student_says_what_to_pass():
    with pytest.raises(TypeError, match="Parameter `student` should be a network. Found `student = None`"):
        DistillationModule(teacher=network())


def test_one_object_cannot_be_teacher_and_student():
    net = network()
    with pytest.raises(ValueError, match="Found one object; pass a copy"):
        DistillationModule(teacher=net, student=net)


def test_class_counts_must_agree(tmp_path):
    with pytest.raises(ValueError, match="same number of classes. Found 7 classes .* and 3"):
        trainer(tmp_path).fit(module(teacher=nn.Linear(5, 3)), loader())


def test_labels_out_of_range_are_reported(tmp_path):
    student, teacher = nn.Linear(5, 4), nn.Linear(5, 4)
    with pytest.raises(ValueError, match="Labels should lie between 0 and 3.*Found labels from [02] to 6"):
        trainer(tmp_path).fit(module(student=student, teacher=teacher), loader())


@pytest.mark.parametrize("broken", ["teacher", "student"])
def test_nan_logits_name_the_network_and_the_step(tmp_path, broken):
    net = network()
    with torch.no_grad():
        net[0].weight.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match=f"The {broken}'s logits contain NaN at step 0"):
        trainer(tmp_path).fit(module(**{broken: net}), loader())


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_half_precision_trains(tmp_path, precision):
    model = module(teacher_dtype="bfloat16" if precision == "bf16-mixed" else None)
    trainer(tmp_path, precision=precision).fit(model, loader(), loader())
    assert weights(model.student).isfinite().all()
    assert model.divergence.alpha.dtype == torch.float32
    assert model.teacher[0].weight.dtype == (torch.bfloat16 if precision == "bf16-mixed" else torch.get_default_dtype())


def test_student_may_be_compiled(tmp_path, monkeypatch):
    compiled = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: compiled.append(self))
    model = module(compile_student=True)
    trainer(tmp_path, fast_dev_run=True).fit(model, loader())
    assert compiled == [model.student]


def test_learning_rate_scheduler_steps_as_asked(tmp_path):
    def halve(optimizer):
        return torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)

    run = trainer(tmp_path, max_epochs=1, limit_train_batches=3)
    run.fit(module(lr_scheduler=halve, lr_interval="step"), loader())
    assert run.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.1 / 8)


def test_student_is_put_into_train_mode(tmp_path):
    class Modes(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            assert pl_module.student.training

    trainer(tmp_path, callbacks=[Modes()]).fit(module(student=network().eval()), loader())


def checkpointed(folder, **options):
    callback = ModelCheckpoint(folder, filename="{step}", save_last=True, every_n_train_steps=1, save_top_k=-1)
    scheduler = AlphaBetaScheduler(alpha=Linear(0.8, 0.0), beta=Linear(0.3, 1.0))
    return trainer(folder, callbacks=[callback, scheduler], enable_checkpointing=True, max_epochs=3, **options)


@pytest.mark.filterwarnings("ignore:You.re resuming from a checkpoint that ended before the epoch")
@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_a_killed_run_resumes_to_the_same_weights(tmp_path):
    whole = module()
    checkpointed(tmp_path / "whole").fit(whole, loader(), loader(seed=1))
    checkpointed(tmp_path / "cut", limit_train_batches=4).fit(cut := module(), loader(), loader(seed=1))
    resumed = module()
    checkpointed(tmp_path / "cut").fit(resumed, loader(), loader(seed=1), ckpt_path=tmp_path / "cut" / "step=4.ckpt")
    torch.testing.assert_close(weights(resumed.student), weights(whole.student), rtol=0, atol=0)
    torch.testing.assert_close(resumed.divergence.state_dict(), whole.divergence.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(resumed.student.state_dict(), cut.student.state_dict(), rtol=0, atol=0)


def test_a_module_of_python_objects_loads_with_its_student(tmp_path):
    run = checkpointed(tmp_path)
    run.fit(model := module(), loader())
    loaded = DistillationModule.load_from_checkpoint(
        tmp_path / "last.ckpt", student=network(5), divergence=AlphaBetaDivergence()
    )
    torch.testing.assert_close(loaded.state_dict(), model.state_dict())
    assert loaded.hparams.task_weight == 1.0
    with pytest.raises(TypeError, match="Pass one, also to `load_from_checkpoint`"):
        DistillationModule.load_from_checkpoint(tmp_path / "last.ckpt")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_an_exported_student_loads_without_the_library(tmp_path, suffix):
    from safetensors.torch import load_file

    model = module()
    path = model.save_student(tmp_path / "new" / f"student{suffix}")
    state = torch.load(path, weights_only=True) if suffix == ".pt" else load_file(path)
    other = network(9)
    other.load_state_dict(state)
    torch.testing.assert_close(weights(other), weights(model.student))


def test_weight_averaging_works_and_shares_the_teacher(tmp_path):
    model = module()
    trainer(tmp_path, callbacks=[average := EMAWeightAveraging(decay=0.5)]).fit(model, loader(), loader())
    assert average._average_model.module.teacher is model.teacher
