"""ROUGE-L of a network's responses to the test sets."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor
from torchmetrics import MeanMetric

from lightning_abkd.language.callbacks._responses import (
    Role,
    append_lines,
    check_role,
    checked,
    prompted_sets,
    responder,
    texts_of,
    write_whole,
)
from lightning_abkd.language.data import TextSample
from lightning_abkd.language.generation import Sampling, prompts_of, respond, seed_of_stream
from lightning_abkd.metrics import rouge_l

_FIRST = ("rouge_l", "rouge_l_deviation", "perplexity", "agreement", "student_entropy", "teacher_entropy")


class ResponseEvaluation(Callback):
    """Lets a network respond to the prompts of every test set and compares with the references, by ROUGE-L.

    As ABKD reports it (arXiv 2505.04560): responses are drawn once for each of five seeds; the mean over the samples is
    taken for each seed, then mean and sample standard deviation over the seeds. With `abkd test` it logs, under the
    set's name where there are several: `test/rouge_l` and `test/rouge_l_deviation` (between 0 and 100; no deviation of
    a single seed), `test/empty_responses` (their share; each scores 0) and `test/response_length` (mean number of
    tokens, an end-of-text token included). In YAML::

        trainer:
          callbacks:
            - class_path: lightning_abkd.callbacks.ResponseEvaluation
              init_args: {folder: runs/gpt2_ab/responses}

    What is drawn depends on the seed and on the samples of a batch, not on what ran before; another batch size or
    number of processes draws others. Several processes repeat samples to fill up their last batches: use one for
    numbers that are to be reported.

    The folder gets a .jsonl file for each set (test.jsonl without names), a line for each sample and seed, which grows
    as the test goes on; with several processes one for each of them. At the end results.md and results.json have a row
    for each set with all that was logged about it. A file of an earlier test is replaced; `fast_dev_run` writes none.

    Args:
        folder: Where the files are written; it is created.
        sampling: How to draw; None takes ABKD's: temperature 1, top-p 1, up to 256 tokens, no six of them twice. At
            temperature 0 there is one response to a prompt.
        seeds: Seeds, at least one; ABKD's by default.
        network: Who responds.
        max_samples: How many samples of each set to respond to, the first of it; None: all.

    Raises:
        ValueError: If `seeds` is empty or has one twice, `network` is unknown or `max_samples` is below 1; at the start
            of a test, if a sample has no prompt, or the teacher should respond and there is none.
        TypeError: At the start of a test, if module, data module or network do not allow it.
        ModuleNotFoundError: At the start of a test, if rouge-score is missing.
    """

    def __init__(
        self,
        folder: str,
        sampling: Sampling | None = None,
        seeds: Sequence[int] = (10, 20, 30, 40, 50),
        network: Role = "student",
        max_samples: int | None = None,
    ) -> None:
        if not seeds or len(set(seeds)) < len(seeds):
            raise ValueError(f"Parameter `seeds` should hold at least one seed, each once. Found `seeds = {seeds}`.")
        if max_samples is not None and max_samples < 1:
            raise ValueError(f"Parameter `max_samples` should be at least 1. Found `max_samples = {max_samples}`.")
        check_role(network)
        self.folder, self.network, self.max_samples = Path(folder), network, max_samples
        self.sampling = sampling or Sampling(no_repeat_ngram_size=6)
        self.seeds = list(seeds) if self.sampling.temperature else list(seeds)[:1]
        self._sets: list[_Set] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that it is possible."""
        if stage != "test":
            return
        module, data = checked(self, trainer, pl_module)
        responder(module, self.network)
        prompted_sets(data, "test")
        rouge_l("", [""])

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin afresh, the files too."""
        module, data = checked(self, trainer, pl_module)
        self._sets = [
            _Set(prefix, samples, [MeanMetric().to(module.device) for _ in range(len(self.seeds) + 2)])
            for prefix, samples in zip(module.stage_names("test"), prompted_sets(data, "test"), strict=True)
        ]
        if self._writes(trainer):
            for name in ("results.md", "results.json"):
                (self.folder / name).unlink(missing_ok=True)
            for tested in self._sets:
                write_whole(self._file(trainer, tested), "")

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Respond to the prompts of a batch, once for each seed."""
        module, data = checked(self, trainer, pl_module)
        tested, pairs = self._sets[dataloader_idx], zip(batch["index"].tolist(), prompts_of(batch), strict=True)
        asked = {index: prompt for index, prompt in pairs if self.max_samples is None or index < self.max_samples}
        if not asked:
            return
        for seed, score in zip(self.seeds, tested.scores, strict=True):
            drawn = seed_of_stream(min(asked), seed)
            # Hooks run outside of the trainer's precision.
            with trainer.precision_plugin.forward_context():
                network = responder(module, self.network)
                ids = respond(network, list(asked.values()), self.sampling, module.special_ids, drawn)
            rows = tested.rows(list(asked), texts_of(data, ids), seed)
            tested.update(score, rows, ids)
            if self._writes(trainer):
                append_lines(self._file(trainer, tested), rows)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log each set's values, over all ranks."""
        for tested in self._sets:
            values = tested.compute()
            named = {f"{tested.prefix}/{name}": value for name, value in values.items()}
            # The ranks agree by now; without being told so Lightning advises to have them averaged.
            pl_module.log_dict(named, sync_dist=True)
            if values["empty_responses"] == 1:
                rank_zero_warn(
                    f"All responses of the {self.network} to {tested.prefix} are empty, each a ROUGE-L of 0. Check "
                    "that it is trained (`--ckpt_path`), with this tokenizer and this template."
                )

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the table of all sets."""
        if not self._writes(trainer) or not trainer.is_global_zero:
            return
        logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
        results = {tested.name: _below(logged, tested.prefix) for tested in self._sets}
        options = self.sampling.options() | {"network": self.network, "seeds": self.seeds}
        options["max_samples"] = self.max_samples
        write_whole(self.folder / "results.json", json.dumps({"options": options, "sets": results}, indent=2))
        said = ", ".join(f"{name} {value}" for name, value in options.items() if value is not None)
        write_whole(self.folder / "results.md", f"{_table(results)}\nResponses: {said}.\n")
        rank_zero_info(f"Wrote responses and results to {self.folder.resolve()}.")

    def _file(self, trainer: Trainer, tested: "_Set") -> Path:
        rank = f".rank{trainer.global_rank}" if trainer.world_size > 1 else ""
        return self.folder / f"{tested.name}{rank}.jsonl"

    @staticmethod
    def _writes(trainer: Trainer) -> bool:
        return not getattr(trainer, "fast_dev_run", False)


@dataclass
class _Set:
    """A set under test: what it is called, its samples, and the means over them, of ROUGE-L for each seed."""

    prefix: str
    samples: list[TextSample]
    metrics: list[MeanMetric]

    def __post_init__(self) -> None:
        self.name = self.prefix.removeprefix("test/")
        *self.scores, self.length, self.empty = self.metrics

    def rows(self, indices: list[int], texts: list[str], seed: int) -> list[dict[str, object]]:
        """Score responses."""
        samples = [self.samples[index] for index in indices]
        return [
            {
                "index": index,
                "seed": seed,
                "rouge_l": rouge_l(text, sample.references),
                "prompt": sample.prompt,
                "response": text,
                "references": sample.references,
            }
            for index, sample, text in zip(indices, samples, texts, strict=True)
        ]

    def update(self, score: MeanMetric, rows: list[dict[str, object]], ids: list[Tensor]) -> None:
        """Add scored responses to the means, their ROUGE-L to that of their seed."""
        empty = [not str(row["response"]).strip() for row in rows]
        values = (score, [row["rouge_l"] for row in rows]), (self.length, [len(x) for x in ids]), (self.empty, empty)
        for metric, numbers in values:
            metric.update(torch.tensor(numbers, device=metric.device))

    def compute(self) -> dict[str, Tensor]:
        """Compute what is logged, over all ranks."""
        scores = torch.stack([score.compute() for score in self.scores])
        values = {"rouge_l": scores.mean()}
        if len(scores) > 1:
            values["rouge_l_deviation"] = scores.std()
        return values | {"empty_responses": self.empty.compute(), "response_length": self.length.compute()}


def _below(values: dict[str, float], prefix: str) -> dict[str, float]:
    """Take the values under a prefix, those of the table first."""
    found = {name.removeprefix(f"{prefix}/"): value for name, value in values.items() if name.startswith(f"{prefix}/")}
    return {name: found[name] for name in (*_FIRST, *found) if "/" not in name and name in found}


def _table(results: dict[str, dict[str, float]]) -> str:
    """Write a table with a row for each set."""
    names = dict.fromkeys(name for values in results.values() for name in values)
    columns = [name for name in names if name != "rouge_l_deviation"]
    lines = [f"| set | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    for name, values in results.items():
        cells = [f"{values[column]:.4g}" if column in values else "" for column in columns]
        if "rouge_l_deviation" in values:
            cells[columns.index("rouge_l")] = f"{values['rouge_l']:.2f} ± {values['rouge_l_deviation']:.2f}"
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])
