"""Batches of tokens: what networks take from them, and which tokens count."""

from collections.abc import Mapping

from torch import Tensor

from lightning_abkd.language.data import IGNORE_INDEX

# Names to tensors: input_ids and labels (B, T), and whatever else networks or the module take.
TokenBatch = Mapping[str, Tensor]

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
    return {**batch, "counted": counted_positions(labels)}


def rows_at(tokens: object, positions: Tensor) -> Tensor:
    """Pick rows (N, …) of a tensor (B, T, …) at positions in the flattened batch (B · T).

    Raises:
        TypeError: If `tokens` is not a tensor.
    """
    if not isinstance(tokens, Tensor):
        raise TypeError(f"Last hidden states should be a tensor (B, T, D). Found {type(tokens).__name__}.")
    return tokens.flatten(0, 1).index_select(0, positions)
