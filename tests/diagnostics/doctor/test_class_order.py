import torch

from lightning_abkd.diagnostics.doctor._class_order import other_order

LABELS = torch.arange(10).repeat(30)


def drawn(share, seed=0):
    """Return answers of which a share is right and the others are guesses."""
    generator = torch.Generator().manual_seed(seed)
    guesses = torch.randint(0, 10, LABELS.shape, generator=generator)
    return torch.where(torch.rand(LABELS.shape, generator=generator) < share, LABELS, guesses)


def test_a_renumbering_is_found():
    found = other_order(9 - drawn(0.8), LABELS, 10)
    assert found.moved == {i: 9 - i for i in range(10)}
    assert found.accuracy_as_given < 0.1 < 0.7 < found.accuracy


def test_two_classes_that_are_exchanged_are_found():
    exchanged = torch.tensor([1, 0, *range(2, 10)])
    assert other_order(exchanged[drawn(0.9)], LABELS, 10).moved == {0: 1, 1: 0}


def test_a_good_teacher_and_one_that_guesses_have_no_other_order():
    assert [other_order(drawn(share), LABELS, 10) for share in (0.9, 0.5, 0.0)] == [None] * 3
    assert other_order(torch.zeros_like(LABELS), LABELS, 10) is None


def test_nothing_is_said_without_samples():
    assert other_order(LABELS[:0], LABELS[:0], 10) is None
