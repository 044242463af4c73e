"""Checkpoints of a `ModelParallelStrategy`: folders into which each rank writes its shards, and files that all read."""

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    OptimizerStateType,
    StateDictOptions,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.optim import Optimizer

from lightning_abkd._utils import full_disk, part_of, remove, replace_whole
from lightning_abkd.training._checkpoint_files import is_sharded_checkpoint, named_errors, without_weights

State = dict[str, object]
Save = Callable[[State, Path], None]
Load = Callable[[Path, bool | None], State]


def write_sharded(strategy: ModelParallelStrategy, save: Save, checkpoint: State, path: Path) -> None:
    """Write a folder of shards in the place of the former checkpoint when all ranks have written theirs.

    Args:
        strategy: The strategy, whose ranks all call this.
        save: Writes the shards of this rank.
        checkpoint: What to save.
        path: Path of the folder.

    Raises:
        OSError: If the disk is full. The former checkpoint stays as it was.
    """
    part = part_of(path)
    if strategy.is_global_zero:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove(part)
    strategy.barrier()
    failure = _failure(lambda: save(checkpoint, part), path)
    if failure is None and strategy.is_global_zero:
        over_folder = is_sharded_checkpoint(path)
        failure = _failure(lambda: replace_whole(part, path, over_folder), path)
    # All ranks have failed, or the first one alone, which writes what is not split.
    failure = strategy.broadcast(failure)
    if failure is not None:
        if strategy.is_global_zero:
            remove(part)
        raise OSError(failure)


def read_on_ranks(strategy: ModelParallelStrategy, load: Load, path: Path, weights_only: bool | None) -> State:
    """Load a checkpoint of any strategy into the sharded module and optimizers; return what else it holds.

    Args:
        strategy: The strategy, whose ranks all call this.
        load: Loads a folder of shards.
        path: Path of the checkpoint.
        weights_only: Whether code in the file may not run; None for the default.

    Raises:
        ValueError: If it cannot be read, or is no checkpoint of a training.
        FileNotFoundError: If there is none.
    """
    if is_sharded_checkpoint(path):
        without_weights(path)
        return named_errors(path, lambda: load(path, weights_only))
    checkpoint = named_errors(path, lambda: _whole(path, weights_only))
    module = strategy.lightning_module
    if module is not None:
        _take_whole(checkpoint, module, strategy.optimizers)
    return checkpoint


def _whole(path: Path, weights_only: bool | None) -> State:
    content: State = torch.load(path, mmap=True, map_location="cpu", weights_only=weights_only)
    return content


def _take_whole(checkpoint: State, module: LightningModule, optimizers: Sequence[Optimizer]) -> None:
    """Load whole weights and states of optimizers into shards."""
    options = StateDictOptions(full_state_dict=True, strict=module.strict_loading)
    weights = checkpoint.pop("state_dict")
    states = checkpoint.get("optimizer_states")
    if isinstance(weights, dict):
        set_model_state_dict(module, weights, options=options)
    if optimizers and not isinstance(states, list):
        raise ValueError(
            "The checkpoint should hold the states of the optimizers. Found weights alone, as a ModelCheckpoint with "
            "`save_weights_only` writes them. Evaluate with it, or resume from another one."
        )
    for optimizer, state in zip(optimizers, states if isinstance(states, list) else [], strict=False):
        set_optimizer_state_dict(module, optimizer, _by_names(state, optimizer, module), options=options)


def _by_names(state: State, optimizer: Optimizer, module: nn.Module) -> OptimizerStateType:
    """Return the state of an optimizer by the names of parameters, which the optimizer of one process numbers."""
    saved = state["state"]
    groups = state["param_groups"]
    if not isinstance(saved, dict) or not isinstance(groups, list):
        raise ValueError("The state of an optimizer should have `state` and `param_groups`.")
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    own = [names[id(parameter)] for group in optimizer.param_groups for parameter in group["params"]]
    numbered = dict(zip(chain.from_iterable(group["params"] for group in groups), own, strict=True))
    named = [group | {"params": [numbered[number] for number in group["params"]]} for group in groups]
    return {"state": {numbered[number]: values for number, values in saved.items()}, "param_groups": named}


def _failure(write: Callable[[], None], path: Path) -> str | None:
    """Return what is wrong where something cannot be written, else None."""
    try:
        write()
    except Exception as error:  # distributed writers have exceptions of their own
        reason = str(error).strip().partition("\n")[0]
        return str(full_disk(error, path) or f"The checkpoint {path} could not be written: {reason}")
    return None
