import csv
import os
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from lightning_abkd.callbacks import PredictionWriter
from lightning_abkd.data import BaseToNewDataModule, DigitsDataModule, ImageFolderDataModule
from lightning_abkd.modules import BaseToNewModule, DistillationModule
from tests.training._training import dataset, loader, module, trainer
from tests.vision.data._coop import write_coop
from tests.vision.data._pictures import encoded, noise, write_folders

pytestmark = pytest.mark.float32


def table(path):
    with Path(path).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def predict(folder, model, data, file="out/table.csv", **options):
    writer = PredictionWriter(None if file is None else folder / file)
    source = {"dataloaders": data} if isinstance(data, DataLoader | list) else {"datamodule": data}
    trainer(folder, callbacks=[writer], **options).predict(model, **source)
    return table(folder / file) if file else None


def classes(network, inputs):
    with torch.no_grad():
        likeliest = network.eval()(inputs).softmax(-1).max(-1)
    return [str(label) for label in likeliest.indices.tolist()], likeliest.values.tolist()


class Plain(LightningModule):
    """Predicts logits without being one of ours."""

    def __init__(self):
        super().__init__()
        self.network = nn.Linear(5, 3)

    def predict_step(self, batch, batch_idx, dataloader_idx=0):
        return self.network(batch if isinstance(batch, torch.Tensor) else batch[0])


def test_rows_are_the_answers_of_student_and_teacher_in_order(tmp_path):
    distillation = module()
    rows = predict(tmp_path, distillation, loader(20))
    inputs = dataset(20).tensors[0]
    assert list(rows[0]) == ["sample", "class", "probability", "teacher_class", "teacher_probability"]
    assert [row["sample"] for row in rows] == [str(number) for number in range(20)]
    for prefix, network in (("", distillation.student), ("teacher_", distillation.teacher)):
        labels, probabilities = classes(network, inputs)
        assert [row[f"{prefix}class"] for row in rows] == labels
        assert [float(row[f"{prefix}probability"]) for row in rows] == pytest.approx(probabilities, abs=1e-6)


def test_without_a_teacher_there_are_no_columns_for_it(tmp_path):
    rows = predict(tmp_path, module(teacher=None, divergence=None), DataLoader(dataset(9).tensors[0], 4))
    assert (list(rows[0]), len(rows)) == (["sample", "class", "probability"], 9)


def test_several_loaders_are_told_apart(tmp_path):
    rows = predict(tmp_path, module(), [loader(6, 4), loader(3, 2, seed=1)])
    assert [(row["loader"], row["sample"]) for row in rows] == [("0", str(i)) for i in range(6)] + [
        ("1", str(i)) for i in range(3)
    ]


def test_batches_that_are_mappings_are_read_as_in_training(tmp_path):
    pairs = dataset(5)
    rows = [{"pixel_values": inputs, "labels": label} for inputs, label in pairs]
    written = predict(tmp_path, module(), DataLoader(rows, 2))
    assert written == predict(tmp_path, module(), DataLoader(pairs, 2))


def test_what_is_not_one_row_of_logits_a_sample_is_refused(tmp_path):
    dense = module(teacher=None, divergence=None, student=nn.Conv2d(1, 2, 1))
    with pytest.raises(TypeError, match=r"classes of logits \(B, C\). Found the shape \(2, 2, 4, 4\)"):
        predict(tmp_path, dense, DataLoader(torch.zeros(2, 1, 4, 4), 2))


@pytest.mark.filterwarnings("ignore:Couldn't infer the batch indices")
def test_samples_of_a_stream_are_counted(tmp_path):
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(dataset(5).tensors[0])

    rows = predict(tmp_path, Plain(), [loader(3, 2), DataLoader(Stream(), 2)])
    assert [row["sample"] for row in rows] == ["0", "1", "2", "0", "1", "2", "3", "4"]


