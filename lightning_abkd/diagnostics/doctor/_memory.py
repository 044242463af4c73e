"""The memory of a step, put together from what was seen of it."""

from lightning_abkd.diagnostics.doctor._cost import Memory, bytes_of, bytes_of_logits, memory
from lightning_abkd.diagnostics.doctor._finding import Finding
from lightning_abkd.diagnostics.doctor._patient import Patient, size_of
from lightning_abkd.diagnostics.doctor._step import Record


def memory_of(patient: Patient, record: Record) -> Finding:
    """Estimate the peak memory of a step at this batch and vocabulary, and compare it with the device's."""
    module = patient.module
    logits = patient.signals["student_logits"]
    positions = logits.shape[:-1].numel() * size_of(patient.batch) // max(1, size_of(patient.rows))
    size = bytes_of_logits(positions, logits.shape[-1], patient.teacher is not None)
    # Where losses are computed from hidden states, no tensor of the logits' size exists.
    one = positions * logits.shape[-1] * 2
    is_whole = any(kept >= one for kept in record.kept.sizes.values())
    found = Memory(
        teacher=bytes_of(patient.teacher),
        student=bytes_of(module),
        gradients=bytes_of(module, trained=True),
        optimizer=record.optimizer,
        activations=record.kept.total(module, patient.teacher),
        logits=size if is_whole else 0,
    )
    return memory(found, module.device)
