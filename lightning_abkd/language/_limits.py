"""How many token ids and positions networks have, and batches that go beyond them."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightning_abkd.language._batch_form import ReadBatch
from lightning_abkd.language._networks import embedding_rows, input_embedding, text_config
from lightning_abkd.language.data import IGNORE_INDEX, Tokenizer
from lightning_abkd.training import LogOnce


class Limits(NamedTuple):
    """What a network can take.

    Args:
        role: "student" or "teacher", for messages.
        ids: Rows of its token embedding; None if unknown.
        positions: Positions that it was made for; None if unknown.
        is_table: Whether it looks positions up, so that a later one is an error and not only unusual.
    """

    role: str
    ids: int | None
    positions: int | None
    is_table: bool


def limits_of(network: nn.Module, role: str) -> Limits:
    """Find the limits of a network.

    Example:
        >>> from lightning_abkd.models import causal_lm_from_config
        >>> sizes = {"n_layer": 1, "n_embd": 8, "n_head": 2, "vocab_size": 16, "n_positions": 32}
        >>> limits_of(causal_lm_from_config("gpt2", sizes), "student")
        Limits(role='student', ids=16, positions=32, is_table=True)
    """
    positions: int | None = None
    if hasattr(getattr(network, "config", None), "get_text_config"):
        positions = getattr(text_config(network), "max_position_embeddings", None)
    is_table = positions is not None and any(rows == positions for rows in _position_tables(network))
    return Limits(role, embedding_rows(network), positions, is_table)


def _position_tables(network: nn.Module) -> list[int]:
    """Return the sizes of a network's embeddings other than that of tokens, and of its fixed tables of positions.

    OPT and its relatives leave two rows free.
    """
    own = input_embedding(network)
    sizes = [part.num_embeddings for part in network.modules() if isinstance(part, nn.Embedding) and part is not own]
    fixed = [len(value) for name, value in network.named_buffers() if name.endswith("embed_positions")]
    return [*sizes, *(size - 2 for size in sizes), *fixed]


def fit_ids(batch: ReadBatch, limits: list[Limits], tokenizer: Tokenizer | None, log_once: LogOnce) -> ReadBatch:
    """Check that the networks have every token of a batch.

    An id beyond an embedding, such as that of an added padding token, becomes 0 where nothing depends on it: where it
    is masked, or no counted token follows. The numbers of a batch are looked at on the CPU alone, because elsewhere
    this waits for the device.

    Args:
        batch: A batch that has been read.
        limits: Those of each network.
        tokenizer: Names tokens in messages.
        log_once: Logs what is replaced.

    Raises:
        ValueError: If a counted token has no row in an embedding.
    """
    ids = batch.get("input_ids")
    smallest = min((limit for limit in limits if limit.ids is not None), key=_ids_of, default=None)
    if ids is None or smallest is None or _lie_below(ids, _ids_of(smallest)):
        return batch
    rows = _ids_of(smallest)
    foreign = (ids < 0) | (ids >= rows)
    needed = foreign & ~_is_free(batch, ids)
    if needed.any():
        raise _unknown_id(batch, needed, smallest, tokenizer)
    found = int(ids[foreign][0])
    log_once(
        f"Id {found}{_token_name(tokenizer, found)} is beyond the {rows} rows of the {smallest.role}'s embedding. It "
        "is read as id 0, because it is masked or no counted token follows it."
    )
    return ReadBatch({**batch, "input_ids": ids.masked_fill(foreign, 0)})


def _lie_below(ids: Tensor, rows: int) -> bool:
    """Return True if all ids lie in [0, rows), or are not looked at."""
    return ids.device.type != "cpu" or not ids.numel() or all(0 <= int(bound) < rows for bound in ids.aminmax())


def _ids_of(limit: Limits) -> int:
    return limit.ids or 0


def _unknown_id(batch: ReadBatch, needed: Tensor, limit: Limits, tokenizer: Tokenizer | None) -> ValueError:
    """Build the error for the first token that counts and that an embedding lacks."""
    ids = batch["input_ids"]
    row, position = (int(place) for place in needed.nonzero()[0])
    found = int(ids[row, position])
    index = batch.get("index")
    record = "" if index is None or index.shape != ids.shape[:1] else f" (record {int(index[row])} of the data set)"
    return ValueError(
        f"Token ids should lie between 0 and {_ids_of(limit) - 1}, the rows of the {limit.role}'s embedding. Found id "
        f"{found}{_token_name(tokenizer, found)} in `input_ids` at row {row}{record}, position {position}, in a "
        f"batch of shape {tuple(ids.shape)}. Give the network more rows (`resize_token_embeddings`), or mask the token."
    )


def _is_free(batch: Mapping[str, Tensor], ids: Tensor) -> Tensor:
    """Return True where no counted prediction depends on a token (B, T)."""
    labels = batch.get("labels")
    mask = batch.get("attention_mask")
    masked = torch.zeros_like(ids, dtype=torch.bool) if mask is None or mask.shape != ids.shape else mask == 0
    if labels is None:
        return masked
    predicts = torch.zeros_like(masked)
    predicts[:, :-1] = labels[:, 1:] != IGNORE_INDEX
    ends = predicts.flip(1).cumsum(1).flip(1) == 0
    return ends | (masked & ~predicts)


def _token_name(tokenizer: Tokenizer | None, found: int) -> str:
    """Return the name of a token in brackets, if the tokenizer knows it."""
    name_of: Callable[[int], object] = getattr(tokenizer, "convert_ids_to_tokens", lambda _: None)
    name = name_of(found) if found >= 0 else None
    return f" ({name})" if isinstance(name, str) else ""


def check_positions(batch: ReadBatch, limits: list[Limits], log_once: LogOnce) -> None:
    """Raise ValueError for more tokens than a table of positions has; log it where positions are computed."""
    ids = batch.get("input_ids")
    needed = 0 if ids is None else _positions_needed(batch, ids)
    for limit in limits:
        if limit.positions is None or needed <= limit.positions:
            continue
        if limit.is_table and ids is not None:
            raise ValueError(
                f"A row should have at most {limit.positions} tokens, the positions of the {limit.role}. Found "
                f"`input_ids` of shape {tuple(ids.shape)}. Cut the samples: lower `max_length` of the data module."
            )
        log_once(f"Found rows of {needed} tokens. The {limit.role} was made for {limit.positions} positions.")


def _positions_needed(batch: ReadBatch, ids: Tensor) -> int:
    """Return how many positions a batch needs; 0 if only the device knows."""
    positions = batch.get("position_ids")
    if positions is None:
        return ids.shape[1]
    return int(positions.max()) + 1 if positions.device.type == "cpu" and positions.numel() else 0
