import csv
from pathlib import Path

import pytest
from lightning.pytorch.demos.boring_classes import BoringDataModule

from lightning_abkd.callbacks import PredictionWriter
from lightning_abkd.cli._predictions import write_predictions
from lightning_abkd.data import DigitsDataModule
from lightning_abkd.modules import DistillationModule
from tests.cli._commands import run
from tests.training._training import module, trainer

pytestmark = pytest.mark.float32


@pytest.mark.filterwarnings("ignore:The teacher seems to know nothing")
def test_the_command_writes_what_it_predicts(folder):
    run("fit", "--trainer.max_epochs", "1")
    run("predict", "--ckpt_path", "best")
    with Path("logs/version_1/predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["sample", "class", "probability", "teacher_class", "teacher_probability"]
    assert len(rows) == 359


def written(folder, model, data, callbacks=()):
    run = trainer(folder, callbacks=list(callbacks))
    write_predictions(run, model, data)
    return [callback for callback in run.callbacks if isinstance(callback, PredictionWriter)]


def test_a_writer_is_added_once(folder):
    mine = PredictionWriter("mine.csv")
    assert written(folder, module(), DigitsDataModule(), [mine]) == [mine]
    assert len(written(folder, module(), DigitsDataModule())) == 1


def test_predictions_of_another_kind_are_left_alone(folder):
    class Own(DistillationModule):
        def predict_step(self, batch, batch_idx):
            return {"anything": batch}

    assert written(folder, Own(student=module().student), DigitsDataModule()) == []
    assert written(folder, module(), BoringDataModule()) == []
