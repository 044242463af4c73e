"""Instruction data for causal language models."""

from collections.abc import Callable, Iterable
from importlib.resources import as_file, files
from pathlib import Path
from typing import Protocol

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_abkd.data._records import read_records

_ALPACA = (
    "Below is an instruction that describes a task{context}. "
    "Write a response that appropriately completes the request.\n\n"
)
Sample = dict[str, list[int]]


class Tokenizer(Protocol):
    """What is asked of a tokenizer; every one of transformers has it."""

    pad_token_id: int | None
    eos_token_id: int | None

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """Turn text into token ids."""


def alpaca_prompt(instruction: str, context: str = "") -> str:
    """Write the prompt of Alpaca (Taori et al. 2023), which ABKD's language experiments use.

    Args:
        instruction: The task.
        context: What the task is about, or nothing.

    Returns:
        Text that ends where the response begins.

    Example:
        >>> alpaca_prompt("Say hello.").splitlines()[-4:]
        ['### Instruction:', 'Say hello.', '', '### Response:']
    """
    head = _ALPACA.format(context=", paired with an input that provides further context" if context else "")
    middle = f"### Input:\n{context}\n\n" if context else ""
    return f"{head}### Instruction:\n{instruction}\n\n{middle}### Response:\n"


def byte_tokenizer() -> object:
    """Build ByT5's tokenizer, whose 384 ids are bytes and markers, so that it needs no files."""
    from transformers import ByT5Tokenizer

    return ByT5Tokenizer()


def tokenizer(path: str, gguf_file: str | None = None) -> object:
    """Load a tokenizer from a folder or a hub name with `AutoTokenizer.from_pretrained`.

    Args:
        path: Folder, or name on the hub.
        gguf_file: File inside the folder to read as GGUF.
    """
    from transformers import AutoTokenizer

    options = {} if gguf_file is None else {"gguf_file": gguf_file}
    return AutoTokenizer.from_pretrained(path, **options)