def test_by_default_the_table_lies_beside_the_logs_and_is_announced(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("lightning_abkd.vision.callbacks._prediction_writer.rank_zero_info", said.append)
    predict(tmp_path, module(), loader(4), file=None, logger=CSVLogger(tmp_path, "run"))
    path = tmp_path / "run" / "version_0" / "predictions.csv"
    assert len(table(path)) == 4
    assert said == [f"Wrote the predicted classes of 4 samples to {path}."]


def test_a_second_prediction_replaces_the_table(tmp_path):
    writer = PredictionWriter(tmp_path / "a.csv")
    for size in (8, 3):
        trainer(tmp_path, callbacks=[writer]).predict(module(), dataloaders=loader(size, 2))
    assert len(table(tmp_path / "a.csv")) == 3
    assert os.listdir(tmp_path) == ["a.csv"]


def test_a_prediction_that_fails_leaves_the_former_table(tmp_path):
    (tmp_path / "a.csv").write_text("former")
    inputs = torch.cat([dataset(4).tensors[0], torch.zeros(4, 5)])
    broken = module()
    broken.student.register_forward_hook(lambda _, inputs, __: 1 / inputs[0].abs().sum().item())
    with pytest.raises((TypeError, ZeroDivisionError)):
        predict(tmp_path, broken, DataLoader(TensorDataset(inputs), 4), file="a.csv")
    assert (tmp_path / "a.csv").read_text() == "former"


@pytest.mark.parametrize(("file", "reason"), [("folder.csv", "a folder"), ("file/a.csv", ".+ (directory|exists)")])
def test_a_path_that_cannot_be_written_stops_before_the_prediction(tmp_path, file, reason):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=rf"`file` should be a path that can be written. Found .*{file}'`: {reason}"):
        predict(tmp_path, module(), loader(4), file=file)


def test_the_table_is_a_csv_file():
    with pytest.raises(ValueError, match=r"`file` should end with .csv. Found `file = 'a.txt'`"):
        PredictionWriter("a.txt")


class Brightness(nn.Module):
    """Two logits that grow and fall with the brightness."""

    def forward(self, images):
        mean = images.mean((1, 2, 3))
        return torch.stack([-mean, mean], 1)


def brightness():
    return DistillationModule(student=Brightness())


def test_files_and_names_of_classes_are_written(tmp_path):
    write_folders(tmp_path, ("train", "val"), per_class=2)
    (tmp_path / "val" / "a" / "0.png").write_bytes(encoded(noise(), "PNG")[:99])
    data = ImageFolderDataModule(tmp_path, image_size=8, mean=[0.5], std=[1.0], on_error="skip")
    rows = predict(tmp_path, brightness(), data)
    names = [Path(row["file"]).relative_to(tmp_path / "val").as_posix() for row in rows]
    assert names == ["a/1.png", "b/0.png", "b/1.png"]
    assert [(row["sample"], row["class"]) for row in rows] == [("1", "a"), ("2", "b"), ("3", "b")]


def test_images_without_classes_are_predicted_with_the_names_of_the_training(tmp_path):
    write_folders(tmp_path, ("train", "val"))
    write_folders(tmp_path / "new", ("x",))
    options = {"image_size": 8, "mean": [0.5], "std": [1.0], "predict_dir": tmp_path / "new"}
    rows = predict(tmp_path, brightness(), ImageFolderDataModule(tmp_path, **options))
    assert [row["class"] for row in rows] == list("aabb")
    rows = predict(tmp_path, brightness(), ImageFolderDataModule("nowhere", **options))
    assert [row["class"] for row in rows] == list("0011")


def test_base_to_new_names_all_classes(tmp_path):
    write_coop(tmp_path, "dtd", classes=3, per_class=1)
    networks = [nn.Sequential(nn.Flatten(), nn.Linear(192, 3)) for _ in range(2)]
    data = BaseToNewDataModule(tmp_path, "dtd", image_size=8, batch_size=2, return_index=True)
    rows = predict(tmp_path, BaseToNewModule(*networks, task_weight=0.0), data)
    assert [Path(row["file"]).name for row in rows] == ["test_0_0.jpg", "test_1_0.jpg", "test_2_0.jpg"]
    assert {row["class"] for row in rows} | {row["teacher_class"] for row in rows} <= {"class_0", "class_1", "class_2"}


def test_digits_are_numbered(tmp_path):
    student = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    rows = predict(tmp_path, DistillationModule(student=student), DigitsDataModule())
    assert (len(rows), list(rows[0])) == (359, ["sample", "class", "probability"])


def test_processes_write_one_table_together(tmp_path):
    rows = predict(tmp_path, module(), loader(7, 2), accelerator="cpu", devices=2, strategy="ddp_fork")
    assert [row["sample"] for row in rows] == [str(number) for number in range(7)]
