"""ROUGE-L of a network's responses to the test sets."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor

from lightning_abkd._utils import check_at_least, check_choice
from lightning_abkd.language.callbacks._language_run import LanguageRun, language_run
from lightning_abkd.language.callbacks._scored_set import ScoredSet, results_table, values_under
from lightning_abkd.language.callbacks._text_files import append_lines, write_text
from lightning_abkd.language.generation import Role, Sampling, prompts_of, respond, seed_of_stream
from lightning_abkd.metrics import rouge_l
from lightning_abkd.training import log_agreed, repeated_row


class ResponseEvaluation(Callback):
    """Lets a network respond to the prompts of every test set; scores responses against references by ROUGE-L.

    As ABKD reports it (arXiv 2505.04560): responses are drawn once for each of five seeds. The scores are averaged over
    the samples of each seed, then mean and sample standard deviation over the seeds are taken. With `abkd test` it
    logs, under the set's name where there are several: `test/rouge_l` and `test/rouge_l_deviation` (between 0 and 100;
    no deviation of a single seed), `test/empty_responses` (their share; each scores 0) and `test/response_length` (mean
    number of tokens, an end-of-text token included). In YAML::

        trainer:
          callbacks:
            - class_path: lightning_abkd.callbacks.ResponseEvaluation
              init_args: {folder: runs/gpt2_ab/responses}

    Draws depend on the seed and on the samples of a batch, not on what ran before; with another batch size or number of
    processes they differ. Several processes repeat samples to fill up their last batches: use one process for numbers
    that are to be reported.

    The folder gets one .jsonl file per set (test.jsonl without names; with several processes one per set and process).
    It has a line for each sample and seed and grows during the test. At the end results.md and results.json have a row
    for each set with everything that was logged about it. Files of an earlier test are replaced; `fast_dev_run` writes
    none.

    Args:
        folder: Where the files are written; it is created.
        sampling: How to draw; None takes ABKD's: temperature 1, top-p 1, up to 256 tokens, no six of them twice. At
            temperature 0 there is one response per prompt.
        seeds: Seeds, at least one; ABKD's by default.
        network: Network that responds, "student" or "teacher".
        max_samples: Number of samples of each set to respond to, from its start; None: all.

    Raises:
        ValueError: If `seeds` is empty or has one twice, `network` is unknown or `max_samples` is below 1; at the start
            of a test, if a sample has no prompt, or the teacher should respond and there is none.
        TypeError: At the start of a test, if module, data module or network do not allow it.
        ModuleNotFoundError: At the start of a test, if rouge-score is missing.

    Example:
        >>> ResponseEvaluation("runs/responses", Sampling(temperature=0.0)).seeds
        [10]
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
        if max_samples is not None:
            check_at_least("max_samples", max_samples, 1)
        check_choice("network", network, get_args(Role))
        self.folder = Path(folder)
        self.network = network
        self.max_samples = max_samples
        self.sampling = sampling or Sampling(no_repeat_ngram_size=6)
        self.seeds = list(seeds) if self.sampling.temperature else list(seeds)[:1]
        self._sets: list[ScoredSet] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that the network can respond to the test sets and that its responses can be scored."""
        if stage != "test":
            return
        run = language_run(self, trainer, pl_module)
        run.responding_network(self.network)
        run.prompted_sets("test")
        # Imports the optional package.
        rouge_l("", [""])

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start with empty means and empty files."""
        run = language_run(self, trainer, pl_module)
        # Ranks have different numbers of prompts.
        run.module.hold_whole_weights()
        named = zip(run.module.stage_names("test"), run.prompted_sets("test"), strict=True)
        self._sets = [ScoredSet(prefix, samples, len(self.seeds), run.module.device) for prefix, samples in named]
        if _is_trial(trainer):
            return
        for name in ("results.md", "results.json"):
            (self.folder / name).unlink(missing_ok=True)
        for scored in self._sets:
            write_text(self._file(trainer, scored), "")

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Respond to the prompts of a batch, once per seed."""
        prompts = self._prompts_by_sample(batch)
        if repeated_row(trainer, batch_idx, dataloader_idx) is not None:
            # Another rank responds to it.
            prompts.pop(int(batch["index"][-1]), None)
        if not prompts:
            return
        run = language_run(self, trainer, pl_module)
        scored = self._sets[dataloader_idx]
        for position, seed in enumerate(self.seeds):
            # Hooks run outside of the trainer's precision.
            with trainer.precision_plugin.forward_context():
                ids = self._respond(run, prompts, seed)
            rows = scored.rows(list(prompts), run.texts(ids), seed)
            scored.update(position, rows, ids)
            if not _is_trial(trainer):
                append_lines(self._file(trainer, scored), rows)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log each set's values, over all ranks."""
        for scored in self._sets:
            values = scored.compute()
            named = {f"{scored.prefix}/{name}": value for name, value in values.items()}
            log_agreed(pl_module, named)
            if values["empty_responses"] == 1:
                rank_zero_warn(
                    f"All responses of the {self.network} to {scored.prefix} are empty and have a ROUGE-L of 0. Check "
                    "that it is trained (`--ckpt_path`), with this tokenizer and this template."
                )

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the table of all sets."""
        if _is_trial(trainer) or not trainer.is_global_zero:
            return
        logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
        results = {scored.name: values_under(scored.prefix, logged) for scored in self._sets}
        options = self.sampling.options() | {"network": self.network, "seeds": self.seeds}
        options["max_samples"] = self.max_samples
        write_text(self.folder / "results.json", json.dumps({"options": options, "sets": results}, indent=2))
        listed = ", ".join(f"{name} {value}" for name, value in options.items() if value is not None)
        write_text(self.folder / "results.md", f"{results_table(results)}\nResponses: {listed}.\n")
        rank_zero_info(f"Wrote responses and results to {self.folder.resolve()}.")

    def _prompts_by_sample(self, batch: dict[str, Tensor]) -> dict[int, Tensor]:
        """Return the prompts of a batch by the positions of their samples, up to `max_samples`."""
        pairs = zip(batch["index"].tolist(), prompts_of(batch), strict=True)
        return {index: prompt for index, prompt in pairs if self.max_samples is None or index < self.max_samples}

    def _respond(self, run: LanguageRun, prompts: dict[int, Tensor], seed: int) -> list[Tensor]:
        network = run.responding_network(self.network)
        seed = seed_of_stream(seed, min(prompts))
        return respond(network, list(prompts.values()), self.sampling, run.module.special_ids, seed)

    def _file(self, trainer: Trainer, scored: ScoredSet) -> Path:
        rank = f".rank{trainer.global_rank}" if trainer.world_size > 1 else ""
        return self.folder / f"{scored.name}{rank}.jsonl"


def _is_trial(trainer: Trainer) -> bool:
    """Return True for a `fast_dev_run`, which writes no files."""
    return bool(getattr(trainer, "fast_dev_run", False))
