"""Whether labels leave out the prompts."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from lightning_abkd.diagnostics.doctor._finding import Finding, green, not_checked, red
from lightning_abkd.diagnostics.doctor._patient import Patient, is_text
from lightning_abkd.training import IGNORED

_NAME = "prompt"
# What templates write where the response begins.
_MARKERS = (
    "### Response:",
    "<|assistant|>",
    "<|im_start|>assistant",
    "<|start_header_id|>assistant",
    "[/INST]",
    "<start_of_turn>model",
    "\nAssistant:",
    "\nAnswer:",
)
# So many equal tokens at the start of all rows are a template.
_LEAST_COMMON = 8
_CURE = f"Set `labels` to {IGNORED} on the prompt, as InstructionDataModule does with `instruction` and `output`."


class _Sample(Protocol):
    prompt_length: int
    labels: Tensor


def prompts(patient: Patient) -> Finding:
    """Check that no label stands on a prompt, as far as the data say where prompts end."""
    batch = patient.batch
    if not is_text(batch) or "labels" not in batch:
        return not_checked(_NAME, "the batch is no text with labels")
    counted = batch["labels"] != IGNORED
    known = _known_prompts(patient)
    if known is not None:
        wrong = int((counted & known).sum())
        if wrong:
            return _red(f"{wrong} of {int(counted.sum())} counted tokens belong to prompts.")
        return green(_NAME, f"none of {int(known.sum()):,} prompt tokens counts")
    if place := _marked(patient, counted):
        return _red(f"tokens before {place!r} count.")
    common = _common_start(batch["input_ids"], counted)
    if common >= _LEAST_COMMON:
        return _red(f"all rows begin with the same {common} tokens, and these count.")
    return not_checked(_NAME, "the batch does not say where prompts end (`prompt_length`), and nothing looks like one")


def _red(what: str) -> Finding:
    return red(_NAME, f"Prompt not masked: {what}", _CURE)


def _known_prompts(patient: Patient) -> Tensor | None:
    """Return which tokens (B, T) belong to prompts, None where the data do not say it."""
    batch = patient.batch
    ids = batch["input_ids"]
    lengths = batch.get("prompt_length")
    if isinstance(lengths, Tensor) and "index" not in batch:
        return torch.arange(ids.shape[1], device=ids.device) < lengths.reshape(-1, 1)
    find: Callable[[str, int], _Sample] | None = getattr(patient.data, "record", None)
    if find is None or "index" not in batch:
        return None
    outside = torch.zeros_like(ids, dtype=torch.bool)
    for row, index in enumerate(batch["index"].tolist()):
        sample = find("train", index)
        length = min(sample.prompt_length, ids.shape[1])
        # Earlier turns of a conversation may have labels, which the sample says.
        outside[row, :length] = (sample.labels[:length] == IGNORED).to(ids.device)
    return outside


def _marked(patient: Patient, counted: Tensor) -> str:
    """Return the marker of a response before which tokens count; "" if there is none."""
    decode: Callable[[list[int]], str] | None = getattr(getattr(patient.data, "tokenizer", None), "decode", None)
    if decode is None or "position_ids" in patient.batch:
        return ""
    for ids, counts in zip(patient.batch["input_ids"], counted, strict=True):
        if not bool(counts.any()):
            continue
        first = int(counts.nonzero()[0])
        text = decode(ids[first:].tolist())
        found = next((marker for marker in _MARKERS if marker in text), "")
        if found and found not in decode(ids[:first].tolist()):
            return found.strip()
    return ""


def _common_start(ids: Tensor, counted: Tensor) -> int:
    """Return how many tokens at the start of all rows are the same and count."""
    if len(ids) < 2:
        return 0
    same = (ids == ids[:1]).all(0)
    same[1:] &= counted[:, 1:].all(0)
    # Of rows that are the same throughout nothing tells a template from a text.
    return 0 if bool(same.all()) else int(same.long().cumprod(0).sum())
