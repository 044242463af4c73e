import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, WeightAveraging
from lightning.pytorch.plugins import MixedPrecision
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.tuner import Tuner
from torch import nn

from lightning_abkd.callbacks import AlphaBetaScheduler, NonFiniteGuard
from lightning_abkd.modules import WarmupCosineLR
from lightning_abkd.schedules import Piecewise
from lightning_abkd.training._non_finite_guard import guard_of, skipped_steps
from tests.training._broken import BadGradient, broken_loader, without
from tests.training._training import CLASSES, INPUTS, loader, module, plain_module, trainer

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*This optimizer step is skipped"),
    pytest.mark.filterwarnings("ignore:The .* is smaller than the logging interval"),
]


def adam(parameters):
    return torch.optim.AdamW(parameters, lr=0.01)


def fit(folder, net, data, *callbacks, **options):
    run = trainer(folder, callbacks=list(callbacks), max_epochs=1, **options)
    run.fit(net, data)
    return run


def states_of(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def assert_same(first, second):
    for name, value in states_of(first).items():
        torch.testing.assert_close(value, states_of(second)[name], rtol=0, atol=0, msg=name)


def networks(factory):
    return [factory(), factory()]


def test_a_skipped_step_leaves_weights_buffers_and_the_optimizer_as_they_were(tmp_path):
    skipping, fresh = networks(lambda: module(optimizer=adam))
    guard = NonFiniteGuard("skip")
    run = fit(tmp_path, skipping, broken_loader(9), guard)
    other = fit(tmp_path, fresh, without(1))
    assert_same(skipping, fresh)
    assert str(run.optimizers[0].state_dict()) == str(other.optimizers[0].state_dict())
    assert (guard.skipped, run.global_step, run.callback_metrics["train/skipped_steps"]) == ([1], 4, 1.0)


def test_schedules_count_the_steps_that_are_taken(tmp_path):
    def schedule(optimizer):
        return WarmupCosineLR(optimizer, warmup_steps=2, total_steps=4)

    skipping, fresh = networks(lambda: plain_module(lr_scheduler=schedule))
    for net, data in ((skipping, broken_loader(9)), (fresh, without(1))):
        moved = AlphaBetaScheduler(alpha=Piecewise([1.0, 0.5, 0.2], [1, 2]))
        fit(tmp_path, net, data, NonFiniteGuard("skip"), moved)
    assert skipping.divergence.alpha == pytest.approx(0.2)
    assert_same(skipping, fresh)


@pytest.mark.parametrize("averaging", [WeightAveraging, lambda: EMAWeightAveraging(decay=0.5)])
def test_averages_of_weights_leave_a_skipped_step_out(tmp_path, averaging):
    skipping, fresh = networks(module)
    fit(tmp_path, skipping, broken_loader(9), averaging(), NonFiniteGuard("skip"))
    fit(tmp_path, fresh, without(1), averaging())
    assert_same(skipping, fresh)


@pytest.mark.parametrize("sample", [0, 9])
def test_one_bad_micro_batch_skips_the_whole_step(tmp_path, sample):
    skipping, fresh = networks(module)
    guard = NonFiniteGuard("skip")
    fit(tmp_path, skipping, broken_loader(sample), guard, accumulate_grad_batches=2)
    fit(tmp_path, fresh, without(0, 1), accumulate_grad_batches=2)
    assert_same(skipping, fresh)
    assert guard.skipped == [0]


@pytest.mark.parametrize("clip", [None, 0.5])
@pytest.mark.parametrize("factor", [torch.nan, torch.inf, 1e30])
def test_a_bad_gradient_is_skipped_before_it_is_clipped(tmp_path, clip, factor):
    student = BadGradient(factor, 1, 1)
    guard = NonFiniteGuard("skip")
    net = module(student=student)
    fit(tmp_path, net, loader(), guard, gradient_clip_val=clip)
    assert guard.skipped == [1]
    assert all(value.isfinite().all() for value in net.state_dict().values())


def test_gradients_that_are_bad_stop_by_default_with_the_parameter(tmp_path):
    expected = "The gradient of `student.layer.weight` contains NaN at step 2 .epoch 0, batch 2. although the loss is"
    net = module(student=BadGradient(torch.nan, 2))
    with pytest.raises(FloatingPointError, match=expected):
        fit(tmp_path, net, loader())
    assert all(value.isfinite().all() for value in net.state_dict().values())


@pytest.mark.parametrize("guards", [[], [NonFiniteGuard()]])
def test_a_student_that_stops_is_what_it_was_before_the_step(tmp_path, guards):
    stopped, fresh = networks(module)
    with pytest.raises(FloatingPointError, match="at step 1"):
        fit(tmp_path, stopped, broken_loader(9), *guards)
    fit(tmp_path, fresh, loader(), limit_train_batches=1)
    assert_same(stopped, fresh)


def test_more_skipped_steps_in_a_row_than_allowed_are_an_error(tmp_path):
    guard = NonFiniteGuard("skip", most_in_a_row=2)
    with pytest.raises(FloatingPointError, match="Found 2 skipped steps, 2 of them just before this one"):
        fit(tmp_path, module(student=BadGradient(torch.nan, 1)), loader(), guard)
    assert guard.skipped == [1, 2]


def test_more_skipped_steps_than_allowed_are_an_error(tmp_path):
    guard = NonFiniteGuard("skip", most_skipped=1)
    with pytest.raises(FloatingPointError, match="Found 1 skipped steps, 0 of them just before"):
        fit(tmp_path, module(), broken_loader(0, 17), guard)


def test_skipped_steps_are_said_at_once_and_at_the_end(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("lightning_abkd.training._non_finite_guard.rank_zero_info", said.append)
    guard = NonFiniteGuard("skip")
    with pytest.warns(UserWarning, match=r"The inputs contain NaN at step 1.*This optimizer step is skipped, number 1"):
        fit(tmp_path, module(), broken_loader(9), guard)
    assert said == ["Skipped 1 of 4 optimizer steps, whose numbers were not finite: 1."]


def test_the_count_goes_on_after_a_resume_and_starts_afresh_in_another_fit(tmp_path):
    guard = NonFiniteGuard("skip")
    run = fit(tmp_path, module(), broken_loader(9), guard)
    run.save_checkpoint(tmp_path / "a.ckpt")
    again = NonFiniteGuard("skip")
    other = trainer(tmp_path, callbacks=[again], max_epochs=2)
    other.fit(module(), broken_loader(17), ckpt_path=tmp_path / "a.ckpt")
    assert (again.skipped, skipped_steps(other)) == ([1, 6], 2)
    assert fit(tmp_path, module(), loader(), again).callbacks.index(again) == 0
    assert (again.skipped, again.state_dict()) == ([], {})


def test_a_learning_rate_finder_may_go_until_training_diverges(tmp_path):
    class Diverging(nn.Linear):
        def forward(self, x):
            return super().forward(x) / (0.0 if self.weight.abs().max() > 10.0 else 1.0)

    net = module(student=Diverging(INPUTS, CLASSES), teacher=None, divergence=None, lr_monitor="val/loss")
    run = trainer(tmp_path, max_epochs=1)
    options = {"num_training": 12, "min_lr": 1e-3, "max_lr": 1e6, "early_stop_threshold": None}
    assert Tuner(run).lr_find(net, loader(batch_size=4), **options) is not None


def test_a_scaler_keeps_its_own_business(tmp_path):
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    plugin = MixedPrecision("16-mixed", "cpu", scaler)
    net = module(student=BadGradient(torch.inf, 1, 1))
    guard = NonFiniteGuard("stop")
    fit(tmp_path, net, loader(), guard, plugins=[plugin])
    # The scaler has skipped the step and halved its scale; the guard has not seen it.
    assert (guard.skipped, scaler.get_scale()) == ([], 2.0**9)


def test_a_scaler_that_finds_no_scale_is_an_error(tmp_path):
    plugin = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=2.0**-12))
    with pytest.raises(FloatingPointError, match="should find a scale .* Found it at 6.1e-05 at step 2.*bf16-mixed"):
        fit(tmp_path, module(student=BadGradient(torch.inf)), loader(), plugins=[plugin])


