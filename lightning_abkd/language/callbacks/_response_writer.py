"""A teacher's responses as training data."""

import json
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

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
from lightning_abkd.language.data import TextSample, read_records
from lightning_abkd.language.generation import GeneratedResponses, Responder, Sampling
from lightning_abkd.language.teachers import model_identity


class ResponseWriter(Callback):
    """Writes what a network responds to a set's prompts, for a student to learn from: sequence-level distillation.

    Kim & Rush 2016, arXiv 1606.07947. With it `abkd predict` responds to the samples of the data module's `predict_set`
    and writes them in their order, each as soon as its batch is done: instruction, input and output, or for a
    conversation its messages; and index. The file is a `train_file` as it stands, and the template writes the same
    prompts again. In YAML::

        trainer:
          callbacks:
            - class_path: lightning_abkd.callbacks.ResponseWriter
              init_args: {file: data/dolly/teacher.jsonl}
        data:
          init_args: {predict_set: train}

    A run that is killed goes on where it was, and the file becomes what it would have been: draws depend on `seed` and
    on the samples of a batch, so that a batch cut short is written again. `FILE.json` beside it names data, network and
    sampling, and a run with others is refused. Empty responses are written, counted and left out by a data module. A
    response as long as the sampling allows is written as it stands, without an end of its own.

    Args:
        file: A .jsonl file; its folder is created.
        network: Who responds.
        sampling: How; None takes temperature 1 and up to 256 tokens.
        seed: Seed of the draws.

    Raises:
        ValueError: If `file` is no .jsonl file or `network` is unknown; at the start of a prediction, if the file
            belongs to something else or has been changed, there are several sets or processes, a sample has no prompt,
            or the teacher should respond and there is none.
        TypeError: At the start of a prediction, if module, data module or network do not allow it.
    """

    def __init__(self, file: str, network: Role = "teacher", sampling: Sampling | None = None, seed: int = 0) -> None:
        if not file.endswith(".jsonl"):
            raise ValueError(f"Parameter `file` should end with .jsonl. Found `file = {file!r}`.")
        check_role(network)
        self.file, self.network, self.sampling, self.seed = Path(file), network, sampling or Sampling(), seed
        self._samples: list[TextSample] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that it is possible."""
        if stage != "predict":
            return
        if trainer.world_size > 1:
            raise ValueError(
                f"ResponseWriter writes from one process. Found {trainer.world_size}. Set `trainer.devices: 1`."
            )
        module, data = checked(self, trainer, pl_module)
        responder(module, self.network)
        if len(names := data.set_names("predict")) > 1:
            raise ValueError(f"ResponseWriter writes one set. Found {', '.join(names)} for {data.predict_set}.")
        prompted_sets(data, data.predict_set)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find what is done; the checkpoint's weights are there by now."""
        module, data = checked(self, trainer, pl_module)
        (self._samples,) = prompted_sets(data, data.predict_set)
        total = len(self._samples)
        origin: dict[str, object] = {
            "data": f"{total} samples {data.fingerprint(data.predict_set)}",
            "network": model_identity(responder(module, self.network)),
            "sampling": self.sampling.options(),
            "seed": self.seed,
        }
        done = self._begun(origin, total, data.batch_size)
        module.respond_with(Responder(self.network, self.sampling, self.seed, frozenset(range(done))))

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: GeneratedResponses,
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write the responses to a batch."""
        _, data = checked(self, trainer, pl_module)
        texts = texts_of(data, outputs.ids)
        rows = [_row(self._samples[i], text, i) for i, text in zip(outputs.samples, texts, strict=True)]
        append_lines(self.file, rows)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say how many there are."""
        records = read_records(self.file)
        empty = sum(not record.responses[0].strip() for record in records)
        rank_zero_info(
            f"{self.file}: {len(records)} responses of the {self.network}"
            + (f"; {empty} of them are empty, which a data module leaves out." if empty else ".")
        )

    def _begun(self, origin: dict[str, object], total: int, batch_size: int) -> int:
        """Count the responses that an earlier run has left, and cut off those of a batch that it did not end."""
        note = Path(f"{self.file}.json")
        if not self.file.exists():
            write_whole(note, json.dumps(origin, indent=2))
            write_whole(self.file, "")
            return 0
        if not note.exists():
            raise ValueError(f"{self.file} should have {note} beside it to go on. Found none; choose another `file`.")
        before = json.loads(note.read_text(encoding="utf-8"))
        differing = [
            f"`{name} = {new}`, begun with {before[name]}" for name, new in origin.items() if before[name] != new
        ]
        if differing:
            raise ValueError(
                f"{self.file} should go on as it was begun. Found {'; '.join(differing)}. Choose another `file`."
            )
        # What follows the last line break is nothing, or a line that was being written.
        *lines, rest = self.file.read_text(encoding="utf-8").split("\n")
        if [_index(line) for line in lines] != list(range(len(lines))):
            raise ValueError(
                f"{self.file} should hold a line for each index in turn. Found another order; it was changed."
            )
        done = len(lines) if len(lines) == total else len(lines) - len(lines) % batch_size
        if rest or done < len(lines):
            write_whole(self.file, "".join(f"{line}\n" for line in lines[:done]))
        cut = " The batch that was cut short is written again." if rest or done < len(lines) else ""
        rank_zero_info(f"{self.file}: goes on after {done} of {total} responses.{cut}")
        return done


def _row(sample: TextSample, text: str, index: int) -> dict[str, object]:
    """Write a record as `read_records` reads it."""
    record = sample.record
    if record.messages:
        return {"messages": [*record.messages, {"role": "assistant", "content": text}], "index": index}
    return {"instruction": record.instruction, "input": record.context, "output": text, "index": index}


def _index(line: str) -> object:
    try:
        return json.loads(line)["index"]
    except (ValueError, KeyError, TypeError):
        return None
