import copy

import pytest
import torch
from torch import nn

from lightning_abkd.callbacks import AlphaBetaScheduler, HyperparameterScheduler
from lightning_abkd.losses import (
    DKD,
    LSD,
    AlphaBetaDivergence,
    AlphaDivergence,
    ForwardKL,
    Hellinger,
    JensenShannon,
    ReverseKL,
    TokenwiseAlphaBeta,
    TopOneAgreement,
    WeightedSum,
)
from lightning_abkd.modules import DistillationModule
from lightning_abkd.schedules import Linear
from tests.training._training import CLASSES, INPUTS, loader, module, network, trainer


def fit(tmp_path, model, callback, **options):
    trainer(tmp_path, max_epochs=1, callbacks=[callback], **options).fit(model, loader())
    return model


def scheduled(path, start, **options):
    return HyperparameterScheduler({path: Linear(start, 0.125)}, **options)


@pytest.mark.parametrize("loss", [ForwardKL(), ReverseKL()])
@pytest.mark.parametrize("wrap", [lambda loss: loss, DKD, LSD, lambda loss: WeightedSum({"kd": loss})])
def test_a_named_point_is_refused_wherever_it_is(tmp_path, loss, wrap):
    wrapped = wrap(loss)
    inside = next(name for name, part in wrapped.named_modules() if part is loss)
    attribute = ".".join(filter(None, ("divergence", inside)))
    callback = AlphaBetaScheduler(alpha=Linear(1.0, 0.0), attribute=attribute)
    with pytest.raises(
        ValueError, match=f"{type(loss).__name__} keeps at .. AlphaBetaDivergence and TokenwiseAlphaBeta"
    ):
        fit(tmp_path, module(divergence=wrapped), callback)
    assert dict(loss.point) == {"alpha": loss.alpha.item(), "beta": loss.beta.item()}


def test_other_numbers_of_a_named_point_are_live(tmp_path):
    assert (
        fit(tmp_path, module(divergence=ReverseKL()), scheduled("divergence.temperature", 2.0)).divergence.temperature
        == 0.125
    )


@pytest.mark.parametrize("loss", [Hellinger(), JensenShannon(), AlphaDivergence(), None])
def test_losses_without_a_live_number_are_told_which_have_one(tmp_path, loss):
    model = module(divergence=loss, **({"teacher": None} if loss is None else {}))
    with pytest.raises(AttributeError, match="no attribute 'beta'.*AlphaDivergence a live α, BetaDivergence a live β"):
        fit(tmp_path, model, AlphaBetaScheduler(beta=Linear(1.0, 0.0)))


def test_a_live_number_deeper_inside_is_named(tmp_path):
    with pytest.raises(AttributeError, match="There is one at 'divergence.divergence.alpha'"):
        fit(tmp_path, module(divergence=DKD(AlphaBetaDivergence())), AlphaBetaScheduler(alpha=Linear(1.0, 0.0)))


def test_a_trained_number_cannot_be_scheduled(tmp_path):
    student = network()
    student.register_parameter("scale", nn.Parameter(torch.tensor(1.0)))
    with pytest.raises(ValueError, match="Found a parameter at 'student.scale', which the optimizer trains"):
        fit(tmp_path, module(student=student), scheduled("student.scale", 1.0))


@pytest.mark.parametrize("name", ["lr", "learning_rate"])
def test_the_learning_rate_has_schedules_of_its_own(tmp_path, name):
    with pytest.raises(ValueError, match=f"Found '{name}', which belongs to the optimizer. Take `lr_scheduler`"):
        fit(tmp_path, module(), scheduled(name, 0.5))


def test_two_schedulers_of_one_number_are_refused(tmp_path):
    model = module(divergence=AlphaBetaDivergence())
    both = [AlphaBetaScheduler(alpha=0.3), HyperparameterScheduler({"divergence.alpha": 0.5})]
    with pytest.raises(ValueError, match=r"Only one scheduler should set 'divergence.alpha'. Found"):
        trainer(tmp_path, callbacks=both).fit(model, loader())


class Scaled(nn.Module):
    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = scale
        self.layer = nn.Linear(INPUTS, CLASSES)

    def forward(self, inputs):
        return self.scale * self.layer(inputs)


OPTIONS = {
    "divergence.alpha": lambda value: {"divergence": AlphaBetaDivergence(alpha=value)},
    "divergence.temperature": lambda value: {"divergence": JensenShannon(temperature=value)},
    "divergence.weight": lambda value: {"divergence": JensenShannon(weight=value)},
    "divergence.kd_weight": lambda value: {"divergence": WeightedSum({"kd": ForwardKL()}, {"kd": value})},
    "divergence.other_beta": lambda value: {"divergence": TokenwiseAlphaBeta(TopOneAgreement(), 1.0, 0.0, 0.5, value)},
    "divergence.non_target_weight": lambda value: {"divergence": DKD(non_target_weight=value)},
    "task_weight": lambda value: {"task_weight": value},
    "distillation_weight": lambda value: {"distillation_weight": value},
    "student.scale": lambda value: {"student": Scaled(value)},
}


@pytest.mark.parametrize("path", OPTIONS)
def test_an_option_that_a_schedule_overrides_is_refused(tmp_path, path):
    message = f"Option `{path}` should leave its value to the HyperparameterScheduler. Found 0.3.*from 0.75 on"
    with pytest.raises(ValueError, match=message):
        fit(tmp_path, module(**OPTIONS[path](0.3)), scheduled(path, 0.75))


@pytest.mark.parametrize("path", OPTIONS)
@pytest.mark.parametrize("interval", ["step", "epoch"])
def test_the_first_value_of_the_schedule_may_be_the_option(tmp_path, path, interval):
    model = module(**OPTIONS[path](0.3))
    for _ in range(2):
        # A second fit starts with the last value of the first one.
        fit(tmp_path, model, scheduled(path, 0.3, interval=interval))
    fit(tmp_path, copy.deepcopy(model), scheduled(path, 0.3))


def test_numbers_that_nobody_asked_for_are_free(tmp_path):
    fit(tmp_path, module(divergence=LSD()), scheduled("divergence.divergence.temperature", 0.75))
    fit(tmp_path, module(divergence=DKD()), scheduled("divergence.divergence.temperature", 0.75))


def test_resumed_and_loaded_modules_are_judged_by_how_they_were_built(tmp_path):
    run = trainer(
        tmp_path, max_epochs=1, callbacks=[scheduled("task_weight", 0.5), AlphaBetaScheduler(Linear(0.2, 0.9))]
    )
    run.fit(module(divergence=AlphaBetaDivergence(0.2), task_weight=0.5), loader())
    run.save_checkpoint(path := tmp_path / "run.ckpt")
    parts = {"student": network(2), "teacher": network(1), "divergence": AlphaBetaDivergence()}
    loaded = DistillationModule.load_from_checkpoint(path, **parts)
    fit(tmp_path, loaded, AlphaBetaScheduler(Linear(0.4, 0.9)))
    with pytest.raises(ValueError, match="Option `task_weight`.*Found 0.5"):
        fit(tmp_path, loaded, scheduled("task_weight", 0.75))
