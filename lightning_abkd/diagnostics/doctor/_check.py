"""The doctor: one real step without training, and everything that it shows."""

import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.utilities.seed import isolate_rng
from torch.utils.data import DataLoader

from lightning_abkd.diagnostics.doctor._answers import answers
from lightning_abkd.diagnostics.doctor._cost import duration
from lightning_abkd.diagnostics.doctor._divergence import alpha_and_beta, at_equality, start_on_the_map
from lightning_abkd.diagnostics.doctor._errors import described, from_error
from lightning_abkd.diagnostics.doctor._finding import Finding, not_checked, red
from lightning_abkd.diagnostics.doctor._gradients import gradients
from lightning_abkd.diagnostics.doctor._knowledge import knowledge
from lightning_abkd.diagnostics.doctor._labels import counted, label_range
from lightning_abkd.diagnostics.doctor._memory import memory_of
from lightning_abkd.diagnostics.doctor._patient import Patient, size_of
from lightning_abkd.diagnostics.doctor._prompts import prompts
from lightning_abkd.diagnostics.doctor._rate import learning_rate
from lightning_abkd.diagnostics.doctor._state import State
from lightning_abkd.diagnostics.doctor._step import Examined, Probe, Record
from lightning_abkd.diagnostics.doctor._student import frozen_by_its_code, teacher_bytes, trained
from lightning_abkd.diagnostics.doctor._teacher import frozen, mode, place, two_networks
from lightning_abkd.diagnostics.doctor._temperature import squared_temperature
from lightning_abkd.diagnostics.doctor._tokenizers import tokenizers
from lightning_abkd.diagnostics.doctor._tokens import tokens
from lightning_abkd.training import DistillationModule, callbacks_of

# The order of the table, by the beginnings of names.
_CURE_OF_NO_BATCH = "Check the training data, `trainer.max_epochs` and `trainer.limit_train_batches`."
_ORDER = (
    "two networks",
    "teacher frozen",
    "teacher mode",
    "teacher precision",
    "teacher accuracy",
    "teacher perplexity",
    "teacher knowledge",
    "teacher bytes",
    "parameters trained",
    "divergence at",
    "T²",
    "α, β",
    "start",
    "tokenizers",
    "label range",
    "label shift",
    "prompt",
    "pad",
    "counted",
    "a sample",
    "gradient",
    "learning rate",
    "peak memory",
    "throughput",
)
Examine = Callable[[], "Finding | list[Finding]"]


def check(
    module: LightningModule,
    data: LightningDataModule | DataLoader[object] | None = None,
    trainer: Trainer | None = None,
) -> list[Finding]:
    """Run a few real steps of a training, and find what is wrong with it before it costs time: `abkd check`.

    Weights, buffers and the state of random generators are the same afterwards, and nothing is written. The trainer is
    used up: build another one to train. docs/guides/doctor.md says what each finding means.

    Args:
        module: Module to check, a `DistillationModule`.
        data: Its data module, or the loader of its training data.
        trainer: Trainer whose precision, device, schedules and length count; None takes one epoch on one device.

    Returns:
        What was found, in the order of the table.

    Example:
        >>> import torch
        >>> from lightning_abkd.modules import DistillationModule
        >>> images, labels = torch.randn(8, 4), torch.arange(8) % 3
        >>> loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images, labels), 8)
        >>> student = torch.nn.Linear(4, 3).requires_grad_(False)
        >>> findings = check(DistillationModule(torch.nn.Linear(4, 3), student), loader)
        >>> [finding.text for finding in findings if finding.is_red]
        ['Frozen student: none of its 15 parameters is trained.']
    """
    return examined(module, data, trainer, described)


def examined(
    module: LightningModule,
    data: LightningDataModule | DataLoader[object] | None,
    trainer: Trainer | None,
    describe: Callable[[BaseException], str],
) -> list[Finding]:
    """Run `check`; `describe` says what an error means that stops the steps."""
    if not isinstance(module, DistillationModule):
        return [not_checked("module", f"{type(module).__name__} is no DistillationModule")]
    examination = _Examination(module, data, describe)
    examination.add("two networks", lambda: two_networks(module.student, module.teacher))
    examination.add("parameters trained", lambda: trained(module.student))
    if not examination.has_red:
        with _unchanged(module), tempfile.TemporaryDirectory() as folder:
            examination.run(trainer or _plain_trainer(folder))
    return examination.table()


def _plain_trainer(folder: str) -> Trainer:
    return Trainer(
        max_epochs=1,
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
    )


