"""Samples of text as tokens: what a language data module holds and what a batch is made of."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lightning_abkd.language.data._prompts import Template, prompt_of
from lightning_abkd.language.data._records import Record, read_records
from lightning_abkd.language.data._tokenizers import Tokenizer

IGNORE_INDEX = -100
_NO_RECORD = Record(("",))


@dataclass(frozen=True, eq=False)
class TextSample:
    """One sample of a set, as text and as tokens.

    Args:
        prompt: Text of the prompt, the template's included; nothing for plain text.
        references: Every response that the file has for this prompt, the first of them trained on; for plain text the
            whole document, of which the sample may be a block.
        tokens: Ids of prompt and response, int32 of shape (T,).
        prompt_length: How many of them are the prompt's.
        record: What the file has, before a template made a prompt of it.
    """

    prompt: str
    references: tuple[str, ...]
    # numpy's arrays are small and cheap to hand to worker processes.
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
        """Ids with -100 on the prompt, not shifted, int64 of shape (T,)."""
        labels = self.input_ids
        labels[: self.prompt_length] = IGNORE_INDEX
        return labels


def read_samples(
    path: Path, tokenizer: Tokenizer, template: Template, max_length: int, max_prompt_length: int
) -> list[TextSample]:
    """Read a file and turn it into tokens; what was dropped and cut is said once.

    Responses and documents end with the end-of-text token. A document longer than `max_length` becomes consecutive
    blocks; a last block of one token, from which nothing can be predicted, is left out.

    Args:
        path: File or folder for `read_records`.
        tokenizer: Tokenizer.
        template: As in `prompt_of`.
        max_length: Longest sample in tokens; longer responses are cut.
        max_prompt_length: Longest prompt in tokens; samples with a longer one are dropped.

    Returns:
        Samples in the order of the file.

    Raises:
        ValueError: If the file is broken or no sample fits.
    """
    samples, dropped, cut = [], 0, 0
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    for record in read_records(path):
        prompt = prompt_of(record, template, tokenizer)
        start = tokenizer.encode(prompt, add_special_tokens=False, verbose=False)
        if len(start) > max_prompt_length or not record.responses[0].strip():
            dropped += 1
            continue
        ids = start + tokenizer.encode(record.responses[0], add_special_tokens=False, verbose=False) + end
        pieces = [ids[:max_length]]
        if record.is_text:
            pieces = [ids[i : i + max_length] for i in range(0, len(ids), max_length)]
        elif len(ids) > max_length:
            cut += 1
        arrays = [np.array(piece, dtype=np.int32) for piece in pieces if len(piece) > 1]
        samples += [TextSample(prompt, record.responses, array, len(start), record) for array in arrays]
    if dropped or cut:
        rank_zero_info(
            f"{path.name}: {len(samples)} samples; dropped {dropped} with an empty response or a prompt of more "
            f"than {max_prompt_length} tokens, cut {cut} to {max_length} tokens."
        )
    if not samples:
        raise ValueError(f"{path} should hold a sample that fits. Found none. Raise `max_prompt_length`.")
    return samples


def collate(samples: list[tuple[int, TextSample]], padding: int) -> dict[str, Tensor]:
    """Pad samples on the right to the longest of them.

    Args:
        samples: Positions in the set, and samples.
        padding: Id to pad with.

    Returns:
        input_ids, attention_mask and labels of shape (B, T), labels -100 on prompt and padding, and index of shape
        (B,), the positions; all int64.
    """
    rows = [sample for _, sample in samples]
    return {
        "input_ids": pad_sequence([row.input_ids for row in rows], batch_first=True, padding_value=padding),
        "attention_mask": pad_sequence([torch.ones_like(row.input_ids) for row in rows], batch_first=True),
        "labels": pad_sequence([row.labels for row in rows], batch_first=True, padding_value=IGNORE_INDEX),
        "index": torch.tensor([index for index, _ in samples]),
    }
