"""The only file that touches names which Lightning keeps private or does not annotate.

Lightning 2.6: `core.mixins.hparams_mixin._given_hyperparameters`, `LightningModule._on_before_batch_transfer`,
`LightningModule._trainer`, `WeightAveraging._average_model`, `Trainer.callbacks`, `Trainer.ckpt_path`,
<<<<<<< HEAD
`Trainer.log_every_n_steps`, `Trainer._accelerator_connector`, `Trainer._val_check_time_interval`,
`fit_loop.epoch_loop.restarting`, `fit_loop._data_fetcher`, `fit_loop.epoch_loop._should_check_val_fx`, the state of the
loops in checkpoints, `Strategy._checkpoint_io`, `ModelParallelStrategy._data_parallel_size`,
`ModelParallelStrategy._tensor_parallel_size`,
`ModelParallelStrategy._save_distributed_checkpoint`.
=======
`Trainer.log_every_n_steps`, `Trainer._accelerator_connector`, `Trainer._evaluation_loop`,
`_EvaluationLoop._combined_loader`, `fit_loop.epoch_loop.restarting`, `ModelParallelStrategy._data_parallel_size`,
`ModelParallelStrategy._tensor_parallel_size`.
>>>>>>> strategies
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.core.mixins.hparams_mixin import _given_hyperparameters
from lightning.pytorch.plugins.io import AsyncCheckpointIO
from lightning.pytorch.strategies import ModelParallelStrategy
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.combined_loader import CombinedLoader

from lightning_abkd.training._checkpoint_io import AtomicCheckpointIO
from lightning_abkd.training._sharded_files import read_on_ranks, write_sharded

State = dict[str, object]


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


def evaluation_loader(trainer: Trainer, number: int) -> object:
    """Return the loader of a set that is validated or tested, as Lightning has prepared it; None without one."""
    combined = getattr(trainer._evaluation_loop, "_combined_loader", None)
    return None if combined is None else combined.flattened[number]


def share_data_between_all(strategy: ModelParallelStrategy) -> None:
    """Give each rank batches of its own where the strategy was not told how many ranks share one batch."""
    if strategy._data_parallel_size == strategy._tensor_parallel_size == "auto":
        strategy._data_parallel_size = strategy.num_nodes * strategy.num_processes
        strategy._tensor_parallel_size = 1


def log_interval(trainer: Trainer) -> int:
    """Return the number of training steps from one that is logged to the next; 0 if none is logged."""
    interval: int = getattr(trainer, "log_every_n_steps")  # noqa: B009
    return interval


def resumes_within_epoch(trainer: Trainer) -> bool:
    """Return True for the first batch after a resume in the middle of an epoch."""
    restarting: bool = trainer.fit_loop.epoch_loop.restarting
    return restarting


def epoch_and_batches(trainer: Trainer) -> tuple[int, int]:
    """Return the current epoch of a fit and the number of its batches that training has taken already."""
    loop = trainer.fit_loop
    epoch: int = getattr(loop.epoch_progress.current, "processed")  # noqa: B009
    return epoch, loop.epoch_loop.batch_progress.current.ready


def begun_epochs(trainer: Trainer) -> int:
    """Return the number of epochs that a fit has begun."""
    begun: int = trainer.fit_loop.epoch_progress.current.ready
    return begun


def begins_loader(trainer: Trainer) -> bool:
    """Return True if the epoch that starts begins its loader; that of a resumed fit may have begun before."""
    return trainer.current_epoch > 0 and not trainer.fit_loop.is_resuming and not trainer.fit_loop.epoch_loop.restarting


def batches_are_left(trainer: Trainer) -> bool:
    """Return True if a resumed fit goes on with an epoch of which it has taken some batches and not all."""
    progress = trainer.fit_loop.epoch_loop.batch_progress
    return trainer.fit_loop.restarted_mid_epoch and not progress.is_last_batch and progress.current.ready > 0


def goes_on_behind_epoch(trainer: Trainer) -> bool:
    """Return True if a resumed fit has yet to end an epoch whose batches it has taken."""
    loop = trainer.fit_loop
    return (
        loop.restarted_mid_epoch and not batches_are_left(trainer) and not loop.epoch_loop.restarted_on_train_batch_end
    )


def begins_epoch_again(trainer: Trainer) -> bool:
    """Return True if a resumed fit takes an epoch from its first batch, and Lightning does not warn of it."""
    loaders = CombinedLoader(trainer.train_dataloader).flattened
    if not batches_are_left(trainer) or all(hasattr(loader, "load_state_dict") for loader in loaders):
        return False
    batches = trainer.num_training_batches
    # Lightning does not know the length of an iterable, and takes steps within an epoch for those of whole ones.
    return math.isinf(batches) or trainer.global_step % math.ceil(batches / trainer.accumulate_grad_batches) == 0


def is_before_validation(trainer: Trainer) -> bool:
    """Return True where a training batch has ended, and a validation of its epoch follows that has not begun."""
    loop = trainer.fit_loop
    total = vars(loop.epoch_loop.batch_progress.total)
    follows_clock = getattr(trainer, "_val_check_time_interval", None) is not None
    if loop._data_fetcher is None or follows_clock or not trainer.enable_validation:
        return False
    return total["completed"] == total["processed"] - 1 and loop.epoch_loop._should_check_val_fx(loop._data_fetcher)


def begin_with_validation(checkpoint: Mapping[str, object]) -> None:
    """Change the state of the loops, in place, so that a fit goes on with the validation that follows a batch.

    Lightning would leave the validation out. It goes on with one in whose first batch it stopped.
    """
    loops = checkpoint["loops"]
    fit = loops["fit_loop"] if isinstance(loops, dict) else {}
    batches, validated = (fit[f"epoch_loop.{name}batch_progress"] for name in ("", "val_loop."))
    for tracker in ("total", "current"):
        batches[tracker]["completed"] = batches[tracker]["processed"]
    total = validated["total"]
    total |= {"ready": total["completed"] + 1, "started": total["completed"] + 1, "processed": total["completed"]}
    validated["current"] = dict.fromkeys(validated["current"], 0)


def forget_validation(trainer: Trainer) -> None:
    """Take back, where the fit has found its place, what `begin_with_validation` has counted."""
    total = vars(trainer.fit_loop.epoch_loop.val_loop.batch_progress.total)
    total |= {"ready": total["completed"], "started": total["completed"]}


def data_ranks(trainer: Trainer) -> tuple[int, int]:
    """Return the number of ranks that share the training data, and which one this is; one unless Lightning splits."""
    connector = trainer._accelerator_connector
    options = trainer.distributed_sampler_kwargs
    if options is None or not (connector.use_distributed_sampler and connector.is_distributed):
        return 1, 0
    return options["num_replicas"], options["rank"]


class HostBatches(LightningModule):
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
