"""Samples of text as tokens, and batches of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lightning_abkd.language.data._options import Lengths
from lightning_abkd.language.data._prompts import Template, prompt_of
from lightning_abkd.language.data._records import Record, read_records
from lightning_abkd.language.data._tokenizers import Tokenizer

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

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def input_ids(self) -> Tensor:
        """Ids, int64 of shape (T,)."""
        return torch.from_numpy(self.tokens).long()

    @property
    def labels(self) -> Tensor:
        """Ids with `IGNORE_INDEX` on the prompt, not shifted, int64 of shape (T,)."""
        labels = self.input_ids
        labels[: self.prompt_length] = IGNORE_INDEX
        return labels


def read_samples(path: Path, tokenizer: Tokenizer, template: Template, lengths: Lengths) -> list[TextSample]:
    """Read a file and turn it into tokens; how many samples were dropped and cut is logged once.

    Responses and documents end with the end-of-text token. A document longer than `max_length` becomes consecutive
    blocks. A last block of one token is left out, because nothing can be predicted from it.

    Args:
        path: File or folder for `read_records`.
        tokenizer: Tokenizer.
        template: As in `prompt_of`.
        lengths: Longest sample, to which responses are cut, and longest prompt; samples with a longer one are dropped.

    Returns:
        Samples in the order of the file.

    Raises:
        ValueError: If the file is broken or no sample fits.
    """
    writer = _SampleWriter(tokenizer, template, lengths)
    samples = [sample for record in read_records(path) for sample in writer.samples(record)]
    if writer.dropped or writer.cut:
        rank_zero_info(
            f"{path.name}: {len(samples)} samples; dropped {writer.dropped} with an empty response or a prompt of more "
            f"than {lengths.max_prompt_length} tokens, cut {writer.cut} to {lengths.max_length} tokens."
        )
    if not samples:
        raise ValueError(f"{path} should hold a sample that fits. Found none. Raise `max_prompt_length`.")
    return samples


@dataclass
class _SampleWriter:
    """Turns records into samples, and counts those that it dropped or cut."""

    tokenizer: Tokenizer
    template: Template
    lengths: Lengths
    dropped: int = 0
    cut: int = 0

    def samples(self, record: Record) -> list[TextSample]:
        """Return the sample of a record: several for a long document, none if it is dropped."""
        prompt = prompt_of(record, self.template, self.tokenizer)
        prompt_ids = self._encode(prompt)
        response = record.responses[0]
        if len(prompt_ids) > self.lengths.max_prompt_length or not response.strip():
            self.dropped += 1
            return []
        end = self.tokenizer.eos_token_id
        ids = [*prompt_ids, *self._encode(response), *([] if end is None else [end])]
        blocks = self._split(ids) if record.is_text else [self._cut(ids)]
        arrays = [np.array(block, dtype=np.int32) for block in blocks if len(block) > 1]
        return [TextSample(prompt, record.responses, array, len(prompt_ids), record) for array in arrays]

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False, verbose=False)

    def _split(self, ids: list[int]) -> list[list[int]]:
        longest = self.lengths.max_length
        return [ids[start : start + longest] for start in range(0, len(ids), longest)]

    def _cut(self, ids: list[int]) -> list[int]:
        self.cut += len(ids) > self.lengths.max_length
        return ids[: self.lengths.max_length]


def contents(samples: Sequence[TextSample]) -> Iterator[bytes]:
    """Return all ids and labels of a set as bytes: the lengths of samples and prompts, then the ids of each sample."""
    yield np.array([(len(sample), sample.prompt_length) for sample in samples], np.int64).tobytes()
    for sample in samples:
        yield sample.tokens.tobytes()


def collate(samples: Sequence[tuple[int, TextSample]], padding: int) -> dict[str, Tensor]:
    """Pad samples on the right to the longest of them.

    Args:
        samples: Positions in the set, and samples.
        padding: Id to pad with.

    Returns:
        What `pad_batch` returns, and index of shape (B,), the positions; all int64.

    Example:
        >>> samples = [TextSample("a", ("b",), np.array(ids, dtype=np.int32), 1) for ids in ([5, 6], [5, 6, 7])]
        >>> collate(list(enumerate(samples)), padding=0)["input_ids"]
        tensor([[5, 6, 0],
                [5, 6, 7]])
    """
    rows = [sample for _, sample in samples]
    batch = pad_batch([row.input_ids for row in rows], [row.labels for row in rows], padding)
    return batch | {"index": torch.tensor([index for index, _ in samples])}


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
