"""The module that distils a classifier, and the base class of the other modules."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torchmetrics import MetricCollection

import lightning_abkd.training._checks as checks
from lightning_abkd.losses import AlphaBetaDivergence, DistillationLoss
from lightning_abkd.metrics import classification_metrics
from lightning_abkd.training._batches import Batch, Signals, inputs_of, views_of
from lightning_abkd.training._checkpoint import save_weights
from lightning_abkd.training._evaluated_module import EvaluatedModule
from lightning_abkd.training._gradient_shares import GradientShares
from lightning_abkd.training._labels import LabelReader
from lightning_abkd.training._lightning import is_built_from_config, trainer_of
from lightning_abkd.training._module_state import ModuleState
from lightning_abkd.training._optimization import Optimization
from lightning_abkd.training._optimizers import DEFAULT_MONITOR, Optimizers
from lightning_abkd.training._positions import Interval
from lightning_abkd.training._signals import check_path, check_wanted, outputs
from lightning_abkd.training._step_log import log_terms
from lightning_abkd.training._teacher import Teacher, TeacherDtype
from lightning_abkd.training._terms import Terms, distillation_terms, label_cross_entropy, step_count, weighted_sum


class DistillationModule(EvaluatedModule, Optimization, ModuleState):
    """Trains a student on its task and on the outputs of a frozen teacher.

    As it stands it takes batches (inputs, labels) or (inputs, labels, index), or mappings with `pixel_values` and
    `labels`, and networks that map inputs to logits, a tensor or an object with `.logits`. For another task override
    `signals(batch)`, `task_loss(signals)` or `metrics(classes)`. Without a teacher it is supervised training, of a
    future teacher or of a baseline.

    Labels are class indices of any dtype, (B,) or (B, 1), one-hot rows, or probabilities (B, C); the shape decides
    which. -100 counts in no task loss. With `task_weight` 0 and a divergence that takes none, labels may be missing.

    The loss of an optimizer step is task_weight · task loss + distillation_weight · divergence, each the mean over all
    counted positions of the step, however they are split into micro-batches and ranks. The teacher stays frozen, in
    eval mode and in its own precision. No checkpoint, optimizer or hyper-parameter holds it. To compile it, call its
    own `compile()` beforehand. Steps are logged every `log_every_n_steps` of the trainer and at both ends of an epoch.
    Between them no step waits for a GPU, unless its logits are masked. NaN and labels out of range are checked in every
    batch on a CPU, in every 50th on a GPU.

    Args:
        teacher: Frozen network, or None for supervised training.
        student: Network to train.
        divergence: Distillation loss; None takes `AlphaBetaDivergence()` where there is a teacher.
        task_weight: Weight of the task loss (cross-entropy on the labels); may be changed during training.
        distillation_weight: Weight of the divergence; may be changed during training.
        optimizer: Maps parameters to an optimizer.
        lr_scheduler: Maps the optimizer to a learning-rate scheduler; None keeps the rate.
        lr_interval: Whether the learning-rate scheduler moves after each "step" or "epoch"; None takes what it counts:
            steps for those of `lightning_abkd.modules` and torch's OneCycleLR and CyclicLR, else epochs.
        lr_monitor: Name of the logged value that a `ReduceLROnPlateau` watches.
        teacher_dtype: Dtype of the teacher's weights and arithmetic; None keeps its weights' dtype.
        teacher_placement: Where the teacher's weights lie: "replicate", whole on each rank; "shard", in pieces on all
            ranks, under any strategy; "offload", on the CPU, from where blocks come one at a time; or a device of its
            own, such as "cuda:1" or "cpu", which computes there.
        compile_student: Compile the student with `torch.compile` before training.
        student_features: Path of the submodule, such as "layer3.1", whose output is the student's features, for a
            divergence that asks for them; maps and tokens are averaged. None: what its `forward_features` returns.
        teacher_features: The same of the teacher.

    Raises:
        TypeError: If the student is missing.
        ValueError: If teacher and student are one object, nothing provides a signal that the divergence needs, or a
            path names no submodule.

    Example:
        >>> import torch
        >>> from lightning_abkd.losses import AlphaBetaDivergence
        >>> teacher, student = torch.nn.Linear(4, 3), torch.nn.Linear(4, 3)
        >>> module = DistillationModule(teacher, student, AlphaBetaDivergence(alpha=0.8, beta=0.3))
        >>> sorted(name for name, _ in module.named_parameters())
        ['student.bias', 'student.weight']
    """

    _teacher_type: type[Teacher] = Teacher
    # Arguments that are objects where Python code built the module, and configurations where a config did.
    _objects: tuple[str, ...] = ("student", "divergence", "optimizer", "lr_scheduler")

    def __init__(
        self,
        teacher: nn.Module | None = None,
        student: nn.Module | None = None,
        divergence: DistillationLoss | None = None,
        task_weight: float = 1.0,
        distillation_weight: float = 1.0,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        lr_scheduler: LRSchedulerCallable | None = None,
        lr_interval: Interval | None = None,
        lr_monitor: str = DEFAULT_MONITOR,
        teacher_dtype: TeacherDtype | None = None,
        compile_student: bool = False,
        student_features: str | None = None,
        teacher_features: str | None = None,
        teacher_placement: str = "replicate",
    ) -> None:
        student = checks.check_networks(teacher, student)
        check_path(student, student_features, "student")
        check_path(teacher, teacher_features, "teacher")
        super().__init__()
        self.student = student
        self._teacher = None if teacher is None else self._teacher_type(teacher, teacher_dtype, teacher_placement)
        self.divergence = AlphaBetaDivergence() if divergence is None and teacher is not None else divergence
        self.task_weight = task_weight
        self.distillation_weight = distillation_weight
        self.optimize_by(Optimizers(optimizer, lr_scheduler, lr_interval, lr_monitor))
        self._compile_student = compile_student
        self._paths = {"student": student_features, "teacher": teacher_features}
        self._label_reader = LabelReader()
        self._shares = GradientShares()
        self.save_hyperparameters(ignore=["teacher", *(() if is_built_from_config() else self._objects)])
        # Without its teacher a trained module still loads, to be evaluated or exported.
        self._check_loss(teacher is None)

    def _check_loss(self, teacher_later: bool) -> None:
        if self.divergence is not None and type(self).signals is DistillationModule.signals:
            networks = {"student": self.student, "teacher": self.teacher}
            check_wanted(self.divergence, networks, self._paths, self._compile_student, teacher_later)

    @property
    def teacher(self) -> nn.Module | None:
        """The frozen teacher network, or None."""
        return None if self._teacher is None else self._teacher.network

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "DistillationModule":
        super()._apply(fn, recurse)
        if self._teacher is not None:
            self._teacher.to(fn(torch.empty(0, device=self.device)).device)
        return self

    def configure_model(self) -> None:
        """Shard under a `ModelParallelStrategy`; check that the teacher is equal on all ranks, and place it."""
        super().configure_model()
        trainer = trainer_of(self)
        if self._teacher is not None and trainer is not None:
            mesh = None if self.device_mesh is None else self.device_mesh["data_parallel"]
            self._teacher.start(trainer.strategy.root_device, mesh)

    def forward(self, inputs: Batch) -> Tensor:
        """Compute the student's logits, shape (B, C)."""
        return checks.logits_of(self.student(inputs), "student")

    def signals(self, batch: Batch) -> Signals:
        """Turn a batch into named tensors: one forward pass of each network for each view.

        Args:
            batch: Inputs (B, ...) or a pair of views (weak, strong), labels and, where asked for, positions (B,).

        Returns:
            student_logits (B, C), labels as the batch holds them and, with a teacher, teacher_logits (B, C);
            student_features and teacher_features (B, D) where the divergence takes them; `…_logits_strong` of a second
            view; index (B,) in training alone, because positions in an evaluation are those of another set. A subclass
            may add or replace signals. A loss gets those that its `forward` has as parameters.
        """
        views, signals = views_of(batch, self.training)
        wanted = () if self.divergence is None else self.divergence.accepted_signals
        # The teacher runs first, so that its activations are gone before the student keeps its own.
        if self._teacher is not None:
            signals |= outputs("teacher", self._teacher, self._teacher.network, views, self._paths["teacher"], wanted)
        signals |= outputs("student", self.in_step, self.student, views, self._paths["student"], wanted)
        if type(self).signals is DistillationModule.signals:
            checks.check_classes_last(signals, views[0])
        return signals

    def task_loss(self, signals: Signals) -> Tensor:
        """Compute the loss of the task itself, the mean over counted positions: cross-entropy on the labels."""
        return label_cross_entropy(signals)

    def metrics(self, classes: int) -> MetricCollection:
        """Build the metrics of an evaluation; each takes its signals by the names of its update's parameters.

        Args:
            classes: Number of classes, the size of the student's logits.
        """
        concentration = isinstance(self.divergence, AlphaBetaDivergence)
        return classification_metrics(classes, self._teacher is not None, concentration and self._teacher is not None)

    def losses(self, signals: Signals) -> Terms:
        """Compute each term of the loss: its name, its weight and its mean over counted positions."""
        terms = distillation_terms(self.divergence, self.distillation_weight, signals, self.training)
        if self.task_weight or (not terms and (self.training or "labels" in signals)):
            # Alone, as in an evaluation after the teacher has left, it is the loss whatever its weight.
            weight = self.task_weight if terms else self.task_weight or 1.0
            terms["task_loss"] = (weight, self.task_loss(self._shares.tap("task_loss", signals)))
        return terms

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Compute the loss of a micro-batch, log its terms, and count its positions."""
        signals = self._with_labels(self.signals(batch), batch_idx)
        with self._shares.watch(self.divergence):
            terms = self.losses(signals)
        loss = weighted_sum(terms)
        positions = signals["student_logits"].shape[:-1].numel()
        log_terms(self, {"loss": loss} | {name: term for name, (_, term) in terms.items()}, signals, batch_idx)
        count = step_count(signals, terms, self._label_reader.found_ignored)
        return self.part_of_step(loss, count, positions, signals, batch_idx)

    def log_shares(self, norms: Callable[[], Mapping[str, float]]) -> None:
        """Log in the first batch of a fit what share each term has in the gradient, if one has less than a tenth.

        Args:
            norms: Computes the norm of each term's weighted gradient by the term's name.
        """
        self._shares.measure(norms)

    def _with_labels(self, signals: Signals, batch_idx: int) -> Signals:
        """Read the labels as class indices or probabilities, unless the module has a task loss of its own."""
        check = checks.is_watched(self.device, batch_idx)
        if type(self).task_loss is DistillationModule.task_loss:
            taken = self.divergence is not None and "labels" in self.divergence.accepted_signals
            signals = self._label_reader.read(signals, bool(self.task_weight) or taken, check)
        elif check:
            checks.check_own_labels(signals.get("labels"), signals["student_logits"])
        if check and self.divergence is not None:
            checks.check_all_labelled(self.divergence, signals)
        return signals

    def on_after_backward(self) -> None:
        """Log the share of each term in the gradient of the first batch, if one is small."""
        self._shares.report()

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Tensor | tuple[object, ...]:
        """Compute the student's logits (B, C) of the inputs of a batch."""
        return self.forward(inputs_of(batch))

    def setup(self, stage: str) -> None:
        """Put the student into train mode before training and compile it if asked to."""
        if stage == "fit":
            self._check_loss(teacher_later=False)
            checks.check_learns(self.divergence, self.task_weight, self.distillation_weight, self.trainer)
            self._shares = GradientShares()
            self.student.train()
        if self._compile_student:
            self.student.compile()

    def save_student(self, path: str | Path) -> Path:
        """Write the student's weights by their own names to a .pt or .safetensors file, see `save_weights`."""
        return save_weights(self.student, path)
