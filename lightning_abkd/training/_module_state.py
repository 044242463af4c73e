"""The state of a distillation module in checkpoints, and what is read from those of other runs."""

from collections.abc import Mapping

from lightning.pytorch import Callback
from lightning.pytorch.utilities import rank_zero_info
from torch import nn

from lightning_abkd.losses import AlphaBetaDivergence, DistillationLoss
from lightning_abkd.training._lightning import (
    callbacks_of,
    checkpoint_of,
    resumes_fit,
    write_checkpoints_whole,
)
from lightning_abkd.training._loaded_module import LoadedModule
from lightning_abkd.training._own_names import below, own_names, prefixed, stripped_names
from lightning_abkd.training._pruned_weights import with_masks_applied
from lightning_abkd.training._sharding import prepare_strategy
from lightning_abkd.training._signal_checkpoint import signal_checkpoints
from lightning_abkd.training._weight_names import Expected, first_of_each
from lightning_abkd.training._weight_values import completed

State = dict[str, object]


class ModuleState(LoadedModule):
    """Mixin whose checkpoints have the student's own names, and load into a module without teacher or divergence.

    `torch.compile`, DataParallel and averages around the student, or parts of it, leave no trace in the names. A state
    with other wrappers loads, too. Where the module has no divergence, `AlphaBetaDivergence()` is built if the state is
    that of one; the state of any other divergence is left out, which the log says.
    """

    student: nn.Module
    divergence: DistillationLoss | None

    def __init__(self) -> None:
        super().__init__()
        self.register_state_dict_post_hook(_write_own_names)
        self.register_load_state_dict_pre_hook(_read)

    def expect_teacher(self) -> None:
        """Build the default divergence where there is none: a teacher's answers will come, though no network of it."""
        if self.divergence is None:
            self.divergence = AlphaBetaDivergence().to(self.device)

    def configure_callbacks(self) -> list[Callback]:
        """Add a `SignalCheckpoint`, expect a teacher if a callback `brings_teacher`, and write checkpoints whole.

        It runs before any callback is set up, so that a scheduler finds the divergence wherever it stands among them.
        """
        write_checkpoints_whole(self.trainer)
        prepare_strategy(self.trainer)
        if self.has_teacher_callback:
            self.expect_teacher()
        return signal_checkpoints(self.trainer)

    @property
    def has_teacher_callback(self) -> bool:
        """Whether a callback of the trainer `brings_teacher`."""
        return any(getattr(callback, "brings_teacher", False) for callback in callbacks_of(self.trainer))


def _write_own_names(module: ModuleState, state: State, prefix: str, metadata: object) -> None:
    """Rename the student's weights in a state dict, in place and in their order."""
    inside = f"{prefix}student."
    owns = own_names(module.student, below(state, inside))
    if all(name == own for name, own in owns.items()):
        return
    for name in list(below(state, prefix)):
        value = state.pop(f"{prefix}{name}")
        own = owns.get(name.removeprefix("student."), "") if name.startswith("student.") else ""
        state[f"{inside}{own}" if own else f"{prefix}{name}"] = value


def _read(
    module: ModuleState,
    state: State,
    prefix: str,
    metadata: object,
    strict: bool,
    missing: list[str],
    unexpected: list[str],
    errors: list[str],
) -> None:
    """Change a state dict, in place, into one that the module takes, and raise an error if it does not fit."""
    if any(type(part).__name__ == "FullyShardedDataParallel" for part in module.modules()):
        # Each process has pieces of the weights, whose shapes say nothing.
        return
    _take_divergence(module, state, f"{prefix}divergence.")
    student = _StudentState(module.student)
    inside = f"{prefix}student."
    found = with_masks_applied(student.by_own_names(below(state, inside)), student.own)
    if strict:
        found = student.counts | found
    for name in below(state, inside):
        del state[f"{inside}{name}"]
    _check_fits(module, state | prefixed(inside, found), prefix, strict)
    if strict:
        found |= completed(found, student.own, Expected.by(student.own), checkpoint_of(module) or "the checkpoint")
    state.update(prefixed(inside, student.by_actual_names(found)))


class _StudentState:
    """The state of a student that may be wrapped: its own, and what its wrappers count."""

    def __init__(self, student: nn.Module) -> None:
        self._raw = student.state_dict()
        self._owns = own_names(student, self._raw)
        self.own: State = {own: self._raw[name] for name, own in self._owns.items()}
        # Such as the updates of an average; a state need not have them.
        self.counts: State = {name: value for name, value in self._raw.items() if name not in self._owns}

    def by_own_names(self, taken: State) -> State:
        """Give weights the student's own names, whatever wrapped it when they were saved."""
        found = {name: value for name, value in taken.items() if not self._is_foreign_count(name)}
        for names in stripped_names(self.own):
            for name in [name for name in found if name not in self.own]:
                own = names.by_stripped(name)
                if own is not None and own not in found:
                    found[own] = found.pop(name)
        return found

    def by_actual_names(self, weights: State) -> State:
        """Give weights the names that the wrapped student has for them."""
        actual = {own: name for name, own in self._owns.items()}
        return {actual.get(name, name): value for name, value in weights.items()}

    def _is_foreign_count(self, name: str) -> bool:
        return name not in self._raw and name.endswith("n_averaged")


def _take_divergence(module: ModuleState, state: State, below: str) -> None:
    """Build the default divergence for its state; leave the state of another one out, and say so."""
    names = [name for name in state if name.startswith(below)]
    if module.divergence is not None or not names or resumes_fit(module):
        return
    if {name.removeprefix(below) for name in names} == set(AlphaBetaDivergence().state_dict()):
        module.expect_teacher()
        return
    for name in names:
        del state[name]
    rank_zero_info(
        f"Left out the state of the checkpoint's divergence ({', '.join(names[:3])}{', …' if len(names) > 3 else ''}), "
        "because the module has none. Pass it as `divergence` to go on with it."
    )


def _check_fits(module: ModuleState, state: Mapping[str, object], prefix: str, strict: bool) -> None:
    """Raise ValueError if names or shapes are those of another module."""
    inside = below(state, prefix)
    mismatches = Expected.by(module.state_dict()).mismatches(inside)
    if not strict:
        mismatches = {kind: names for kind, names in mismatches.items() if kind == "of another shape"}
    if not mismatches:
        return
    file = checkpoint_of(module)
    networks = sorted({name.partition(".")[0] for name in inside})
    raise ValueError(
        f"The checkpoint{f' {file}' if file else ''} should be of this {type(module).__name__} with the student "
        f"{type(module.student).__name__}. Found {first_of_each(mismatches)}; it holds {', '.join(networks[:4])}. "
        "Build the networks and the divergence as they were, or load the student alone with `load_weights`."
    )
