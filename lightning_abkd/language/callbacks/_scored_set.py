"""Scores of the responses to a test set, and the table of several sets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import torch
from torch import Tensor
from torchmetrics import MeanMetric

from lightning_abkd.language.data import TextSample
from lightning_abkd.metrics import rouge_l

# The columns that a table starts with, where they were logged.
_FIRST_COLUMNS = (
    "rouge_l",
    "rouge_l_deviation",
    "perplexity",
    "teacher_perplexity",
    "agreement",
    "student_entropy",
    "teacher_entropy",
    "loss",
    "task_loss",
    "divergence",
)


class ScoredResponse(TypedDict):
    """A line of a set's file."""

    index: int
    seed: int
    rouge_l: float
    prompt: str
    response: str
    references: tuple[str, ...]


@dataclass
class ScoredSet:
    """A test set and the means over its responses.

    Args:
        prefix: What its values are logged under, such as "test" or "test/dolly".
        samples: The samples in their order.
        seeds: Number of responses to each prompt.
        device: Device of the means.
    """

    prefix: str
    samples: list[TextSample]
    seeds: int
    device: torch.device
    scores: list[MeanMetric] = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.prefix.removeprefix("test/")
        self.scores = [MeanMetric().to(self.device) for _ in range(self.seeds)]
        self.length = MeanMetric().to(self.device)
        self.empty = MeanMetric().to(self.device)

    def rows(self, indices: Sequence[int], texts: Sequence[str], seed: int) -> list[ScoredResponse]:
        """Score responses to samples by ROUGE-L."""
        return [self._row(index, text, seed) for index, text in zip(indices, texts, strict=True)]

    def _row(self, index: int, text: str, seed: int) -> ScoredResponse:
        sample = self.samples[index]
        return {
            "index": index,
            "seed": seed,
            "rouge_l": rouge_l(text, sample.references),
            "prompt": sample.prompt,
            "response": text,
            "references": sample.references,
        }

    def update(self, seed_position: int, rows: Sequence[ScoredResponse], ids: Sequence[Tensor]) -> None:
        """Add scored responses and their lengths to the means, their ROUGE-L to the mean of their seed."""
        _add(self.scores[seed_position], [row["rouge_l"] for row in rows])
        _add(self.length, [len(response) for response in ids])
        _add(self.empty, [not row["response"].strip() for row in rows])

    def compute(self) -> dict[str, Tensor]:
        """Compute the values to log, over all ranks."""
        scores = torch.stack([score.compute() for score in self.scores])
        values = {"rouge_l": scores.mean()}
        if len(scores) > 1:
            values["rouge_l_deviation"] = scores.std()
        return values | {"empty_responses": self.empty.compute(), "response_length": self.length.compute()}


def _add(mean: MeanMetric, numbers: Sequence[float]) -> None:
    mean.update(torch.tensor(numbers, device=mean.device))


def values_under(prefix: str, logged: Mapping[str, float]) -> dict[str, float]:
    """Return the logged values of a set by their own names, those of the table's first columns first.

    Example:
        >>> values_under("test", {"test/loss": 2.0, "test/rouge_l": 20.0, "test/other/loss": 3.0})
        {'rouge_l': 20.0, 'loss': 2.0}
    """
    start = f"{prefix}/"
    found = {name.removeprefix(start): value for name, value in logged.items() if name.startswith(start)}
    return {name: found[name] for name in (*_FIRST_COLUMNS, *found) if "/" not in name and name in found}


def results_table(results: Mapping[str, Mapping[str, float]]) -> str:
    """Write a Markdown table with one row per set.

    Example:
        >>> print(results_table({"dolly": {"rouge_l": 20.0, "rouge_l_deviation": 0.5}}), end="")
        | set | rouge_l |
        |---|---:|
        | dolly | 20.00 ± 0.50 |
    """
    names = dict.fromkeys(name for values in results.values() for name in values)
    columns = [name for name in names if name != "rouge_l_deviation"]
    lines = [f"| set | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    for name, values in results.items():
        cells = [_cell(column, values) for column in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _cell(column: str, values: Mapping[str, float]) -> str:
    if column == "rouge_l" and "rouge_l_deviation" in values:
        return f"{values['rouge_l']:.2f} ± {values['rouge_l_deviation']:.2f}"
    return f"{values[column]:.4g}" if column in values else ""