class InstructionDataModule(LightningDataModule):
    """Instructions with responses, the prompt left out of the loss.

    Reads .jsonl, .json (a list) and .csv files with columns instruction (or prompt), input (or context; may be absent)
    and output (or response). A batch holds input_ids, attention_mask and labels, each (B, T) int64, padded on the right
    to its longest sample; labels are -100 on prompt and padding. The response ends with the end-of-text token.

    Args:
        tokenizer: Tokenizer of transformers; None takes `byte_tokenizer()`.
        train_file: File of training data; None takes 175 seed tasks of Self-Instruct (Wang et al. 2022, Apache-2.0).
        validation_file: File of validation data; None sets aside `validation_fraction` of the training data.
        test_file: File of test data; None tests on the validation data.
        max_length: Longest sample in tokens, at least 2; longer responses are cut.
        max_prompt_length: Longest prompt in tokens; samples with a longer one are dropped. How many were cut or
            dropped is said once for each file.
        batch_size: Samples of a batch.
        validation_fraction: Share of the training data set aside, in (0, 1).
        seed: Seed of the split.
        num_workers: Processes that load data.
        template: Function of instruction and input that gives the prompt; None takes `alpaca_prompt`.

    Raises:
        ValueError: If a number is outside its range, or a file has a broken line, lacks a column or holds no sample.
        FileNotFoundError: If a file is missing.

    Example:
        >>> data = InstructionDataModule(max_length=400, batch_size=4)
        >>> data.setup("fit")
        >>> sorted(next(iter(data.train_dataloader())))
        ['attention_mask', 'input_ids', 'labels']
    """

    def __init__(
        self,
        tokenizer: object | None = None,
        train_file: str | None = None,
        validation_file: str | None = None,
        test_file: str | None = None,
        max_length: int = 512,
        max_prompt_length: int = 256,
        batch_size: int = 8,
        validation_fraction: float = 0.1,
        seed: int = 0,
        num_workers: int = 0,
        template: Callable[[str, str], str] | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"Parameter `batch_size` should be at least 1. Found `batch_size = {batch_size}`.")
        if not 1 <= max_prompt_length < max_length:
            raise ValueError(
                "Parameters should satisfy 1 <= `max_prompt_length` < `max_length`. "
                f"Found `max_prompt_length = {max_prompt_length}`, `max_length = {max_length}`."
            )
        if not 0.0 < validation_fraction < 1.0:
            raise ValueError(
                "Parameter `validation_fraction` should lie in (0, 1). "
                f"Found `validation_fraction = {validation_fraction}`."
            )
        super().__init__()
        self.tokenizer: Tokenizer = byte_tokenizer() if tokenizer is None else tokenizer  # type: ignore[assignment]
        self.files = {"train": train_file, "validation": validation_file, "test": test_file}
        self.max_length, self.max_prompt_length = max_length, max_prompt_length
        self.batch_size, self.num_workers = batch_size, num_workers
        self.validation_fraction, self.seed = validation_fraction, seed
        self.template = template or alpaca_prompt
        self.sets: dict[str, list[Sample]] = {}

    def setup(self, stage: str) -> None:
        """Read, tokenise and split the files."""
        if self.sets:
            return
        samples = self._samples(self.files["train"])
        if self.files["validation"] is None:
            order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(self.seed)).tolist()
            held_out = max(1, round(self.validation_fraction * len(samples)))
            self.sets["validation"] = [samples[i] for i in order[:held_out]]
            samples = [samples[i] for i in sorted(order[held_out:])]
        else:
            self.sets["validation"] = self._samples(self.files["validation"])
        self.sets["train"] = samples
        test = self.files["test"]
        self.sets["test"] = self.sets["validation"] if test is None else self._samples(test)

    def _samples(self, name: str | None) -> list[Sample]:
        source = files("lightning_abkd.data") / "seed_tasks.jsonl" if name is None else Path(name)
        with as_file(source) as path:
            records = read_records(path)
        samples, dropped, cut = [], 0, 0
        for instruction, context, response in records:
            prompt = self.tokenizer.encode(self.template(instruction, context), add_special_tokens=False)
            answer = self.tokenizer.encode(response, add_special_tokens=False)
            if self.tokenizer.eos_token_id is not None:
                answer.append(self.tokenizer.eos_token_id)
            if len(prompt) > self.max_prompt_length or not response.strip():
                dropped += 1
                continue
            cut += len(prompt) + len(answer) > self.max_length
            ids = (prompt + answer)[: self.max_length]
            samples.append({"input_ids": ids, "labels": [-100] * len(prompt) + ids[len(prompt) :]})
        if dropped or cut:
            rank_zero_info(
                f"{path.name}: {len(samples)} samples; dropped {dropped} with an empty response or a prompt of more "
                f"than {self.max_prompt_length} tokens, cut {cut} to {self.max_length} tokens."
            )
        if not samples:
            raise ValueError(f"{path} should hold a sample that fits. Found none. Raise `max_prompt_length`.")
        return samples

    def collate(self, samples: list[Sample]) -> dict[str, Tensor]:
        """Pad samples on the right to the longest of them."""
        padding = self.tokenizer.pad_token_id
        if padding is None:
            # Padded positions are masked, so that any id will do.
            padding = self.tokenizer.eos_token_id or 0
        longest = max(len(sample["input_ids"]) for sample in samples)

        def padded(rows: Iterable[list[int]], value: int) -> Tensor:
            return torch.tensor([row + [value] * (longest - len(row)) for row in rows])

        return {
            "input_ids": padded((sample["input_ids"] for sample in samples), padding),
            "attention_mask": padded(([1] * len(sample["input_ids"]) for sample in samples), 0),
            "labels": padded((sample["labels"] for sample in samples), -100),
        }

    def _loader(self, name: str, shuffle: bool = False) -> DataLoader[Sample]:
        return DataLoader(
            self.sets[name],  # type: ignore[arg-type]
            self.batch_size,
            shuffle=shuffle,
            num_workers=self.num_workers,
            collate_fn=self.collate,
            persistent_workers=self.num_workers > 0,
        )

    def train_dataloader(self) -> DataLoader[Sample]:
        """Shuffled training batches."""
        return self._loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader[Sample]:
        """Validation batches."""
        return self._loader("validation")

    def test_dataloader(self) -> DataLoader[Sample]:
        """Test batches."""
        return self._loader("test")

    def predict_dataloader(self) -> DataLoader[Sample]:
        """Test batches."""
        return self._loader("test")
