"""What the ranks of a training have each of their own, in one checkpoint: generators, and states of modules."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from lightning_abkd.distributed import gather_objects
from lightning_abkd.training._generators import generator_states, restore_generators, seed_generators, seed_of

State = dict[str, object]


@runtime_checkable
class HasStateOfRank(Protocol):
    """A module whose extra state is another one on each rank."""

    def get_extra_state(self) -> Mapping[str, object]:
        """Return the state."""

    def set_extra_state(self, state: Mapping[str, object]) -> None:
        """Restore a state."""

    def state_of_rank(self, states: Sequence[Mapping[str, object]], rank: int, ranks: int) -> Mapping[str, object]:
        """Return the state with which a rank goes on from those of as many ranks, or of another number of them."""


def states_of_ranks(module: LightningModule, trainer: Trainer) -> list[State]:
    """Return the states of all ranks, in their order.

    All ranks call it, unless one of them has been interrupted: that one does not wait for the others.
    """
    own: State = {"generators": generator_states(trainer.strategy.root_device)}
    if trainer.world_size > 1:
        # One process has the states of its modules in the state dict.
        own["modules"] = {name: part.get_extra_state() for name, part in _parts(module).items()}
    return [own] if trainer.interrupted else gather_objects(own)


def take_states_of_ranks(states: Sequence[State], module: LightningModule, trainer: Trainer, weights: State) -> None:
    """Let the modules of this rank go on from the states of the ranks that wrote a checkpoint.

    Args:
        states: What `states_of_ranks` returned.
        module: The module.
        trainer: Its trainer.
        weights: The state dict of the checkpoint, which may be loaded afterwards.
    """
    ranks = trainer.world_size
    if len(states) != ranks:
        rank_zero_info(
            f"The checkpoint is of {_processes(len(states))}, and this training has {_processes(ranks)}. The samples "
            "of an epoch are shared out anew, and so are those that the student wrote. Further processes draw random "
            "numbers of their own."
        )
    elif ranks == 1:
        return
    saved = [state.get("modules") or _of_first(weights, module) for state in states]
    for name, part in _parts(module).items():
        of_part = [state[name] for state in saved if isinstance(state, dict) and name in state]
        if of_part:
            own = part.state_of_rank(of_part, trainer.global_rank, ranks)
            part.set_extra_state(own)
            weights[f"{name}._extra_state"] = own


def _processes(number: int) -> str:
    return f"{number} {'process' if number == 1 else 'processes'}"


def restore_generators_of_rank(states: Sequence[State], trainer: Trainer) -> None:
    """Set the generators of this rank to its states, or to a seed of its own if the checkpoint is of fewer ranks."""
    rank = trainer.global_rank
    of_ranks = [state["generators"] for state in states]
    device: torch.device = trainer.strategy.root_device
    if rank < len(of_ranks):
        restore_generators(_tensors(of_ranks[rank]), device)
    elif of_ranks:
        seed_generators(seed_of(_tensors(of_ranks[0]), rank))


def _parts(module: LightningModule) -> dict[str, HasStateOfRank]:
    return {name: part for name, part in module.named_modules() if isinstance(part, HasStateOfRank)}


def _of_first(weights: State, module: LightningModule) -> State:
    """Return the states of modules that the state dict of one process holds."""
    names = {name: f"{name}._extra_state" for name in _parts(module)}
    return {name: weights[key] for name, key in names.items() if key in weights}


def _tensors(states: object) -> dict[str, Tensor]:
    return states if isinstance(states, dict) else {}
