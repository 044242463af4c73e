import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.callbacks import LambdaCallback

from lightning_abkd.modules import DistillationModule
from lightning_abkd.training import _lightning as adapter
from tests.training._training import loader, module, trainer


class Data(LightningDataModule):
    def val_dataloader(self):
        return loader()


class FromArguments(LightningModule):
    def __init__(self):
        super().__init__()
        self.built_from_config = adapter.is_built_from_config()


def test_module_knows_whether_a_config_built_it():
    from lightning.pytorch.core.mixins.hparams_mixin import _given_hyperparameters_context

    assert not FromArguments().built_from_config
    with _given_hyperparameters_context({}, "instantiator"):
        assert FromArguments().built_from_config


def test_data_module_is_found_and_none_is_no_error(tmp_path):
    model = module()
    assert adapter.datamodule_of(model) is None
    trainer(tmp_path).validate(model, datamodule=(data := Data()), verbose=False)
    assert adapter.datamodule_of(model) is data


def test_a_resumed_fit_and_its_checkpoint_are_known(tmp_path):
    model, seen = module(), []
    assert adapter.checkpoint_of(model) is None
    assert not adapter.resumes_fit(model)
    trainer(tmp_path, max_epochs=1).fit(model, loader())
    model.trainer.save_checkpoint(path := tmp_path / "a.ckpt")
    callback = LambdaCallback(
        on_load_checkpoint=lambda *_: seen.append((adapter.checkpoint_of(again), adapter.resumes_fit(again)))
    )
    again = module()
    trainer(tmp_path, callbacks=[callback]).fit(again, loader(), ckpt_path=path)
    trainer(tmp_path, callbacks=[callback]).validate(again, loader(), ckpt_path=path, verbose=False)
    assert seen == [(str(path), True), (str(path), False)]
    assert callback in adapter.callbacks_of(again.trainer)


def test_log_interval_is_the_trainers(tmp_path):
    assert adapter.log_interval(trainer(tmp_path, log_every_n_steps=7)) == 7


class Doubled(DistillationModule):
    def prepare_on_host(self, batch):
        inputs, labels = batch
        return 2 * inputs, labels


class Hooked(Doubled):
    def on_before_batch_transfer(self, batch, dataloader_idx):
        inputs, labels = batch
        self.seen = inputs
        return inputs + 1, labels


def test_batches_are_prepared_after_the_users_own_hook():
    model = Hooked(student=module().student, teacher=module().teacher)
    inputs, labels = next(iter(loader()))
    prepared, _ = model._on_before_batch_transfer((inputs, labels))
    assert model.seen is inputs
    assert prepared.equal(2 * (inputs + 1))


@pytest.mark.parametrize("batch", [3, "text", None])
def test_batches_stay_as_they_are_by_default(batch):
    assert module().prepare_on_host(batch) == batch


def test_schedules_that_move_with_steps_are_known(tmp_path):
    run = trainer(tmp_path, max_epochs=1)
    net = module(lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 1), lr_interval="epoch")
    run.fit(net, loader())
    (config,) = run.lr_scheduler_configs
    assert not adapter.moves_with_steps(run, config.scheduler)
    config.interval = "step"
    assert adapter.moves_with_steps(run, config.scheduler)
    assert not adapter.moves_with_steps(run, None)
    assert not adapter.finds_learning_rate(run)


def test_content_of_a_checkpoint_is_not_written(tmp_path):
    run = trainer(tmp_path, max_epochs=1)
    run.fit(model := module(), loader())
    content = adapter.checkpoint_content(run)
    assert content["state_dict"].keys() == model.state_dict().keys()
    assert list(tmp_path.iterdir()) == []
