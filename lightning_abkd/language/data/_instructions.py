"""Instructions, conversations and plain text for causal language models."""

from typing import Literal, get_args

from lightning_abkd._utils import check_choice, digest
from lightning_abkd.language.data._loaders import Loaders, Packed, packed_loader, packed_rows, padded_loader
from lightning_abkd.language.data._options import (
    Layout,
    Lengths,
    Loading,
    Split,
    Stage,
    Turns,
    files_by_stage,
    needed_files,
    source_of,
    stages_of,
)
from lightning_abkd.language.data._prompts import Template, check_template
from lightning_abkd.language.data._record_files import check_files
from lightning_abkd.language.data._reports import FileReport, log_reports, report_parts
from lightning_abkd.language.data._sample_writer import SampleWriter, read_samples
from lightning_abkd.language.data._text_samples import TextSample, contents
from lightning_abkd.language.data._tokenizers import (
    as_tokenizer,
    byte_tokenizer,
    check_same_tokens,
    optional_tokenizer,
    padding_id,
)
from lightning_abkd.training import ResumableData, TrainingOrder


class InstructionDataModule(ResumableData):
    """Instructions or conversations, whose prompts are left out of the loss, or plain text, all of which is counted.

    Files are those of `read_records`. A batch holds input_ids, attention_mask and labels, each int64 of shape (B, T),
    padded on the right to the longest sample. Labels are -100 on prompt and padding, and are not shifted. The index
    (B,) holds the positions of the samples in their set, for `record`. Responses end with the end-of-text token. No
    other special token is added. What the tokenizer's chat template writes is taken as it is, tools and end of turn
    included. A table of what was read, cut and dropped, and why, is logged once at the start. A resumed run goes on in
    the order of its data, also from the middle of an epoch.

    With `packing`, training batches hold input_ids, labels and position_ids instead, with several samples per row.
    Networks of transformers tell these apart by the positions if they are called without mask and with
    `use_cache=False`; with flash attention only if `batch_size` is 1.

    Args:
        tokenizer: Tokenizer of transformers; None takes `byte_tokenizer()`.
        train_file: File of training data; None takes 175 seed tasks of Self-Instruct (Wang et al. 2022, Apache-2.0).
        validation_file: File of validation data, or several by name, each with its own loader; None sets aside
            `validation_fraction` of the training data.
        test_file: As `validation_file`; None tests on the validation data.
        max_length: Longest sample in tokens, at least 2; longer responses are cut, longer plain texts split.
        max_prompt_length: Longest prompt in tokens, at least 1; samples with a longer one are dropped.
        batch_size: Samples per batch, at least 1; with `packing`, rows per training batch.
        validation_fraction: Share of the training data set aside, in (0, 1).
        seed: Seed of the split, of `train_size` and of the packing.
        num_workers: Processes that load data.
        template: Function from instruction and input to the prompt, or "chat" for the tokenizer's chat template, which
            is always used for conversations; None takes `alpaca_prompt`.
        teacher_tokenizer: Tokenizer of the teacher, to be compared with `tokenizer`; None compares nothing.
        packing: Whether training samples share rows of up to `max_length` tokens.
        predict_set: Set that `predict_dataloader` returns, in its order.
        train_size: Number of training samples to use, at least 1, chosen after the validation set is set aside; all if
            None.
        columns: Columns of the files that have other names, by the names of `read_records`, as in
            `columns={"instruction": "question"}`.
        labelled_turns: Turns of the assistant in a conversation that have labels, the last or every one that the file
            gives no weight of 0. Where the chat template marks what is generated, only that has labels.

    Raises:
        TypeError: If `tokenizer` or `teacher_tokenizer` is not a tokenizer.
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

    # Options stay attributes that may be set, as Lightning's batch-size finder expects them.
    batch_size: int
    num_workers: int
    validation_fraction: float
    seed: int
    train_size: int | None
    max_length: int
    max_prompt_length: int
    columns: dict[str, str] | None
    labelled_turns: Turns

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
        template: Template = None,
        teacher_tokenizer: object | None = None,
        packing: bool = False,
        predict_set: Stage = "test",
        train_size: int | None = None,
        columns: dict[str, str] | None = None,
        labelled_turns: Turns = "last",
    ) -> None:
        loading = Loading(batch_size, num_workers)
        split = Split(validation_fraction, seed, train_size)
        lengths = Lengths(max_length, max_prompt_length)
        layout = Layout(columns, labelled_turns)
        check_choice("predict_set", predict_set, get_args(Stage))
        super().__init__()
        vars(self).update(vars(loading) | vars(split) | vars(lengths) | vars(layout))
        self.tokenizer = as_tokenizer("tokenizer", byte_tokenizer() if tokenizer is None else tokenizer)
        self.teacher_tokenizer = optional_tokenizer("teacher_tokenizer", teacher_tokenizer)
        check_template(template, self.tokenizer)
        self.padding = padding_id(self.tokenizer)
        self.train_file = train_file
        self.files = files_by_stage(validation_file, test_file)
        self.template = template
        self.packing = packing
        self.predict_set = predict_set
        self.sets: dict[str, dict[str, list[TextSample]]] = {}
        self.rows: list[Packed] = []
        self._reports: list[FileReport] = []

    def setup(self, stage: str) -> None:
        """Compare the tokenizers and read the files of the stage, each once.

        Args:
            stage: "fit", "validate", "test" or "predict".
        """
        super().setup(stage)
        if self.teacher_tokenizer is not None:
            check_same_tokens(self.tokenizer, self.teacher_tokenizer)
        needed = needed_files(stage, self.train_file, self.files, self.predict_set)
        check_files(needed, self.columns)
        for name in stages_of(stage, self.predict_set):
            self._read_once(name)
        log_reports(self._reports)

    def record(self, stage: Stage, index: int, name: str | None = None) -> TextSample:
        """Look up the sample that a batch's `index` stands for.

        Args:
            stage: The stage whose set it is in.
            index: Position in the set.
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
        """Return the names of a stage's sets in the order of its loaders; none for a single set without a name."""
        source = self._source(self.predict_set if stage == "predict" else stage)
        return [name for name in self.files.get(source, {}) if name]

    def fingerprint(self, stage: Stage = "train") -> str:
        """Compute a fingerprint (16 hex digits) of all ids and labels of a stage's sets."""
        return digest(*(part for samples in self._open(stage).values() for part in contents(samples)))

    def train_dataloader(self) -> Loaders:
        """Return the shuffled loader of the training set."""
        samples = self._open("train")[""]
        if self.packing:
            return packed_loader(self._loading(), self.rows, self.padding, self._order(len(self.rows)))
        return padded_loader(self._loading(), samples, self.padding, self._order(len(samples)))

    def val_dataloader(self) -> Loaders:
        """Return the loader of the validation set, or a list of those of the named sets."""
        return self._loaders("validation")

    def test_dataloader(self) -> Loaders:
        """Return the loader of the test set, or a list of those of the named sets."""
        return self._loaders("test")

    def predict_dataloader(self) -> Loaders:
        """Return the loader of `predict_set`, neither shuffled nor packed, or a list of those of the named sets."""
        return self._loaders(self.predict_set)

    def _source(self, stage: str) -> str:
        return source_of(stage, self.files)

    def _open(self, stage: Stage) -> dict[str, list[TextSample]]:
        """Return the sets of a stage, which are read on first use, and say what was read."""
        sets = self._read_once(stage)
        log_reports(self._reports)
        return sets

    def _read_once(self, stage: Stage) -> dict[str, list[TextSample]]:
        """Return the sets of a stage, which are read on first use; every rank reads the same."""
        source = self._source(stage)
        if source not in self.sets:
            if self.files.get(source):
                self.sets[source] = {name: self._read(file) for name, file in self.files[source].items()}
            else:
                self._open_training()
        return self.sets[source]

    def _open_training(self) -> None:
        split = Split(self.validation_fraction, self.seed, self.train_size)
        samples = self._read(self.train_file)
        order = split.order(len(samples))
        held_out = 0 if self.files["validation"] else split.held_out(len(samples))
        if held_out:
            self.sets["validation"] = {"": [samples[i] for i in order[:held_out]]}
        train = [samples[i] for i in split.limit(order[held_out:])]
        report_parts(self._reports, held_out, len(samples) - held_out - len(train))
        if self.packing:
            self.rows = packed_rows(train, self.max_length, self.seed)
        self.sets["train"] = {"": train}

    def _read(self, file: str | None) -> list[TextSample]:
        lengths = Lengths(self.max_length, self.max_prompt_length)
        writer = SampleWriter(self.tokenizer, self.template, lengths, self.labelled_turns)
        read = read_samples(file, writer, self.columns)
        self._reports.append(read.report)
        return read.samples

    def _order(self, size: int) -> TrainingOrder:
        return self.training_order(size, self.batch_size, augments=False)

    def _loading(self) -> Loading:
        return Loading(self.batch_size, self.num_workers)

    def _loaders(self, stage: Stage) -> Loaders:
        sets = self._open(stage)
        loaders = [padded_loader(self._loading(), samples, self.padding) for samples in sets.values()]
        return loaders[0] if "" in sets else loaders
