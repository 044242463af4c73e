import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_calibration_error

from lightning_abkd.losses import ITRD, ForwardKL
from lightning_abkd.modules import DistillationModule
from tests.training._training import CLASSES, INPUTS, dataset, loader, module, network, sgd, trainer


def validate(folder, model, loaders, **options):
    return trainer(folder, **options).validate(model, loaders, verbose=False)


@pytest.mark.parametrize("batch_size", [1, 5, 12, 32])
def test_a_set_is_measured_as_one_whatever_its_batches(tmp_path, batch_size):
    model = module(divergence=ForwardKL())
    found = validate(tmp_path, model, loader(batch_size=batch_size))[0]
    inputs, labels = dataset().tensors
    student, teacher = model.student.eval()(inputs), model.teacher(inputs)
    expected = {
        "val/task_loss": nn.functional.cross_entropy(student, labels),
        "val/divergence": ForwardKL()(student, teacher),
        "val/accuracy": multiclass_accuracy(student, labels, CLASSES, average="micro"),
        "val/accuracy_top5": multiclass_accuracy(student, labels, CLASSES, top_k=5, average="micro"),
        "val/teacher_accuracy": multiclass_accuracy(teacher, labels, CLASSES, average="micro"),
        "val/calibration_error": multiclass_calibration_error(student, labels, CLASSES),
    }
    assert {name: found[name] for name in expected} == pytest.approx(
        {name: value.item() for name, value in expected.items()}, rel=1e-5
    )
    assert found["val/loss"] == pytest.approx(found["val/task_loss"] + found["val/divergence"], rel=1e-6)


def uneven(folder, **options):
    """Measure images of which some have no label, in batches of 3 and 1 or in those of two processes."""
    inputs, labels = dataset(8).tensors
    labels = torch.where(torch.arange(8) % 4 < 2, labels, -100)
    labels[0] = -100
    return validate(folder, module(), DataLoader(TensorDataset(inputs, labels), 3), **options)[0]


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:Using `DistributedSampler` with the data")
def test_two_processes_measure_what_one_does(tmp_path):
    options = {"devices": 2, "strategy": "ddp_fork", "use_distributed_sampler": True}
    assert uneven(tmp_path, **options) == pytest.approx(uneven(tmp_path), rel=1e-5)


def test_sets_are_logged_under_their_numbers_and_the_first_as_the_stage(tmp_path):
    sets = [loader(), loader(16, seed=1)]
    checkpoint = ModelCheckpoint(tmp_path, monitor="val/loss", filename="best")
    run = trainer(tmp_path, max_epochs=1, callbacks=[checkpoint], enable_checkpointing=True)
    run.fit(model := module(), loader(), sets)
    logged = run.callback_metrics
    assert logged["val/0/accuracy"] == logged["val/accuracy"] != logged["val/1/accuracy"]
    assert checkpoint.best_model_score == logged["val/0/loss"] == logged["val/loss"]
    alone = validate(tmp_path, model, sets[1])[0]
    assert alone["val/loss"] == pytest.approx(logged["val/1/loss"].item())
    assert {"test/0/loss", "test/1/divergence"} <= set(trainer(tmp_path).test(model, sets, verbose=False)[0])


def test_several_sets_are_predicted(tmp_path):
    first, second = trainer(tmp_path).predict(module(), [loader(8), DataLoader(dataset(16).tensors[0], 8)])
    assert [len(x) for x in first + second] == [8, 8, 8]


@pytest.mark.filterwarnings("ignore:Total length of `DataLoader` across ranks is zero")
def test_sets_without_samples_are_left_out(tmp_path):
    empty = DataLoader(TensorDataset(*(x[:0] for x in dataset().tensors)))
    run = trainer(tmp_path, max_epochs=1)
    run.fit(module(), loader(), [empty, loader()])
    assert not {"val/loss", "val/0/loss"} & set(run.callback_metrics)
    assert "val/1/loss" in run.callback_metrics
    run = trainer(tmp_path, max_epochs=1, limit_val_batches=0)
    run.fit(module(), loader(), loader())
    assert not [name for name in run.callback_metrics if name.startswith("val")]


def test_one_class_and_one_sample_give_numbers(tmp_path):
    class One(Dataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return torch.ones(INPUTS), 0

    model = DistillationModule(nn.Linear(INPUTS, 1), nn.Linear(INPUTS, 1), ForwardKL())
    found = validate(tmp_path, model, DataLoader(One()))[0]
    assert found["val/accuracy"] == found["val/teacher_accuracy"] == 1.0
    assert found["val/loss"] == found["val/calibration_error"] == found["val/student_entropy"] == 0.0


def test_a_set_in_which_nothing_has_a_label_has_no_metrics_of_labels(tmp_path):
    inputs, labels = dataset().tensors
    found = validate(tmp_path, module(), DataLoader(TensorDataset(inputs, torch.full_like(labels, -100)), 8))[0]
    assert not {"val/accuracy", "val/task_loss", "val/calibration_error", "val/teacher_accuracy"} & set(found)
    assert found["val/loss"] == pytest.approx(found["val/divergence"])


def test_a_teacher_of_other_classes_is_not_compared(tmp_path):
    teacher, paths = (
        nn.Sequential(network(1), nn.Linear(CLASSES, 3)),
        {"teacher_features": "0", "student_features": "3"},
    )
    model = DistillationModule(teacher, network(2), ITRD(CLASSES, CLASSES), **paths)
    found = validate(tmp_path, model, loader())[0]
    assert "val/accuracy" in found
    assert not [name for name in found if "teacher" in name or "agreement" in name]


def test_a_teacher_that_knows_nothing_is_said_at_the_first_validation(tmp_path):
    inputs, labels = dataset(300, seed=3).tensors
    teacher = nn.Linear(INPUTS, CLASSES)
    teacher.weight.data.zero_()
    data = DataLoader(TensorDataset(inputs, labels), 100)
    with pytest.warns(UserWarning, match="The teacher seems to know nothing of val: its 7 classes are nearly") as said:
        trainer(tmp_path, max_epochs=2).fit(module(teacher=teacher), data, data)
    assert len([warning for warning in said if "know nothing" in str(warning.message)]) == 1


class Grid(DistillationModule):
    """Maps of logits (B, H, W, C), of which a mask counts some positions."""

    def signals(self, batch):
        return super().signals(batch) | {"mask": batch[1] != 255}


def test_positions_of_maps_are_measured_as_rows(tmp_path):
    torch.manual_seed(0)
    images, labels = torch.randn(6, 3, 4, INPUTS), torch.randint(CLASSES, (6, 3, 4))
    labels[torch.rand(6, 3, 4) < 0.4] = 255
    model = Grid(nn.Linear(INPUTS, CLASSES), nn.Linear(INPUTS, CLASSES), optimizer=sgd)
    found = validate(tmp_path, model, DataLoader(TensorDataset(images, labels), 4))[0]
    rows = (images[labels != 255], labels[labels != 255])
    flat = DistillationModule(model.teacher, model.student)
    expected = validate(tmp_path, flat, DataLoader(TensorDataset(*rows), 7))[0]
    assert found == pytest.approx(expected, rel=1e-5)
