"""The classes that a student predicts, as a table."""

import csv
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.utilities import CombinedLoader, rank_zero_info
from torch import Tensor

from lightning_abkd._utils import write_whole
from lightning_abkd.training import Batch, DistillationModule, logits_of
from lightning_abkd.vision.callbacks._predicted import Predicted, Row

_NAME = "predictions.csv"


class PredictionWriter(BasePredictionWriter):
    """Writes what a student predicts: a table with the likeliest class and its probability for each sample.

    With it, `Trainer.predict` and `abkd predict` leave a CSV file in the order of the data. Its columns are `sample`
    (position among the stored samples), `file` where the data set knows it, `class` (name, or number where it has no
    names), `probability` and, where there is a teacher, `teacher_class` and `teacher_probability`; with several
    prediction loaders `loader` comes first. The file is written when the prediction is complete, by one process with
    the samples of all. The command adds this callback by itself when a `DistillationModule` predicts images. In YAML::

        trainer:
          callbacks:
            - class_path: lightning_abkd.callbacks.PredictionWriter
              init_args: {file: runs/birds.csv}

    Args:
        file: A .csv file; its folder is created and a former file replaced. None takes `predictions.csv` in the folder
            of the run's logs.

    Raises:
        ValueError: If `file` does not end with .csv or, in a prediction, if several processes predict from a loader
            whose samples have no positions.
        OSError: At the start of a prediction, if the file cannot be written.
        TypeError: In a prediction, if the module does not predict logits (B, C).

    Example:
        >>> PredictionWriter("runs/birds.csv").file.as_posix()
        'runs/birds.csv'
    """

    def __init__(self, file: str | Path | None = None) -> None:
        super().__init__(write_interval="batch")
        if file is not None and Path(file).suffix != ".csv":
            raise ValueError(f"Parameter `file` should end with .csv. Found `file = {str(file)!r}`.")
        self.file = None if file is None else Path(file).expanduser()
        self._predicted: dict[int, Predicted] = {}
        self._columns: list[str] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that the file can be written, before anything is predicted."""
        if stage == "predict":
            self._predicted.clear()
            _check_writable(self._path(trainer))

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: object,
        batch_indices: Sequence[int] | None,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Keep the predictions of a batch and, where there is a teacher, run it on the batch."""
        logits = [_checked(prediction, pl_module)]
        self._columns = ["class", "probability"]
        if isinstance(pl_module, DistillationModule) and pl_module.teacher is not None:
            logits.append(_checked(_teacher_logits(pl_module, batch), pl_module))
            self._columns += ["teacher_class", "teacher_probability"]
        predicted = self._of_loader(trainer, dataloader_idx)
        predicted.add(_positions(trainer, dataloader_idx, batch_idx, len(predicted), len(logits[0])), logits)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the table of all processes, and log where it is."""
        path = self._path(trainer)
        rows = _of_all_processes(trainer, [row for each in self._predicted.values() for row in each.rows()])
        if trainer.is_global_zero:
            by_place = {(row.loader, row.position): row for row in rows}
            self._write(path, [by_place[place] for place in sorted(by_place)], len(_loaders(trainer)) > 1)
            rank_zero_info(f"Wrote the predicted classes of {len(by_place)} samples to {path}.")

    def _of_loader(self, trainer: Trainer, number: int) -> Predicted:
        if number not in self._predicted:
            dataset = getattr(_loaders(trainer)[number], "dataset", None)
            self._predicted[number] = Predicted(number, dataset)
        return self._predicted[number]

    def _path(self, trainer: Trainer) -> Path:
        return self.file or Path(trainer.log_dir or trainer.default_root_dir, _NAME)

    def _write(self, path: Path, rows: Sequence[Row], several: bool) -> None:
        files = any(row.file for row in rows)
        header = [*["loader"] * several, "sample", *["file"] * files, *self._columns]
        with write_whole(path) as part, part.open("w", newline="", encoding="utf-8") as stream:
            table = csv.writer(stream)
            table.writerow(header)
            for row in rows:
                place = [*[row.loader] * several, row.sample, *[row.file] * files]
                answers = [cell for name, probability in row.answers for cell in (name, f"{probability:.6f}")]
                table.writerow([*place, *answers])


def _check_writable(path: Path) -> None:
    reason = "a folder" if path.is_dir() else None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
    if reason is not None:
        raise OSError(f"Parameter `file` should be a path that can be written. Found `file = {str(path)!r}`: {reason}.")


def _teacher_logits(module: DistillationModule, batch: Batch) -> object:
    """Return what the teacher answers to a batch, by the module's own reading of it."""
    with torch.no_grad():
        return module.signals(batch).get("teacher_logits")


def _checked(prediction: object, module: LightningModule) -> Tensor:
    logits = logits_of(prediction, "module's `predict_step`")
    if logits.dim() != 2:
        raise TypeError(
            f"PredictionWriter writes the classes of logits (B, C). Found the shape {tuple(logits.shape)} from "
            f"{type(module).__name__}. Write predictions of another kind by a callback of your own."
        )
    return logits


def _loaders(trainer: Trainer) -> list[object]:
    return list(CombinedLoader(trainer.predict_dataloaders, mode="sequential").flattened)


def _positions(trainer: Trainer, loader: int, batch_idx: int, before: int, size: int) -> Sequence[int]:
    """Return the positions of a batch's samples in their data set; a stream of samples is counted."""
    sampler = getattr(_loaders(trainer)[loader], "batch_sampler", None)
    seen = getattr(sampler, "seen_batch_indices", None)
    if seen:
        return [int(position) for position in seen[batch_idx]]
    if trainer.world_size > 1:
        raise ValueError(
            f"PredictionWriter needs to know which samples each of {trainer.world_size} processes has. Found a loader "
            "without positions, such as one of a stream. Set `trainer.devices: 1`."
        )
    return range(before, before + size)


def _of_all_processes(trainer: Trainer, rows: list[Row]) -> list[Row]:
    if trainer.world_size == 1:
        return rows
    gathered: list[list[Row] | None] = [None] * trainer.world_size
    torch.distributed.all_gather_object(gathered, rows)
    return [row for each in gathered for row in each or []]
