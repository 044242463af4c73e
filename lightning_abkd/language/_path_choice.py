"""Which way leads from batches to losses: last hidden states where everything allows it, else logits."""

from typing import NamedTuple

from torch import Tensor, nn

from lightning_abkd.language._batches import TokenBatch, few_tokens
from lightning_abkd.language._paths import FromHiddenStates, FromLogits, TokenPath, check_needs_no_logits
from lightning_abkd.language.teachers import LanguageTeacher, SeparateHead, TeacherFromCache, separate_head
from lightning_abkd.training import DistillationModule, LogOnce


class PathWish(NamedTuple):
    """What a path is chosen for.

    Args:
        fused: Whether to compute from hidden states; None does so where it is possible.
        student: Network that trains.
        teacher: The live teacher, or None.
        stored_teacher: Stored outputs that replace it in training, or None.
        vocabulary: Number of ids to keep, or None for all.
        compile_student: Whether to compile the part of the student that runs.
    """

    fused: bool | None
    student: nn.Module
    teacher: LanguageTeacher | None
    stored_teacher: TeacherFromCache | None
    vocabulary: int | None
    compile_student: bool


class PathChoice:
    """Keeps the way from batches to losses, and chooses again when a network has changed.

    Args:
        log_once: Logs why logits are computed in full.
    """

    def __init__(self, log_once: LogOnce) -> None:
        self.path: TokenPath | None = None
        self._log_once = log_once

    def path_for(
        self, module: DistillationModule, own: type[DistillationModule], wish: PathWish, batch: TokenBatch
    ) -> TokenPath:
        """Return the path, chosen at the first batch; arguments and errors are those of `choose_path`."""
        if self.path is None or not _is_valid(self.path):
            self.path = choose_path(module, own, wish, batch, self._log_once)
        return self.path

    def prepare_on_host(self, batch: object) -> object:
        """Prepare a batch for the path, if there is one yet."""
        return batch if self.path is None else self.path.prepare_on_host(batch)


def _is_valid(path: TokenPath) -> bool:
    try:
        path.check()
    except ValueError:
        # The next choice says why.
        return False
    return True


def choose_path(
    module: DistillationModule, own: type[DistillationModule], wish: PathWish, batch: TokenBatch, log_once: LogOnce
) -> TokenPath:
    """Choose hidden states if everything allows it; otherwise choose logits, and log why.

    Args:
        module: A module with its trainer.
        own: The class whose own `signals`, `task_loss` and `losses` hidden states can stand in for.
        wish: What the path is chosen for.
        batch: A batch on the device; the networks and their parts are compared on a few of its tokens.
        log_once: Logs the reason.

    Raises:
        ValueError: If hidden states are asked for and impossible.
    """
    stored = wish.stored_teacher
    if wish.fused is False:
        if stored is not None:
            raise ValueError(
                "Parameter `fused_head` should be None or True where stored outputs replace the teacher, because they "
                "are compared with hidden states. Found `fused_head = False`."
            )
        return FromLogits()
    try:
        check_needs_no_logits(module, own)
        student = _take_apart(wish, batch)
    except ValueError as reason:
        if wish.fused or stored is not None:
            raise _refusal(reason, wish) from reason
        log_once(f"Logits are computed in full: {reason}.")
        return FromLogits()
    if wish.compile_student:
        student.backbone.compile()
    return FromHiddenStates(student, wish.teacher, stored, wish.vocabulary, log_once)


def _take_apart(wish: PathWish, batch: TokenBatch) -> SeparateHead:
    tokens: dict[str, Tensor] = few_tokens(batch)
    student = separate_head(wish.student, tokens)
    if wish.teacher is not None:
        try:
            wish.teacher.take_apart(tokens)
        except ValueError as reason:
            raise ValueError(f"{reason} (teacher)") from reason
    return student


def _refusal(reason: ValueError, wish: PathWish) -> ValueError:
    """Build the error for a run that asks for hidden states where they are impossible."""
    if wish.fused:
        advice = "Parameter `fused_head` should be None or False here. Found `fused_head = True`."
    else:
        advice = "Stored outputs of a teacher need hidden states of the student. Leave out what prevents them."
    return ValueError(f"The loss cannot be computed from hidden states: {reason}. {advice}")
