from functools import partial

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import CSVLogger
from torch._dynamo.testing import CompileCounter

from lightning_abkd.callbacks import HyperparameterScheduler
from lightning_abkd.schedules import Linear, Piecewise
from tests.training._training import loader, plain_module, trainer


class Record(Callback):
    def __init__(self):
        self.values = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.values.append(round(pl_module.divergence.temperature.item(), 5))


def temperature(interval="step", start=8.0, end=1.0):
    return HyperparameterScheduler({"divergence.temperature": Linear(start, end)}, interval)


def test_step_schedule_reaches_both_ends(tmp_path):
    trainer(tmp_path, callbacks=[temperature(), record := Record()]).fit(plain_module(), loader())
    assert record.values == [8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]


def test_epoch_schedule_changes_once_an_epoch(tmp_path):
    trainer(tmp_path, callbacks=[temperature("epoch"), record := Record()]).fit(plain_module(), loader())
    assert record.values == [8.0] * 4 + [1.0] * 4


def test_micro_batches_of_one_step_see_one_value(tmp_path):
    run = trainer(tmp_path, callbacks=[temperature(end=5.0), record := Record()], accumulate_grad_batches=2)
    run.fit(plain_module(), loader())
    assert record.values == [8.0, 8.0, 7.0, 7.0, 6.0, 6.0, 5.0, 5.0]


def test_numbers_and_buffers_are_driven_in_place(tmp_path):
    model = plain_module()
    buffer = model.divergence.temperature
    schedules = {"task_weight": Piecewise([1.0, 0.25], [2]), "divergence.temperature": 3.0}
    trainer(tmp_path, callbacks=[HyperparameterScheduler(schedules)]).fit(model, loader())
    assert model.task_weight == 0.25
    assert model.divergence.temperature is buffer
    assert buffer == 3.0


@pytest.mark.parametrize("listed", ["before", "behind"])
@pytest.mark.parametrize("average", [WeightAveraging, partial(EMAWeightAveraging, decay=0.5)])
def test_an_average_of_the_weights_is_validated_and_saved_with_the_numbers_of_the_moment(tmp_path, average, listed):
    class Seen(Record):
        def on_validation_batch_end(self, trainer, pl_module, *rest):
            self.on_train_batch_end(trainer, pl_module, *rest[:3])

    model = plain_module()
    callbacks = [temperature(), average()] if listed == "before" else [average(), temperature()]
    run = trainer(tmp_path, callbacks=[*callbacks, seen := Seen()], num_sanity_val_steps=0)
    run.fit(model, loader(), loader(8))
    run.save_checkpoint(tmp_path / "run.ckpt")
    saved = torch.load(tmp_path / "run.ckpt")["state_dict"]
    assert seen.values == [8.0, 7.0, 6.0, 5.0, 5.0, 4.0, 3.0, 2.0, 1.0, 1.0]
    assert saved["divergence.temperature"] == model.divergence.temperature == 1.0


def test_values_are_logged(tmp_path):
    logger = CSVLogger(tmp_path, name="", version="")
    trainer(tmp_path, callbacks=[temperature()], logger=logger, log_every_n_steps=1).fit(plain_module(), loader())
    header = (tmp_path / "metrics.csv").read_text().splitlines()[0]
    assert "train/temperature" in header.split(",")


@pytest.mark.parametrize("interval", ["step", "epoch"])
@pytest.mark.filterwarnings("ignore:You.re resuming from a checkpoint that ended before the epoch")
def test_resume_in_the_middle_of_an_epoch_continues_exactly(tmp_path, interval):
    def run(folder, **options):
        checkpoint = ModelCheckpoint(folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)
        callbacks = [temperature(interval), record := Record(), checkpoint]
        return trainer(folder, callbacks=callbacks, enable_checkpointing=True, **options), record

    whole, expected = run(tmp_path / "whole")
    whole.fit(plain_module(), loader())
    resumed, record = run(tmp_path / "whole")
    resumed.fit(plain_module(), loader(), ckpt_path=tmp_path / "whole" / "step=3.ckpt")
    assert record.values == expected.values[3:]


def test_state_restores_the_values_before_the_first_step(tmp_path):
    scheduler = temperature()
    scheduler.load_state_dict({"values": {"divergence.temperature": 2.5}})
    model = plain_module()
    scheduler.on_fit_start(trainer(tmp_path), model)
    assert model.divergence.temperature == 2.5


def test_two_schedulers_keep_two_states():
    assert temperature().state_key != HyperparameterScheduler({"task_weight": 1.0}).state_key


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The .grad attribute of a Tensor")
def test_driving_a_number_recompiles_nothing(tmp_path):
    counter = CompileCounter()
    model = plain_module()
    model.divergence.compile(backend=counter, fullgraph=True)
    schedules = {f"divergence.{name}": Linear(0.9, 0.1) for name in ("alpha", "beta", "temperature")}
    trainer(tmp_path, callbacks=[HyperparameterScheduler(schedules)]).fit(model, loader())
    assert counter.frame_count == 1


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "divergence.gamma",
            r"`divergence` \(AlphaBetaDivergence\) has no attribute 'gamma'.*It has alpha, beta, .*temperature",
        ),
        ("divergence.aplha", "Did you mean 'alpha'?"),
        ("loss.alpha", "but DistillationModule has no attribute 'loss'"),
    ],
)
def test_unknown_attribute_is_named_before_training(tmp_path, path, message):
    with pytest.raises(AttributeError, match=message):
        trainer(tmp_path, callbacks=[HyperparameterScheduler({path: 1.0})]).fit(plain_module(), loader())


@pytest.mark.parametrize("path", ["divergence.reduction", "student", "divergence.scale_by_temperature"])
def test_what_is_no_number_cannot_be_driven(tmp_path, path):
    with pytest.raises(TypeError, match=f"sets numbers and 0-dim floating tensors. Found a .* at '{path}'"):
        trainer(tmp_path, callbacks=[HyperparameterScheduler({path: 1.0})]).fit(plain_module(), loader())


def test_endless_training_needs_a_length(tmp_path):
    with pytest.raises(ValueError, match="Found an endless trainer. Set trainer.max_epochs or trainer.max_steps"):
        trainer(tmp_path, max_epochs=-1, callbacks=[temperature()]).fit(plain_module(), loader())


def test_empty_schedules_and_unknown_intervals_are_errors():
    with pytest.raises(ValueError, match="should name at least one attribute"):
        HyperparameterScheduler({})
    with pytest.raises(ValueError, match="should be 'step' or 'epoch'. Found `interval = 'batch'`"):
        HyperparameterScheduler({"task_weight": 1.0}, "batch")


def test_evaluation_changes_nothing(tmp_path):
    model = plain_module()
    trainer(tmp_path, callbacks=[temperature()]).validate(model, loader(), verbose=False)
    assert model.divergence.temperature.item() == 1.0


def test_both_ends_are_known_before_they_are_reached(tmp_path):
    scheduler = HyperparameterScheduler({"task_weight": Linear(1.0, 0.0)})
    run = trainer(tmp_path, callbacks=[scheduler])
    run.fit(plain_module(), loader())
    assert scheduler.first_and_last(run) == {"task_weight": (1.0, 0.0)}
    assert HyperparameterScheduler({"task_weight": Piecewise([1.0, 2.0], [5])}).first_and_last(
        trainer(tmp_path, max_epochs=-1)
    ) == {"task_weight": (1.0, 2.0)}
