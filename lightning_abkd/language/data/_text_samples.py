"""Samples of text as tokens, and batches of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lightning_abkd.language.data._record import Record

# The label of positions that do not count; the default `ignore_index` of torch and transformers.
IGNORE_INDEX = -100
_NO_RECORD = Record(("",))


@dataclass(frozen=True, eq=False)
class TextSample:
    """One sample of a set, as text and as tokens.

    Args:
        prompt: Text of the prompt as the template wrote it; empty for plain text.
        references: Every response in the file to this prompt, of which the first is trained on; for plain text the
            whole document, of which the sample may be a block.
        tokens: Ids of prompt and response, int32 of shape (T,).
        prompt_length: Number of tokens that belong to the prompt.
        record: The record of the file, before a template wrote its prompt.
        counted: Which tokens have labels, of shape (T,); None: all that do not belong to the prompt.

    Example:
        >>> sample = TextSample("2+2=", ("4",), np.array([5, 6, 7, 8, 9], dtype=np.int32), prompt_length=4)
        >>> sample.labels
        tensor([-100, -100, -100, -100,    9])
    """

    prompt: str
    references: tuple[str, ...]
    # Arrays of numpy are small and cheap to pass to worker processes.
    tokens: np.ndarray[tuple[int], np.dtype[np.int32]]
    prompt_length: int
    record: Record = _NO_RECORD
    counted: np.ndarray[tuple[int], np.dtype[np.bool_]] | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def input_ids(self) -> Tensor:
        """Ids, int64 of shape (T,)."""
        return torch.from_numpy(self.tokens).long()

    @property
    def labels(self) -> Tensor:
        """Ids with `IGNORE_INDEX` where none is counted, such as the prompt; not shifted, int64 of shape (T,)."""
        labels = self.input_ids
        if self.counted is None:
            labels[: self.prompt_length] = IGNORE_INDEX
        else:
            labels[~torch.from_numpy(self.counted)] = IGNORE_INDEX
        return labels

    @property
    def label_count(self) -> int:
        """Number of labels that a loss counts: the first token is never predicted."""
        if self.counted is None:
            return len(self) - max(1, self.prompt_length)
        return int(self.counted[1:].sum())


def contents(samples: Sequence[TextSample]) -> Iterator[bytes]:
    """Return all ids and labels of a set as bytes: the lengths of samples and prompts, then the ids of each sample."""
    yield np.array([(len(sample), sample.prompt_length) for sample in samples], np.int64).tobytes()
    for sample in samples:
        yield sample.tokens.tobytes()
        if sample.counted is not None:
            yield sample.counted.tobytes()


def collate(samples: Sequence[tuple[int, TextSample]], padding: int) -> dict[str, Tensor]:
    """Pad samples on the right to the longest of them.

    Args:
        samples: Positions in the set, and samples.
        padding: Id to pad with.

    Returns:
        What `pad_batch` returns, and index of shape (B,), the positions; all int64. If a sample says which tokens are
        counted, also prompt_length of shape (B,): the number of tokens before the last response.

    Example:
        >>> samples = [TextSample("a", ("b",), np.array(ids, dtype=np.int32), 1) for ids in ([5, 6], [5, 6, 7])]
        >>> collate(list(enumerate(samples)), padding=0)["input_ids"]
        tensor([[5, 6, 0],
                [5, 6, 7]])
    """
    rows = [sample for _, sample in samples]
    batch = pad_batch([row.input_ids for row in rows], [row.labels for row in rows], padding)
    batch["index"] = torch.tensor([index for index, _ in samples])
    if any(row.counted is not None for row in rows):
        batch["prompt_length"] = torch.tensor([row.prompt_length for row in rows])
    return batch


def pad_batch(rows: Sequence[Tensor], labels: Sequence[Tensor], padding: int) -> dict[str, Tensor]:
    """Pad rows of ids and their labels on the right to the longest row.

    Args:
        rows: Ids of each row, shape (T_i,), of any integer dtype.
        labels: Labels of each row, shape (T_i,).
        padding: Id to pad with.

    Returns:
        input_ids, attention_mask and labels of shape (B, T), in the dtype and on the device of the rows. Padding has
        mask 0 and label `IGNORE_INDEX`.

    Example:
        >>> pad_batch([torch.tensor([5, 6]), torch.tensor([7])], [torch.tensor([5, 6]), torch.tensor([7])], padding=0)
        {'input_ids': tensor([[5, 6],
                [7, 0]]), 'attention_mask': tensor([[1, 1],
                [1, 0]]), 'labels': tensor([[   5,    6],
                [   7, -100]])}
    """
    return {
        "input_ids": pad_sequence(list(rows), batch_first=True, padding_value=padding),
        "attention_mask": pad_sequence([torch.ones_like(row) for row in rows], batch_first=True),
        "labels": pad_sequence(list(labels), batch_first=True, padding_value=IGNORE_INDEX),
    }
