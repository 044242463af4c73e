"""The range of the labels, and how many positions count."""

from torch import Tensor

from lightning_abkd.diagnostics.doctor._finding import Finding, green, not_checked, red
from lightning_abkd.diagnostics.doctor._patient import Patient, counted_rows, is_text, size_of
from lightning_abkd.training import IGNORED, Batch, DistillationModule, views_of

_NAME_OF_RANGE = "label range"
_NAME_OF_COUNT = "counted per step"


def label_range(patient: Patient) -> Finding:
    """Check that labels are classes of the student, and show the first sample."""
    signals = patient.signals
    labels = signals.get("labels")
    if labels is None:
        return not_checked(_NAME_OF_RANGE, "the batches have no labels")
    classes = signals["student_logits"].shape[-1]
    if labels.is_floating_point() and labels.shape == signals["student_logits"].shape:
        return green(_NAME_OF_RANGE, f"probabilities of {classes} classes")
    indices = (counted_rows(signals, "labels") if "mask" in signals else labels).flatten()
    indices = indices[indices != IGNORED]
    if not indices.numel():
        return red(_NAME_OF_RANGE, "No label counts in the first batch.", "Give labels other than -100.")
    low, high = (int(bound) for bound in indices.aminmax())
    if low < 0 or high >= classes:
        return red(
            _NAME_OF_RANGE,
            f"Labels from {low} to {high}, but the student has the classes 0 to {classes - 1}.",
            "Number the labels from 0, or give the student an output for each class.",
        )
    return green(_NAME_OF_RANGE, f"{low} to {high} of {classes:,} classes")


def first_sample(patient: Patient) -> Finding:
    """Describe the inputs and the label of the first sample of a batch of images."""
    name = "a sample"
    batch = patient.batch
    if not isinstance(batch, list | tuple) or type(patient.module).signals is not DistillationModule.signals:
        return not_checked(name, "the module reads batches of its own form")
    views = views_of(batch, training=False)
    inputs = views.inputs[0][0]
    label = views.signals["labels"][0].tolist() if "labels" in views.signals else "none"
    low, high = (float(bound) for bound in inputs.aminmax())
    return green(name, f"inputs {tuple(inputs.shape)} from {low:.3g} to {high:.3g}, label {label}")


def counted(patient: Patient, micro_batches: int) -> Finding:
    """Count what a loss is the mean of in an optimizer step.

    Args:
        patient: The patient.
        micro_batches: Batches of a step, those of all devices.
    """
    batch = patient.batch
    if is_text(batch):
        labels: Tensor | None = batch.get("labels")
        what = "tokens"
        count = batch["input_ids"].numel() if labels is None else int((labels[:, 1:] != IGNORED).sum())
        total = batch["input_ids"].numel()
    else:
        what = "samples"
        count = total = _positions(patient, batch)
    if not count:
        return red(_NAME_OF_COUNT, f"No position of {total} counts.", "Give the responses labels other than -100.")
    each = f"{micro_batches} batches of about {count:,}" if micro_batches > 1 else f"of {total:,} in the batch"
    return green(_NAME_OF_COUNT, f"about {count * micro_batches:,} {what} ({each})")


def _positions(patient: Patient, batch: Batch) -> int:
    signals = patient.signals
    return int(signals["mask"].sum()) if "mask" in signals else size_of(batch)
