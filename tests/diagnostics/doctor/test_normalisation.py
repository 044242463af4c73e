import pytest
import torch

from lightning_abkd.diagnostics.doctor._answers import answers
from lightning_abkd.diagnostics.doctor._normalisation import better_preparation, channel_means, is_standard
from tests.diagnostics.doctor._patients import Sorter, images, module, patient


class Picky(Sorter):
    """Answers only to standardised inputs."""

    def forward(self, inputs):
        usual = (inputs.abs() < 4).all(1, keepdim=True)
        return torch.where(usual, super().forward(inputs), torch.tensor([1.0, 0.0, 0.0]))


def better(teacher, change, labels=None):
    inputs, classes = images()
    examined = patient(module(teacher=teacher), (change(inputs), classes if labels is None else labels))
    return better_preparation(examined, answers(examined))


def test_inputs_on_another_scale_are_found():
    found = better(Picky(), lambda x: 30 * x + 120)
    assert found.name in ("standardised per channel", "scaled to [-1, 1]")
    assert found.accuracy > 0.9 > 0.5 > found.accuracy_as_given


def test_a_teacher_that_decides_alike_at_every_scale_is_found_by_its_loss():
    torch.manual_seed(1)
    wrong = torch.where(torch.rand(96) < 0.1, 0, images()[1])
    found = better(Sorter(), lambda x: 100 * x, wrong)
    assert found.loss < found.loss_as_given / 2


@pytest.mark.parametrize("change", [lambda x: x, lambda x: 0.7 * x - 0.3])
def test_inputs_as_in_the_teachers_training_are_left_alone(change):
    assert better(Sorter(), change) is None


def test_a_teacher_that_knows_nothing_gains_nothing():
    labels = torch.randint(0, 3, (96,), generator=torch.Generator().manual_seed(0))
    assert better(Sorter(), lambda x: 100 * x, labels) is None


def test_channels_are_described_and_bytes_are_not_standard():
    colours = torch.stack([torch.full((4, 4), 2.0), torch.zeros(4, 4), torch.ones(4, 4)]).expand(2, 3, 4, 4)
    assert channel_means(colours) == "2.00 ± 0.00, 0.00 ± 0.00, 1.00 ± 0.00"
    assert not is_standard(torch.zeros(2, 2, dtype=torch.uint8))
