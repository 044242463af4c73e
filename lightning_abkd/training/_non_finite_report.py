"""What is said and saved of a training step whose numbers are NaN or infinite."""

from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from torch import nn

from lightning_abkd.losses import DistillationLoss
from lightning_abkd.training._causes import cause_of, numbers_of
from lightning_abkd.training._evidence import Finding, Look
from lightning_abkd.training._saved_batch import class_path, save_batches

_MOST_FILES = 5
_DETECT = "`abkd fit --detect`, or `NonFiniteGuard(detect=True)`, names the first module."


def networks_of(module: LightningModule) -> dict[str, nn.Module | None]:
    """Return teacher and student of a module, None where it has none."""
    found = {name: getattr(module, name, None) for name in ("teacher", "student")}
    return {name: network if isinstance(network, nn.Module) else None for name, network in found.items()}


class NonFiniteReport:
    """Writes sentences about steps that went wrong, and their batches into the folder of the run.

    Args:
        saves_batches: Whether batches are written, those of the first five such steps of a fit.
    """

    def __init__(self, saves_batches: bool) -> None:
        self._saves_batches = saves_batches
        self._folder: Path | None = None
        self.files: list[Path] = []

    def begin(self, trainer: Trainer) -> None:
        """Find the folder of the run; all processes have to call this."""
        self._folder = Path(trainer.log_dir or trainer.default_root_dir)
        self.files = []

    def of_loss(self, module: LightningModule, look: Look, detects: bool) -> str:
        """Say what is wrong with a micro-batch, and save it; `detects` if modules are watched."""
        place = f"at step {module.global_step} ({_place(module.trainer, look.batch_idx)})"
        about = "" if look.found is None else about_modules(look.found, look.module, detects)
        return self._whole(module, look.finding(), place, about, [look])

    def of_gradient(
        self, module: LightningModule, looks: Sequence[Look], finding: Finding, first: str, detects: bool
    ) -> str:
        """Say what is wrong with the gradients of a step whose losses are finite, and save its micro-batches."""
        batches = ", ".join(str(look.batch_idx) for look in looks)
        place = f"at step {module.global_step} ({_place(module.trainer, batches)})"
        return self._whole(module, finding, place, about_modules(finding, first, detects), looks)

    def _whole(self, module: LightningModule, finding: Finding, place: str, about: str, looks: Sequence[Look]) -> str:
        said = " ".join(filter(None, [sentence(finding, place), _cause(module, finding), about]))
        return f"{said} {self._about_file(module, looks, said)}".rstrip()

    def _about_file(self, module: LightningModule, looks: Sequence[Look], message: str) -> str:
        trainer = module.trainer
        if not self._saves_batches or not looks or len(self.files) >= _MOST_FILES or getattr(trainer, "fast_dev_run"):  # noqa: B009
            return ""
        folder = self._folder or Path(trainer.default_root_dir)
        path = folder / f"non_finite_step{module.global_step}_rank{trainer.global_rank}.pt"
        try:
            self.files.append(save_batches(path, looks, _facts(module, message)))
        except OSError as error:
            return f"The batch could not be saved: {error}"
        return f"The batch is saved: `lightning_abkd.diagnostics.replay_batch(module, {str(path)!r})` runs it again."


def of_evaluation(module: LightningModule, stage: str, look: Look) -> str:
    """Say what is wrong with a batch of an evaluation."""
    finding = look.finding() if look.batch is not None else look.finding()._replace(where="")
    place = f"in batch {look.batch_idx} of {stage}"
    return f"{sentence(finding, place)} {_cause(module, finding)} {about_modules(finding, look.module, True)}".rstrip()


def _cause(module: LightningModule, finding: Finding) -> str:
    networks = networks_of(module)
    precision = str(module.trainer.precision)
    return cause_of(finding, networks["teacher"], networks["student"] or module, _divergence_of(module), precision)


def about_modules(finding: Finding, first: str, detects: bool) -> str:
    """Say which module is the first one that computes wrong numbers, or how to find it.

    Args:
        finding: What is wrong.
        first: What a `ModuleWatch` found.
        detects: Whether there was one.
    """
    if first == "the loss":
        return "The first gradient that is not finite is that of the loss with respect to the student's outputs."
    if first and finding.source == "gradient":
        return f"The first bad module of the backward pass is {first}: a finite gradient comes in and none goes out."
    if first:
        return f"The first bad module is {first}: its inputs are finite and its output is not."
    if finding.source not in ("teacher", "student", "gradient"):
        return ""
    return "No module alone makes it so: it comes from what is computed of their outputs." if detects else _DETECT


def sentence(finding: Finding, place: str) -> str:
    """Write what is wrong and where as a sentence.

    Example:
        >>> sentence(Finding("student", "The student's logits", "NaN"), "at step 3")
        "The student's logits contain NaN at step 3."
    """
    where = f" {finding.where}" if finding.where else ""
    if finding.source == "loss":
        return f"{finding.what} is {finding.kind} {place} although all logits are numbers."
    if finding.source == "gradient":
        return f"{finding.what} contains {finding.kind} {place} although the loss is a number."
    return f"{finding.what} contain {finding.kind} {place}{where}."


def _place(trainer: Trainer, batch: object) -> str:
    rank = f", rank {trainer.global_rank}" if trainer.world_size > 1 else ""
    return f"epoch {trainer.current_epoch}, batch {batch}{rank}"


def _divergence_of(module: LightningModule) -> DistillationLoss | None:
    divergence = getattr(module, "divergence", None)
    return divergence if isinstance(divergence, DistillationLoss) else None


def _facts(module: LightningModule, message: str) -> dict[str, object]:
    trainer = module.trainer
    divergence = _divergence_of(module)
    weights = {name: getattr(module, name, None) for name in ("task_weight", "distillation_weight")}
    return {
        "message": message,
        "step": module.global_step,
        "epoch": trainer.current_epoch,
        "rank": trainer.global_rank,
        "numbers": numbers_of(divergence),
        "weights": {name: float(weight) for name, weight in weights.items() if weight is not None},
        "precision": str(trainer.precision),
        "classes": {
            "module": class_path(module),
            "divergence": class_path(divergence),
            **{name: class_path(network) for name, network in networks_of(module).items()},
        },
    }
