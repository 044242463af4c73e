"""The form of a batch of tokens: what each entry should be, and what is read into it."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lightning_abkd.language.data import IGNORE_INDEX

_WANTED = "A batch should be a mapping with `input_ids` (B, T) and `labels` (B, T)."


class ReadBatch(dict[str, Tensor]):
    """A batch that has been read, so that it is not read again on the way to the networks."""


def read_batch(batch: object) -> ReadBatch:
    """Read a batch: mappings of every kind, token ids and labels of every whole dtype, masks of every dtype.

    Entries that are None are absent. Token ids, labels and a mask (B, T) become int64; other entries stay as they are.

    Args:
        batch: A mapping, such as a dict or a `BatchEncoding` of transformers.

    Raises:
        TypeError: If the batch is no mapping, or an entry is neither a tensor nor a number, or has another dtype.
        ValueError: If an entry is missing or has another shape, or a mask holds other numbers than 0 and 1.

    Example:
        >>> read_batch({"input_ids": torch.ones(1, 2, dtype=torch.int32), "attention_mask": torch.ones(1, 2).bool()})
        {'input_ids': tensor([[1, 1]]), 'attention_mask': tensor([[1, 1]])}
    """
    if isinstance(batch, ReadBatch):
        return batch
    if not isinstance(batch, Mapping):
        raise TypeError(f"{_WANTED} Found {_described(batch)}.")
    entries = {str(name): value for name, value in batch.items() if value is not None}
    for name, value in entries.items():
        _check_entry(name, value)
    read = ReadBatch(entries)
    if "input_ids" in read:
        _read_ids(read)
    elif "inputs_embeds" not in read:
        raise ValueError(f"{_WANTED} Found only {', '.join(map('`{}`'.format, read)) or 'an empty one'}.")
    return read


def without_labels(batch: Mapping[str, Tensor]) -> ValueError:
    """Build the error for a batch that has no labels where they are needed."""
    found = ", ".join(f"`{name}`" for name in batch)
    return ValueError(
        f"{_WANTED} Found only {found}. Labels are the token ids, with {IGNORE_INDEX} where a token does not count. "
        "They may be missing if there is a teacher and `task_weight` is 0; then every token counts that is not masked."
    )


def with_all_counted(batch: ReadBatch) -> ReadBatch:
    """Add labels to a batch that has none: every token counts that is neither masked nor the first of its sample."""
    labels = batch["input_ids"].clone()
    mask = batch.get("attention_mask")
    if mask is not None and mask.shape == labels.shape:
        labels[mask == 0] = IGNORE_INDEX
    if "position_ids" in batch:
        labels[batch["position_ids"].expand_as(labels) == 0] = IGNORE_INDEX
    return ReadBatch({**batch, "labels": labels})


def _check_entry(name: str, value: object) -> None:
    if isinstance(value, Tensor) and not value.is_nested:
        return
    if isinstance(value, bool | int | float):
        return
    raise TypeError(
        f"Entry `{name}` of a batch should be a tensor. Found {_described(value)}. Let the tokenizer pad and return "
        'tensors (`padding=True, return_tensors="pt"`), or leave the entry out.'
    )


def _read_ids(batch: ReadBatch) -> None:
    """Read token ids, labels and mask as int64 of one shape (B, T)."""
    ids = batch["input_ids"]
    if ids.dim() != 2:
        raise ValueError(f"Entry `input_ids` of a batch should have the shape (B, T). Found {tuple(ids.shape)}.")
    for name in ("input_ids", "labels"):
        if name in batch:
            _check_shape(name, batch[name], ids)
            batch[name] = _whole(name, batch[name])
    mask = batch.get("attention_mask")
    # One of four dimensions says for each pair of tokens who attends to whom; the networks read it.
    if mask is not None and mask.dim() != 4:
        _check_shape("attention_mask", mask, ids)
        batch["attention_mask"] = _read_mask(mask)


def _check_shape(name: str, value: Tensor, ids: Tensor) -> None:
    if value.shape != ids.shape:
        raise ValueError(
            f"Entry `{name}` of a batch should have the shape of `input_ids`, {tuple(ids.shape)}. "
            f"Found {tuple(value.shape)}. Labels are not shifted in the batch, and rows are padded to one length."
        )


def _whole(name: str, value: Tensor) -> Tensor:
    if value.is_floating_point() or value.is_complex() or value.dtype == torch.bool:
        raise TypeError(f"Entry `{name}` of a batch should hold whole numbers, such as int64. Found {value.dtype}.")
    return value.long()


def _read_mask(mask: Tensor) -> Tensor:
    """Read a mask of 0 and 1; its numbers are looked at on the CPU alone, because elsewhere this waits."""
    if mask.dtype != torch.bool and mask.device.type == "cpu" and not ((mask == 0) | (mask == 1)).all():
        low, high = (bound.item() for bound in mask.aminmax())
        raise ValueError(
            f"Entry `attention_mask` of a batch should be 1 where a token counts and 0 where it is masked. Found "
            f"numbers from {low} to {high} ({mask.dtype}). Samples that share a row are told apart by `position_ids`."
        )
    return mask.long()


def _described(value: object) -> str:
    """Describe what was found: type, and shapes of the tensors in it."""
    if isinstance(value, Tensor):
        kind = "a nested tensor" if value.is_nested else f"a tensor of shape {tuple(value.shape)}"
        return f"{kind} and {value.dtype}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        parts = ", ".join(_described(part) for part in value[:3])
        more = ", …" if len(value) > 3 else ""
        return f"a {type(value).__name__} of {len(value)} ({parts}{more})"
    return f"{type(value).__name__}"
