import pytest
import torch
from torch.utils.data import Subset, TensorDataset

from lightning_abkd.vision.callbacks._predicted import Predicted
from lightning_abkd.vision.data._samples import Samples


class Stored:
    targets = (0, 1, 0)
    paths = ("a.png", "b.png", "c.png")
    classes = ("cat", "dog")


def samples():
    return Samples(Stored(), torch.tensor([2, 1]), torch.tensor([0, 1]), torch.nn.Identity())


def test_a_row_has_the_likeliest_class_of_each_network():
    predicted = Predicted(3, TensorDataset(torch.zeros(5)))
    predicted.add([4], [torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([[0.0, torch.log(torch.tensor(2.0)), 0.0]])])
    (row,) = predicted.rows()
    assert (row.loader, row.position, row.sample, row.file) == (3, 4, 4, "")
    # Probabilities 1/3 of each, and 1/4, 2/4, 1/4.
    assert row.answers == (("0", pytest.approx(1 / 3)), ("1", pytest.approx(0.5)))


def test_files_and_classes_are_those_of_the_stored_samples():
    predicted = Predicted(0, Subset(samples(), [1, 0]))
    predicted.add([0, 1], [torch.tensor([[0.0, 1.0], [1.0, 0.0]])])
    assert [(row.sample, row.file, row.answers[0][0]) for row in predicted.rows()] == [
        (1, "b.png", "dog"),
        (2, "c.png", "cat"),
    ]


def test_names_that_are_not_those_of_the_logits_are_not_used():
    predicted = Predicted(0, samples())
    predicted.add([0], [torch.tensor([[0.0, 1.0, 0.0]])])
    assert predicted.rows()[0].answers[0][0] == "1"


def test_a_teacher_of_other_classes_has_numbers_beside_the_names():
    predicted = Predicted(0, samples())
    predicted.add([0], [torch.tensor([[0.0, 1.0]]), torch.tensor([[0.0, 0.0, 0.0, 1.0]])])
    assert [name for name, _ in predicted.rows()[0].answers] == ["dog", "3"]


def test_half_precision_is_summed_in_single():
    predicted = Predicted(0, None)
    predicted.add([0], [torch.zeros(1, 5000, dtype=torch.bfloat16)])
    assert predicted.rows()[0].answers[0][1] == pytest.approx(1 / 5000)
