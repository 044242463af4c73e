"""Batches of tokens: what networks take from them, and which tokens count."""

from collections.abc import Mapping

import torch
from torch import Tensor

from lightning_abkd.language._batch_form import ReadBatch
from lightning_abkd.language.data import IGNORE_INDEX

# Names to tensors: input_ids and labels (B, T), and whatever else networks or the module take.
TokenBatch = Mapping[str, Tensor]

# Size of the part of a batch that networks are compared on.
_FEW_ROWS = 2
_FEW_TOKENS = 16

# Entries of a batch that the module reads and no network takes.
_NOT_FOR_NETWORKS = ("labels", "index", "counted", "prompt_length")


def backbone_inputs(batch: TokenBatch) -> dict[str, Tensor]:
    """Return the keyword arguments that a backbone takes from a batch."""
    return {name: value for name, value in batch.items() if name not in _NOT_FOR_NETWORKS}


def network_inputs(batch: TokenBatch, network: object) -> dict[str, Tensor | bool]:
    """Return the keyword arguments that a network takes from a batch.

    The cache of keys and values is switched off, because it would mix up packed samples.
    """
    inputs: dict[str, Tensor | bool] = {**backbone_inputs(batch)}
    if hasattr(getattr(network, "config", None), "use_cache"):
        inputs["use_cache"] = False
    return inputs


def few_tokens(batch: TokenBatch) -> dict[str, Tensor]:
    """Return the first tokens of the first rows of what networks take from a batch."""
    inputs = backbone_inputs(batch)
    return {name: _first(value, batch["labels"].shape) for name, value in inputs.items()}


def _first(value: Tensor, shape: torch.Size) -> Tensor:
    """Cut a tensor (B, T, …), a mask (B, 1, T, T) or one value a row; leave what is shared by all rows."""
    if not isinstance(value, Tensor) or value.dim() == 0:
        return value
    rows = value[:_FEW_ROWS] if len(value) == shape[0] else value
    if value.dim() == 4 and value.shape[-2:] == (shape[1], shape[1]):
        return rows[..., :_FEW_TOKENS, :_FEW_TOKENS]
    return rows[:, :_FEW_TOKENS] if value.dim() > 1 and value.shape[1] == shape[1] else rows


def counted_positions(labels: Tensor) -> Tensor:
    """Find the tokens whose next token counts: their positions in the flattened batch (B · T), shape (N,).

    On a GPU this waits for all pending work, because N depends on the labels.
    """
    counted = labels != IGNORE_INDEX
    counted[:, :1] = False
    return counted.flatten().nonzero().squeeze(1) - 1


def with_counted(batch: object) -> object:
    """Add the counted positions to a batch whose labels are still on the CPU; return any other batch as it is."""
    if not isinstance(batch, Mapping):
        return batch
    labels = batch.get("labels")
    if labels is None or labels.device.type != "cpu":
        return batch
    prepared = {**batch, "counted": counted_positions(labels)}
    return ReadBatch(prepared) if isinstance(batch, ReadBatch) else prepared


def without_last_labels(batch: ReadBatch) -> ReadBatch:
    """Return a batch in which no token of the last row counts."""
    labels = batch["labels"].clone()
    labels[-1] = IGNORE_INDEX
    return ReadBatch({**{name: value for name, value in batch.items() if name != "counted"}, "labels": labels})


def rows_at(tokens: object, positions: Tensor) -> Tensor:
    """Pick rows (N, …) of a tensor (B, T, …) at positions in the flattened batch (B · T).

    Raises:
        TypeError: If `tokens` is not a tensor.
    """
    if not isinstance(tokens, Tensor):
        raise TypeError(f"Last hidden states should be a tensor (B, T, D). Found {type(tokens).__name__}.")
    return tokens.flatten(0, 1).index_select(0, positions)
