import dataclasses

import torch

from lightning_abkd.diagnostics.doctor._knowledge import knowledge
from tests.diagnostics.doctor._patients import answered, images, module, patient, texts


def test_a_good_teacher_is_green():
    found = knowledge(patient(), answered(lambda labels: labels))
    assert (found.state, found.text) == ("green", "1.000 on 400 validation samples; chance is 0.333")


def test_permuted_classes_are_named():
    found = knowledge(patient(), answered(lambda labels: (labels + 1) % 3))
    assert found.text.startswith("Permuted classes: the teacher is right in 0.00 of the samples, in 1.00 with")
    assert "its 0 is 2, 1 is 0, 2 is 1" in found.text


def test_guesses_are_red_and_the_likelier_cause_is_said():
    guess = answered(lambda labels: torch.randint(0, 3, labels.shape, generator=torch.Generator().manual_seed(0)))
    assert "it is likely not trained, or the labels are not those of the inputs." in knowledge(patient(), guess).text
    inputs, labels = images(8)
    raw = dataclasses.replace(guess, batches=[(100 + 50 * inputs, labels)])
    assert "a wrong image normalisation is likelier than permuted classes" in knowledge(patient(), raw).text


def test_few_samples_say_too_little():
    found = knowledge(patient(), answered(lambda labels: labels * 0, size=4))
    assert (found.state, found.text) == ("not checked", "4 validation samples of 3 classes say too little")


def test_a_batch_of_a_modules_own_form_is_judged_by_its_answers():
    guess = answered(lambda labels: torch.zeros_like(labels), batch={"own": torch.zeros(3)})
    assert knowledge(patient(), guess).is_red


def test_text_is_judged_by_perplexity():
    known = dataclasses.replace(answered(lambda labels: labels), batches=[texts()], classes=384, entropy=2.0)
    assert knowledge(patient(), known).name == "teacher perplexity"
    assert not knowledge(patient(), known).is_red
    lost = dataclasses.replace(known, cross_entropy=6.5)
    assert "its perplexity is 665.1 with 384 classes. Either it is not trained" in knowledge(patient(), lost).text


def test_no_teacher_and_no_labels_are_not_checked():
    assert knowledge(patient(module(teacher=None, divergence=None)), None).text == "the module has no teacher"
    assert knowledge(patient(), None).state == "not checked"
