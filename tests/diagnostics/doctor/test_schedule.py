import math

import pytest

from lightning_abkd.callbacks import AlphaBetaScheduler
from lightning_abkd.diagnostics.doctor._schedule import course_of
from lightning_abkd.diagnostics.doctor._step import Examined, Probe
from lightning_abkd.schedules import Linear
from tests.diagnostics.doctor._patients import loader, module, quiet


def course(**options):
    trainer = quiet(**options)
    probe = Probe(lambda patient, record: None, lambda record: None)
    trainer.callbacks.append(probe)
    with pytest.raises(Examined):
        trainer.fit(module(divergence=None), loader())
    return probe.record.course


def test_schedules_are_read_at_both_ends():
    found = course(callbacks=[AlphaBetaScheduler(beta=Linear(0.0, 0.5))])
    assert (found.first, found.last) == ({"divergence.beta": 0.0}, {"divergence.beta": 0.5})


def test_length_follows_from_epochs_or_steps():
    # 24 samples in batches of 8.
    assert course()[2:] == (6, "2 epochs take")
    assert course(max_epochs=1)[2:] == (3, "1 epoch takes")
    assert course(max_epochs=-1, max_steps=5, accumulate_grad_batches=2)[2:] == (10, "5 steps take")
    assert course(max_epochs=-1).batches == math.inf


def test_a_trainer_without_schedulers_has_none():
    trainer = quiet()
    trainer.fit_loop.max_epochs = 1
    assert course_of(trainer).first == {}