@contextmanager
def _unchanged(module: DistillationModule) -> Iterator[None]:
    """Give a module its weights and modes back, and the process its random state."""
    state = State.of(module)
    with isolate_rng():
        try:
            yield
        finally:
            state.restore(module)


class _Examination:
    """Collects findings; a check that fails itself is one that was not made."""

    def __init__(self, module: DistillationModule, data: object, describe: Callable[[BaseException], str]) -> None:
        self._module = module
        self._data = data
        self._describe = describe
        self._found: dict[str, Finding] = {}

    @property
    def has_red(self) -> bool:
        return any(finding.is_red for finding in self._found.values())

    def add(self, name: str, examine: Examine) -> None:
        try:
            found = examine()
        except Exception as error:
            # What is wrong with the training stops the step as well, which is reported.
            found = not_checked(name, f"it stopped with: {' '.join(described(error).split())}")
        for finding in found if isinstance(found, list) else [found]:
            self.put(finding)

    def put(self, finding: Finding) -> None:
        before = self._found.get(finding.name)
        if before is None or not before.is_red:
            self._found[finding.name] = finding

    def run(self, trainer: Trainer) -> None:
        """Run the real steps, and judge them."""
        probe = Probe(self._before, self._after_first)
        callbacks_of(trainer).append(probe)
        try:
            if isinstance(self._data, LightningDataModule):
                trainer.fit(self._module, datamodule=self._data)
            else:
                trainer.fit(self._module, self._data)
        except Examined:
            pass
        except Exception as error:
            self._stopped(error, probe.record)
        finally:
            probe.finish()
            callbacks_of(trainer).remove(probe)
        self._at_end(probe.record)

    def _before(self, patient: Patient, record: Record) -> None:
        """Examine the module at its first batch, before any step."""
        module = patient.module
        course = record.course
        self.add("teacher frozen", lambda: frozen(patient))
        self.add("teacher precision, device", lambda: place(patient))
        self.add("teacher knowledge", lambda: knowledge(patient, answers(patient)))
        self.add("divergence at student = teacher", lambda: at_equality(patient))
        self.add("T² in force", lambda: squared_temperature(module, course.last))
        self.add("α, β now and at the end", lambda: alpha_and_beta(module.divergence, course.first, course.last))
        self.add("start on the map", lambda: start_on_the_map(patient))
        self.add("tokenizers, vocabularies", lambda: tokenizers(patient.data, module.student, module.teacher))
        self.add("label range", lambda: label_range(patient))
        self.add("label shift", lambda: tokens(patient))
        self.add("prompt", lambda: prompts(patient))
        self.add("counted per step", lambda: counted(patient, record.micro_batches * patient.trainer.world_size))

    def _after_first(self, record: Record) -> None:
        """Examine what the first step has left."""
        patient = record.patient
        if patient is None:
            return
        checkpoint = record.checkpoint or {}
        self.add(
            "teacher bytes in a checkpoint", lambda: teacher_bytes(checkpoint, patient.module.student, patient.teacher)
        )
        self.add("teacher mode", lambda: mode(patient, record.modes))
        self.add("gradient norm by term", lambda: gradients(record))
        self.add("peak memory (estimate)", lambda: memory_of(patient, record))
        if record.gradients is False:
            self.put(frozen_by_its_code())

    def _stopped(self, error: BaseException, record: Record) -> None:
        """Report what stopped the steps: the learning rate if the first step went well."""
        if record.loss is not None and isinstance(error, FloatingPointError) and record.trial is None:
            record.trial = record.rate_of(error)
            return
        self.put(from_error(error, "first step" if record.patient else "setup", self._describe(error)))
        self.put(not_checked("everything else", "the training stops before"))

    def _at_end(self, record: Record) -> None:
        if record.loss is None:
            if record.patient is None and not self.has_red:
                self.put(red("first step", "No training batch: the training would end at once.", _CURE_OF_NO_BATCH))
            return
        if not math.isfinite(record.loss):
            self.put(from_error(FloatingPointError("The loss of the first step is not finite."), "numbers"))
        self.add("learning rate", lambda: learning_rate(record.trial))
        samples = 0 if record.patient is None else size_of(record.patient.batch)
        self.add("throughput", lambda: duration(record.seconds, samples, record.course.batches, record.course.length))

    def table(self) -> list[Finding]:
        """Return the findings in the order of the table, unexpected ones first."""
        return sorted(self._found.values(), key=lambda finding: _rank(finding.name))


def _rank(name: str) -> int:
    known = [place for place, start in enumerate(_ORDER) if name.startswith(start)]
    return known[0] if known else (len(_ORDER) if name == "everything else" else -1)