def test_steps_that_a_strategy_takes_itself_cannot_be_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr(SingleDeviceStrategy, "handles_gradient_accumulation", True)
    with pytest.raises(ValueError, match="Parameter `policy` should be 'stop' where .* with SingleDeviceStrategy"):
        fit(tmp_path, module(), loader(), NonFiniteGuard("skip"))


@pytest.mark.parametrize("fused", [False, True])
def test_a_bad_loss_is_skipped_with_a_scaler_too(tmp_path, fused):
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    net = module(optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=0.01, fused=fused))
    guard = NonFiniteGuard("skip")
    fit(tmp_path, net, broken_loader(9), guard, plugins=[MixedPrecision("16-mixed", "cpu", scaler)])
    assert guard.skipped == [1]
    assert all(value.isfinite().all() for value in net.state_dict().values())


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_every_precision_is_guarded(tmp_path, precision):
    guard = NonFiniteGuard("skip")
    fit(tmp_path, module(), broken_loader(9), guard, precision=precision)
    assert guard.skipped == [1]


def test_detection_names_the_module_and_ends_with_the_run(tmp_path):
    net = nn.Sequential(nn.Linear(INPUTS, 4), nn.Linear(4, CLASSES))
    net[1].weight.data[0, 0] = torch.inf
    with pytest.raises(
        FloatingPointError, match=r"The first bad module is the teacher's `1` \(Linear\), whose `weight`"
    ):
        fit(tmp_path, module(teacher=net), loader(), NonFiniteGuard(detect=True))
    assert not torch.nn.modules.module._global_forward_hooks
    fit(tmp_path, module(), loader(), NonFiniteGuard(detect=True))
    assert not torch.nn.modules.module._global_forward_hooks


def test_options_out_of_range_are_errors():
    for options, name in (({"policy": "warn"}, "policy"), ({"most_skipped": 0}, "most_skipped")):
        with pytest.raises(ValueError, match=f"Parameter `{name}`"):
            NonFiniteGuard(**options)
    with pytest.raises(ValueError, match="Parameter `most_in_a_row`"):
        NonFiniteGuard(most_in_a_row=0)


def test_the_guard_of_a_trainer_is_found(tmp_path):
    guard = NonFiniteGuard()
    assert guard_of(trainer(tmp_path, callbacks=[guard])) is guard
    assert (guard_of(trainer(tmp_path)), skipped_steps(trainer(tmp_path))) == (None, 0)


def test_batches_that_are_not_looked_at_are_said_by_the_next_that_is(tmp_path, monkeypatch):
    monkeypatch.setattr("lightning_abkd.training._checks.is_watched", lambda device, batch_idx: batch_idx == 3)
    with pytest.raises(FloatingPointError, match="at step 3 .*The first loss that is not finite is that of step 1"):
        fit(tmp_path, module(), broken_loader(9))


def test_a_right_run_says_nothing(tmp_path):
    run = fit(tmp_path, module(), loader(), NonFiniteGuard("skip"))
    assert "train/skipped_steps" not in run.callback_metrics
    assert list(tmp_path.iterdir()) == []
