"""What of Lightning is private or not annotated; beside this file, `_lightning_loops` and `_lightning_signals` know it.

Lightning 2.6: `core.mixins.hparams_mixin._given_hyperparameters`, `LightningModule._on_before_batch_transfer`,
`LightningModule._trainer`, `WeightAveraging._average_model` and `_latest_update_step`, `Trainer.callbacks`,
`Trainer.ckpt_path`, `Trainer.log_every_n_steps`, `Trainer._accelerator_connector`, `Trainer._checkpoint_connector`,
`Strategy._checkpoint_io`, `ModelParallelStrategy._data_parallel_size`, `_tensor_parallel_size` and
`_save_distributed_checkpoint`, `tuner.lr_finder._LRCallback`, `utilities.model_helpers._restricted_classmethod`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import IO, Self

from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.core.mixins.hparams_mixin import _given_hyperparameters
from lightning.pytorch.plugins.io import AsyncCheckpointIO
from lightning.pytorch.strategies import ModelParallelStrategy
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.tuner.lr_finder import _LRCallback
from lightning.pytorch.utilities.model_helpers import _restricted_classmethod

from lightning_abkd.training._calls import other_calls_refused
from lightning_abkd.training._checkpoint_io import AtomicCheckpointIO
from lightning_abkd.training._sharded_files import read_on_ranks, write_sharded

State = dict[str, object]

CheckpointPath = str | Path | IO[bytes]
# A class method that refuses to be called on an object, whose weights would stay as they are.
restricted_classmethod = _restricted_classmethod


def is_built_from_config() -> bool:
    """Return True while a command line or a checkpoint builds a module, whose arguments are then known as text."""
    return _given_hyperparameters.get() is not None


def trainer_of(module: LightningModule) -> Trainer | None:
    """Return the trainer that a module is attached to, or None; `module.trainer` raises an error without one."""
    return module._trainer


def datamodule_of(module: LightningModule) -> object:
    """Return the data module of a module's trainer, or None if there is no data module or no trainer."""
    return getattr(trainer_of(module), "datamodule", None)


def checkpoint_of(module: LightningModule) -> str | None:
    """Return the checkpoint that a module's trainer was given, or None if there is none or no trainer."""
    path = getattr(trainer_of(module), "ckpt_path", None)
    return None if path is None else str(path)


def resumes_fit(module: LightningModule) -> bool:
    """Return True if a module's trainer goes on with a fit from a checkpoint."""
    trainer = trainer_of(module)
    return trainer is not None and trainer.state.fn == TrainerFn.FITTING and trainer.ckpt_path is not None


def callbacks_of(trainer: Trainer) -> list[Callback]:
    """Return the callbacks of a trainer."""
    callbacks: list[Callback] = getattr(trainer, "callbacks")  # noqa: B009
    return callbacks


def write_checkpoints_whole(trainer: Trainer) -> None:
    """Let a trainer write checkpoints whole or not at all, unless it has a plugin of the user's that writes them."""
    strategy = trainer.strategy
    if isinstance(strategy, ModelParallelStrategy):
        _read_and_write_on_ranks(strategy)
    given = strategy._checkpoint_io
    if given is None and type(strategy.checkpoint_io) is not TorchCheckpointIO:
        # The strategy has a way of its own.
        return
    if given is None or type(given) is TorchCheckpointIO:
        strategy.checkpoint_io = AtomicCheckpointIO()
    elif isinstance(given, AsyncCheckpointIO) and given.checkpoint_io is None:
        given.checkpoint_io = AtomicCheckpointIO()


def _read_and_write_on_ranks(strategy: ModelParallelStrategy) -> None:
    """Let a strategy write folders of shards whole and read what others wrote, for which it uses no plugin."""
    if "save_checkpoint" in vars(strategy):
        return
    save = strategy.save_checkpoint
    load = strategy.load_checkpoint

    def save_whole(checkpoint: State, filepath: str | Path, storage_options: object | None = None) -> None:
        path = Path(strategy.broadcast(filepath))
        if storage_options is not None:
            save(checkpoint, path, storage_options)
        elif strategy._save_distributed_checkpoint:
            write_sharded(strategy, save, checkpoint, path)
        elif strategy.is_global_zero:
            strategy.checkpoint_io.save_checkpoint(checkpoint, path)

    def load_any(checkpoint_path: str | Path, weights_only: bool | None = None) -> State:
        return read_on_ranks(strategy, load, Path(strategy.broadcast(checkpoint_path)), weights_only)

    vars(strategy).update(save_checkpoint=save_whole, load_checkpoint=load_any)


