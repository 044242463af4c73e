"""Records as samples of tokens, and a count of what was cut and left out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from lightning_abkd.language.data._chat import Span, common_length
from lightning_abkd.language.data._chat_notes import left_out
from lightning_abkd.language.data._options import Lengths, Turns
from lightning_abkd.language.data._prompts import Template, chat_of, takes_chat, task_prompt
from lightning_abkd.language.data._record import Record
from lightning_abkd.language.data._records import read_file
from lightning_abkd.language.data._reports import FileReport
from lightning_abkd.language.data._text_samples import TextSample
from lightning_abkd.language.data._tokenizers import Tokenizer

Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]


@dataclass(frozen=True)
class SampleWriter:
    """Turns records into samples.

    Responses to a function's prompt and documents end with the end-of-text token. Conversations are what the chat
    template writes. A document longer than `max_length` becomes consecutive blocks. A last block of one token is left
    out, because nothing can be predicted from it.

    Args:
        tokenizer: Tokenizer.
        template: As in `prompt_of`.
        lengths: Longest sample, to which responses are cut, and longest prompt; samples with a longer one are dropped.
        turns: Which turns of the assistant have labels.
        counts: How often each thing happened.
    """

    tokenizer: Tokenizer
    template: Template
    lengths: Lengths
    turns: Turns = "last"
    counts: Counter[str] = field(default_factory=Counter)

    def samples(self, record: Record) -> list[TextSample]:
        """Return the sample of a record: several for a long document, none if it is dropped.

        Raises:
            ValueError: If the record cannot be written.
        """
        if record.is_empty:
            self.counts["dropped: empty response"] += 1
            return []
        if record.is_text:
            return self._blocks(record)
        sample = self._chat(record) if takes_chat(record, self.template) else self._task(record)
        if sample.prompt_length > self.lengths.max_prompt_length:
            self.counts[f"dropped: prompt over {self.lengths.max_prompt_length} tokens"] += 1
            return []
        return self._cut(sample)

    def _blocks(self, record: Record) -> list[TextSample]:
        ids = [*self._encode(record.responses[0]), *self._end]
        longest = self.lengths.max_length
        blocks = [ids[start : start + longest] for start in range(0, len(ids), longest)]
        self._note(len(blocks[-1]) == 1, "last blocks of one token left out")
        return [TextSample("", record.responses, _array(block), 0, record) for block in blocks if len(block) > 1]

    def _task(self, record: Record) -> TextSample:
        prompt = task_prompt(record, self.template)
        prompt_ids = self._encode(prompt)
        if self._joins:
            ids = self._encode(prompt + record.responses[0])
            prompt_length = common_length(prompt_ids, ids)
        else:
            ids = prompt_ids + self._encode(record.responses[0])
            prompt_length = len(prompt_ids)
        return TextSample(prompt, record.responses, _array([*ids, *self._end]), prompt_length, record)

    def _chat(self, record: Record) -> TextSample:
        chat = chat_of(record, self.tokenizer)
        text = chat.text
        ids = self._encode(text)
        reply = chat.last_reply(text)
        start = self._tokens(text, ids, reply)[0]
        spans = [reply] if self.turns == "last" else chat.replies(text)
        counted = _inside(len(ids), [self._tokens(text, ids, span) for span in spans])
        marks = chat.counted_by_template()
        if marks is not None:
            counted = _runs_that_meet(marks, counted)
        self.counts.update(left_out(chat, text))
        end = self.tokenizer.eos_token_id
        self._note(end is not None and end not in ids[start:], "replies that end without the end-of-text token")
        references = record.responses if record.responses[0].strip() else (text[slice(*reply)],)
        is_plain = bool(counted[start:].all()) and not counted[:start].any()
        return TextSample(text[: reply[0]], references, _array(ids), start, record, None if is_plain else counted)

    def _tokens(self, text: str, ids: Sequence[int], span: Span) -> Span:
        """Return which tokens a part of a text is: those after what the text before it shares with the whole.

        A token on both sides of the start belongs to the part, one on both sides of the end does not.
        """
        first, last = (len(ids) if at == len(text) else common_length(self._encode(text[:at]), ids) for at in span)
        return first, last

    def _cut(self, sample: TextSample) -> list[TextSample]:
        longest = self.lengths.max_length
        if len(sample) > longest:
            self.counts[f"cut to {longest} tokens"] += 1
            counted = None if sample.counted is None else sample.counted[:longest]
            sample = replace(sample, tokens=sample.tokens[:longest], counted=counted)
        has_label = len(sample) > 1 and sample.label_count > 0
        self._note(not has_label, "dropped: no token that counts")
        return [sample] if has_label else []

    def _note(self, happened: bool, what: str) -> None:
        if happened:
            self.counts[what] += 1

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False, verbose=False)

    @cached_property
    def _end(self) -> list[int]:
        end = self.tokenizer.eos_token_id
        return [] if end is None else [end]

    @cached_property
    def _joins(self) -> bool:
        """Whether a text has other tokens after another one than alone.

        SentencePiece puts "▁" before the first word of a text; a response is not the first.
        """
        return self._encode("\na") != self._encode("\n") + self._encode("a")


@dataclass(frozen=True)
class SampleFile:
    """The samples of a file, and what became of its records."""

    samples: list[TextSample]
    report: FileReport


def read_samples(file: str | Path | None, writer: SampleWriter, columns: Mapping[str, str] | None = None) -> SampleFile:
    """Read a file and turn it into tokens.

    Args:
        file: File or folder for `read_records`; None reads the seed tasks of Self-Instruct, whose columns are ours.
        writer: What turns records into samples; its counts begin anew.
        columns: As in `read_records`.

    Returns:
        Samples in the order of the file, and a count of what was cut, left out and dropped.

    Raises:
        ValueError: If the file is broken or no sample fits. It names the file and the record.
    """
    if file is None:
        with as_file(files("lightning_abkd.language.data") / "seed_tasks.jsonl") as seeds:
            return read_samples(seeds, writer)
    path = Path(file)
    writer.counts.clear()
    reading = read_file(path, columns)
    samples: list[TextSample] = []
    for place, record in zip(reading.places, reading.records, strict=True):
        try:
            samples.extend(writer.samples(record))
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
    report = FileReport(path, reading.rows, len(samples), reading.notes + writer.counts)
    if not samples:
        raise ValueError(
            f"{path} should hold a sample that fits. Found none: {report.reasons}. Raise `max_prompt_length`."
        )
    return SampleFile(samples, report)


def _array(ids: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.array(ids, dtype=np.int32)


def _inside(length: int, spans: Sequence[Span]) -> Mask:
    """Return which of the tokens are in one of the spans."""
    inside: Mask = np.zeros(length, dtype=np.bool_)
    for first, last in spans:
        inside[first:last] = True
    return inside


def _runs_that_meet(marks: Sequence[bool], wanted: Mask) -> Mask:
    """Return the runs of marked tokens that hold a wanted one."""
    kept = np.zeros(len(marks), dtype=np.bool_)
    edges = np.flatnonzero(np.diff(np.array([False, *marks, False])))
    for first, last in edges.reshape(-1, 2):
        kept[first:last] = wanted[first:last].any()
    return kept
