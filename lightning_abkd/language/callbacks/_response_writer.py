"""A teacher's responses as training data."""

from pathlib import Path
from typing import get_args

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from lightning_abkd._utils import check_choice
from lightning_abkd.language import LanguageDistillationModule
from lightning_abkd.language.callbacks._language_run import LanguageRun, language_run
from lightning_abkd.language.callbacks._response_file import ResponseFile
from lightning_abkd.language.data import TextSample, read_records
from lightning_abkd.language.generation import GeneratedResponses, Responder, Role, Sampling
from lightning_abkd.language.teachers import identity_like


class ResponseWriter(Callback):
    """Writes a network's responses to a set's prompts, for a student to learn from: sequence-level distillation.

    Kim & Rush 2016, arXiv 1606.07947. With it, `abkd predict` responds to the samples of the data module's
    `predict_set` and writes one record per sample in their order, each batch as soon as it is done. A record has
    instruction, input and output, or the messages of a conversation, and its index. The file can be used as
    `train_file`; the template writes the same prompts again. In YAML::

        trainer:
          callbacks:
            - class_path: lightning_abkd.callbacks.ResponseWriter
              init_args: {file: data/dolly/teacher.jsonl}
        data:
          init_args: {predict_set: train}

    A run that was killed continues, and the file becomes the same as without the interruption: draws depend on `seed`
    and on the samples of a batch, and a batch that was cut short is written again. `FILE.json` beside it names data,
    network and sampling; a run with others raises an error. Empty responses are written and counted; a data module
    leaves them out. A response that reaches the longest length is written as it is, cut off.

    Args:
        file: A .jsonl file; its folder is created.
        network: Network that responds, "student" or "teacher".
        sampling: How to draw; None takes temperature 1 and up to 256 tokens.
        seed: Seed of the draws.

    Raises:
        ValueError: If `file` is not a .jsonl file or `network` is unknown; at the start of a prediction, if the file
            belongs to something else or has been changed, there are several sets or processes, a sample has no prompt,
            or the teacher should respond and there is none.
        TypeError: At the start of a prediction, if module, data module or network do not allow it.

    Example:
        >>> ResponseWriter("data/teacher.jsonl", sampling=Sampling(max_new_tokens=64)).network
        'teacher'
    """

    def __init__(self, file: str, network: Role = "teacher", sampling: Sampling | None = None, seed: int = 0) -> None:
        if not file.endswith(".jsonl"):
            raise ValueError(f"Parameter `file` should end with .jsonl. Found `file = {file!r}`.")
        check_choice("network", network, get_args(Role))
        self.file = Path(file)
        self.network = network
        self.sampling = sampling or Sampling()
        self.seed = seed
        self._responses = ResponseFile(self.file)
        self._samples: list[TextSample] = []
        self._before: Responder | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that the network can respond to the set."""
        if stage != "predict":
            return
        if trainer.world_size > 1:
            raise ValueError(
                f"ResponseWriter writes from one process. Found {trainer.world_size}. Set `trainer.devices: 1`."
            )
        run = language_run(self, trainer, pl_module)
        run.responding_network(self.network)
        names = run.data.set_names("predict")
        if len(names) > 1:
            raise ValueError(f"ResponseWriter writes one set. Found {', '.join(names)} for {run.data.predict_set}.")
        run.prompted_sets(run.data.predict_set)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the responses that are still to be written; the checkpoint's weights are loaded by now."""
        run = language_run(self, trainer, pl_module)
        self._samples = run.prompted_sets(run.data.predict_set)[0]
        done = self._responses.resume(self._origin(run), len(self._samples), run.data.batch_size)
        responder = Responder(self.network, self.sampling, self.seed, frozenset(range(done)))
        self._before = run.module.respond_with(responder)

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
        texts = language_run(self, trainer, pl_module).texts(outputs.ids)
        rows = [_row(self._samples[i], text, i) for i, text in zip(outputs.samples, texts, strict=True)]
        self._responses.append(rows)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the module its own responder back; the next prediction may be another's."""
        self._give_back(pl_module)

    def _give_back(self, module: LightningModule) -> None:
        if self._before is not None and isinstance(module, LanguageDistillationModule):
            module.respond_with(self._before)
            self._before = None

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log how many responses there are."""
        self._give_back(pl_module)
        records = read_records(self.file)
        empty = sum(not record.responses[0].strip() for record in records)
        rank_zero_info(
            f"{self.file}: {len(records)} responses of the {self.network}"
            + (f"; {empty} of them are empty, which a data module leaves out." if empty else ".")
        )

    def _origin(self, run: LanguageRun) -> dict[str, object]:
        """Name what the responses are made from."""
        return {
            "data": f"{len(self._samples)} samples {run.data.fingerprint(run.data.predict_set)}",
            "network": identity_like(run.responding_network(self.network), self._responses.begun_with("network")),
            "sampling": self.sampling.options(),
            "seed": self.seed,
        }


def _row(sample: TextSample, text: str, index: int) -> dict[str, object]:
    """Build a record as `read_records` reads it."""
    record = sample.record
    if record.messages:
        messages = [*record.messages, {"role": "assistant", "content": text}]
        others = {"tools": record.tools, "chat_template_kwargs": record.options}
        return {"messages": messages, **{name: value for name, value in others.items() if value}, "index": index}
    return {"instruction": record.instruction, "input": record.context, "output": text, "index": index}