def averages_of(module: LightningModule) -> list[LightningModule]:
    """Return the averages of a module that callbacks of its trainer keep."""
    trainer = trainer_of(module)
    callbacks = [] if trainer is None else callbacks_of(trainer)
    kept = [callback._average_model for callback in callbacks if isinstance(callback, WeightAveraging)]
    averages = [average.module for average in kept if average is not None]
    return [average for average in averages if isinstance(average, LightningModule)]


def share_data_between_all(strategy: ModelParallelStrategy) -> None:
    """Give each rank batches of its own where the strategy was not told how many ranks share one batch."""
    if strategy._data_parallel_size == strategy._tensor_parallel_size == "auto":
        strategy._data_parallel_size = strategy.num_nodes * strategy.num_processes
        strategy._tensor_parallel_size = 1


def hold_averages(trainer: Trainer) -> None:
    """Let callbacks that average weights leave out the optimizer step that is being taken."""
    for callback in callbacks_of(trainer):
        if isinstance(callback, WeightAveraging):
            callback._latest_update_step = trainer.global_step + 1


def finds_learning_rate(trainer: Trainer) -> bool:
    """Return True while Lightning's finder raises the learning rate until training diverges."""
    return any(isinstance(callback, _LRCallback) for callback in callbacks_of(trainer))


def moves_with_steps(trainer: Trainer, scheduler: object) -> bool:
    """Return True if a learning-rate schedule moves after each optimizer step."""
    return any(x.scheduler is scheduler and x.interval == "step" for x in trainer.lr_scheduler_configs)


def checkpoint_content(trainer: Trainer) -> dict[str, object]:
    """Return what a checkpoint of a fit would hold, without writing it."""
    content: dict[str, object] = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
    return content


def log_interval(trainer: Trainer) -> int:
    """Return the number of training steps from one that is logged to the next; 0 if none is logged."""
    interval: int = getattr(trainer, "log_every_n_steps")  # noqa: B009
    return interval


def data_ranks(trainer: Trainer) -> tuple[int, int]:
    """Return the number of ranks that share the training data, and which one this is; one unless Lightning splits."""
    connector = trainer._accelerator_connector
    options = trainer.distributed_sampler_kwargs
    if options is None or not (connector.use_distributed_sampler and connector.is_distributed):
        return 1, 0
    return options["num_replicas"], options["rank"]


class LoadedSafely(LightningModule):
    """Mixin for modules that are built by what their checkpoints say, which may call only what a config may."""

    @restricted_classmethod
    def load_from_checkpoint(cls, checkpoint_path: CheckpointPath, *arguments: object, **options: object) -> Self:
        """Build a module from a checkpoint, as Lightning does; arguments by name replace those that were saved.

        A checkpoint of a command line describes the objects it was built from, as a config does. What is no object of
        the class that is asked for is not called, whoever wrote it there.
        """
        load: Callable[..., Self] = super().load_from_checkpoint
        with other_calls_refused():
            return load(checkpoint_path, *arguments, **options)


class HostBatches(LoadedSafely):
    """Mixin that changes batches while they are still on the host.

    Lightning runs the public hook `on_before_batch_transfer` of either the module or the data module, and warns that
    the other one is ignored. Users need that hook. This class therefore overrides the private one, which calls it.
    """

    def prepare_on_host(self, batch: object) -> object:
        """Return the batch as the steps should see it, before it is moved to the device."""
        return batch

    def begin_batch(self) -> None:
        """Do something between the loader and the callbacks; nothing unless a subclass does."""

    def _on_before_batch_transfer(self, batch: object, dataloader_idx: int = 0) -> object:
        self.begin_batch()
        transfer: Callable[[object, int], object] = super()._on_before_batch_transfer
        return self.prepare_on_host(transfer(batch, dataloader_idx))
