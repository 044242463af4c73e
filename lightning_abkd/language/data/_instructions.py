"""Instructions, conversations and plain text for causal language models."""

import hashlib
from collections.abc import Callable
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_info
from torch.utils.data import DataLoader

from lightning_abkd.language.data._packing import collate_packed, pack
from lightning_abkd.language.data._prompts import check_template
from lightning_abkd.language.data._text_samples import TextSample, collate, read_samples
from lightning_abkd.language.data._tokenizers import Tokenizer, byte_tokenizer, check_same_tokens, padding_id

Stage = Literal["train", "validation", "test"]
Row = tuple[int, TextSample] | list[TextSample]
Loaders = DataLoader[Row] | list[DataLoader[Row]]


class InstructionDataModule(LightningDataModule):
    """Instructions or conversations with responses, the prompt left out of the loss, or plain text, all of it counted.

    Files are those of `read_records`. A batch holds input_ids, attention_mask and labels, each (B, T) int64, padded on
    the right to its longest sample, labels -100 on prompt and padding, not shifted; and index (B,), the positions of
    the samples in their set, for `record`. Responses end with the end-of-text token. No other special token is added.

    With `packing`, training batches hold input_ids, labels and position_ids instead, several samples to a row.
    Networks of transformers keep these apart by the positions if they are called without mask and with
    `use_cache=False`, and with flash attention only at `batch_size` 1.

    Args:
        tokenizer: Tokenizer of transformers; None takes `byte_tokenizer()`.
        train_file: File of training data; None takes 175 seed tasks of Self-Instruct (Wang et al. 2022, Apache-2.0).
        validation_file: File of validation data, or several by name, each with a loader of its own; None sets aside
            `validation_fraction` of the training data.
        test_file: As `validation_file`; None tests on the validation data.
        max_length: Longest sample in tokens, at least 2; longer responses are cut, longer plain texts split.
        max_prompt_length: Longest prompt in tokens; samples with a longer one are dropped. How many were cut or
            dropped is said once for each file.
        batch_size: Samples of a batch; with `packing`, rows of a training batch.
        validation_fraction: Share of the training data set aside, in (0, 1).
        seed: Seed of the split, of `train_size` and of the packing.
        num_workers: Processes that load data.
        template: Function of instruction and input that gives the prompt, or "chat" for the tokenizer's chat template,
            which conversations always take; None takes `alpaca_prompt`.
        teacher_tokenizer: Tokenizer of the teacher, to be compared with `tokenizer`; None compares nothing.
        packing: Whether training samples share rows of up to `max_length` tokens.
        predict_set: Set that `predict_dataloader` gives, in its order.
        train_size: Number of training samples to use, chosen after the validation set is set aside; all if None.

    Raises:
        ValueError: If an argument is outside its range, the tokenizers differ, or a file has a broken line, lacks a
            column or holds no sample.
        FileNotFoundError: If a file is missing.

    Example:
        >>> data = InstructionDataModule(max_length=400, batch_size=4)
        >>> data.setup("fit")
        >>> sorted(next(iter(data.train_dataloader())))
        ['attention_mask', 'index', 'input_ids', 'labels']
        >>> data.record("validation", 0).prompt.splitlines()[-1]
        '### Response:'
    """

    def __init__(
        self,
        tokenizer: object | None = None,
        train_file: str | None = None,
        validation_file: str | dict[str, str] | None = None,
        test_file: str | dict[str, str] | None = None,
        max_length: int = 512,
        max_prompt_length: int = 256,
        batch_size: int = 8,
        validation_fraction: float = 0.1,
        seed: int = 0,
        num_workers: int = 0,
        template: Callable[[str, str], str] | Literal["chat"] | None = None,
        teacher_tokenizer: object | None = None,
        packing: bool = False,
        predict_set: Stage = "test",
        train_size: int | None = None,
    ) -> None:
        sizes = {"batch_size": batch_size, "train_size": train_size}
        _check_numbers(sizes, max_prompt_length, max_length, validation_fraction)
        if predict_set not in get_args(Stage):
            raise ValueError(
                f"Parameter `predict_set` should be one of {get_args(Stage)}. Found `predict_set = {predict_set!r}`."
            )
        super().__init__()
        self.tokenizer: Tokenizer = byte_tokenizer() if tokenizer is None else tokenizer  # type: ignore[assignment]
        self.teacher_tokenizer: Tokenizer | None = teacher_tokenizer  # type: ignore[assignment]
        check_template(template, self.tokenizer)
        self.padding = padding_id(self.tokenizer)
        self.train_file = train_file
        self.files = {"validation": _by_name("validation_file", validation_file)}
        self.files["test"] = _by_name("test_file", test_file)
        self.max_length, self.max_prompt_length = max_length, max_prompt_length
        self.batch_size, self.num_workers = batch_size, num_workers
        self.validation_fraction, self.seed, self.train_size = validation_fraction, seed, train_size
        self.template, self.packing, self.predict_set = template, packing, predict_set
        self.sets: dict[str, dict[str, list[TextSample]]] = {}
        self.rows: list[list[TextSample]] = []

    def setup(self, stage: str) -> None:
        """Compare the tokenizers and read the files of the stage, each once.

        Args:
            stage: "fit", "validate", "test" or "predict".
        """
        if self.teacher_tokenizer is not None:
            check_same_tokens(self.tokenizer, self.teacher_tokenizer)
        stages: dict[str, list[Stage]] = {"fit": ["train", "validation"], "validate": ["validation"]}
        for name in stages.get(stage, [self.predict_set if stage == "predict" else "test"]):
            self._open(name)

    def record(self, stage: Stage, index: int, name: str | None = None) -> TextSample:
        """Look up the sample that a batch's `index` stands for.

        Args:
            stage: Set.
            index: Position in it.
            name: Name of the set where there are several.

        Returns:
            The sample, with the text of its prompt in `prompt` and all responses to it in `references`.

        Raises:
            ValueError: If there is no set of this name.
        """
        named: dict[str | None, list[TextSample]] = {key or None: value for key, value in self._open(stage).items()}
        if name not in named:
            raise ValueError(f"Parameter `name` should be in {list(named)} for {stage}. Found `name = {name!r}`.")
        return named[name][index]

    def set_names(self, stage: Literal["validation", "test", "predict"]) -> list[str]:
        """List the names of a stage's sets in the order of its loaders; none for a single set without a name."""
        source = self._source(self.predict_set if stage == "predict" else stage)
        return [name for name in self.files.get(source, {}) if name]

    def fingerprint(self, stage: Stage = "train") -> str:
        """Compute 16 hex digits of all ids and labels of a stage's sets, to recognise what was computed from them."""
        digest = hashlib.sha256()
        for samples in self._open(stage).values():
            digest.update(np.array([(len(sample), sample.prompt_length) for sample in samples], np.int64).tobytes())
            for sample in samples:
                digest.update(sample.tokens.tobytes())
        return digest.hexdigest()[:16]

    def train_dataloader(self) -> Loaders:
        """Return the shuffled loader of the training set."""
        return self._loader("train", shuffle=True)

    def val_dataloader(self) -> Loaders:
        """Return the loader of the validation set, or a list of those of the named sets."""
        return self._loader("validation")

    def test_dataloader(self) -> Loaders:
        """Return the loader of the test set, or a list of those of the named sets."""
        return self._loader("test")

    def predict_dataloader(self) -> Loaders:
        """Return the loader of `predict_set`, neither shuffled nor packed, or a list of those of the named sets."""
        return self._loader(self.predict_set)

    def _source(self, stage: str) -> str:
        return "validation" if stage == "test" and not self.files["test"] else stage

    def _open(self, stage: Stage) -> dict[str, list[TextSample]]:
        """Read the sets of a stage when they are first asked for; every rank reads the same."""
        source = self._source(stage)
        if source not in self.sets:
            if self.files.get(source):
                self.sets[source] = {name: self._read(file) for name, file in self.files[source].items()}
            else:
                self._open_training()
        return self.sets[source]

    def _open_training(self) -> None:
        samples, held_out = self._read(self.train_file), 0
        order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(self.seed)).tolist()
        if not self.files["validation"]:
            if len(samples) < 2:
                raise ValueError("Parameter `train_file` should hold 2 samples, one to set aside. Found 1.")
            held_out = min(max(1, round(self.validation_fraction * len(samples))), len(samples) - 1)
            self.sets["validation"] = {"": [samples[i] for i in order[:held_out]]}
        chosen = order[held_out:]
        if self.train_size is not None and self.train_size > len(chosen):
            raise ValueError(
                f"Parameter `train_size` should be at most {len(chosen)}, the samples of the training set. "
                f"Found `train_size = {self.train_size}`."
            )
        train = [samples[i] for i in sorted(chosen[: self.train_size])]
        if self.packing:
            rows = pack([len(sample) for sample in train], self.max_length, self.seed)
            self.rows = [[train[i] for i in row] for row in rows]
            rank_zero_info(f"Packed {len(train)} samples into {len(rows)} rows of up to {self.max_length} tokens.")
        self.sets["train"] = {"": train}

    def _read(self, file: str | None) -> list[TextSample]:
        source = files("lightning_abkd.language.data") / "seed_tasks.jsonl" if file is None else Path(file)
        with as_file(source) as path:
            return read_samples(path, self.tokenizer, self.template, self.max_length, self.max_prompt_length)

    def _loader(self, stage: Stage, shuffle: bool = False) -> Loaders:
        loaders: list[DataLoader[Row]] = []
        for samples in self._open(stage).values():
            packed = shuffle and self.packing
            loader: DataLoader[Row] = DataLoader(
                self.rows if packed else list(enumerate(samples)),  # type: ignore[arg-type]
                batch_size=self.batch_size,
                shuffle=shuffle,
                num_workers=self.num_workers,
                collate_fn=partial(collate_packed if packed else collate, padding=self.padding),
                persistent_workers=self.num_workers > 0,
            )
            loaders.append(loader)
        return loaders if "" not in self._open(stage) else loaders[0]


def _by_name(parameter: str, given: str | dict[str, str] | None) -> dict[str, str]:
    """Name files; a single one is named by nothing."""
    if isinstance(given, dict) and (not given or "" in given):
        raise ValueError(f"Parameter `{parameter}` should name every file. Found `{parameter} = {given}`.")
    return given if isinstance(given, dict) else {} if given is None else {"": given}


def _check_numbers(numbers: dict[str, int | None], max_prompt_length: int, max_length: int, fraction: float) -> None:
    for name, number in numbers.items():
        if number is not None and number < 1:
            raise ValueError(f"Parameter `{name}` should be at least 1. Found `{name} = {number}`.")
    if not 1 <= max_prompt_length < max_length:
        raise ValueError(
            "Parameters should satisfy 1 <= `max_prompt_length` < `max_length`. "
            f"Found `max_prompt_length = {max_prompt_length}`, `max_length = {max_length}`."
        )
    if not 0.0 < fraction < 1.0:
        raise ValueError(
            f"Parameter `validation_fraction` should lie in (0, 1). Found `validation_fraction = {fraction}`."
        )
