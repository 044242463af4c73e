import torch

from lightning_abkd.diagnostics.doctor._labels import counted, first_sample, label_range
from tests.diagnostics.doctor._patients import images, patient, reader, texts

INPUTS, LABELS = images(8)


def test_labels_of_other_classes_are_red():
    assert label_range(patient(batch=(INPUTS, LABELS % 3))).text == "0 to 2 of 3 classes"
    assert label_range(patient(batch=(INPUTS, LABELS + 1))).text.startswith("Labels from 1 to 3, but the student has")


def test_ignored_labels_have_no_range():
    assert label_range(patient(batch=(INPUTS, torch.full((8,), -100)))).is_red
    assert label_range(patient(batch=INPUTS)).state == "not checked"
    assert label_range(patient(batch=(INPUTS, torch.full((8, 3), 1 / 3)))).text == "probabilities of 3 classes"


def test_what_counts_is_counted_over_the_step():
    assert counted(patient(batch=(INPUTS, LABELS)), 1).text == "about 8 samples (of 8 in the batch)"
    assert counted(reader(), 4).text == "about 32 tokens (4 batches of about 8)"


def test_a_batch_that_counts_nothing_is_red():
    batch = texts()
    batch["labels"].fill_(-100)
    assert counted(reader(batch), 1).text == "No position of 16 counts."


def test_the_first_image_is_described():
    found = first_sample(patient(batch=(torch.tensor([[0.0, 1.0, 0.5, -2.0]]), torch.tensor([1]))))
    assert found.text == "inputs (4,) from -2 to 1, label 1"
    assert first_sample(patient(batch={"own": INPUTS})).state == "not checked"
