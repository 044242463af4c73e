import pytest

from lightning_abkd.diagnostics.doctor._step import Examined, Probe
from tests.diagnostics.doctor._patients import loader, module, quiet


def probed(size=24, **options):
    seen = []
    probe = Probe(lambda patient, record: seen.append("before"), lambda record: seen.append(record.loss))
    trainer = quiet(**options)
    trainer.callbacks.append(probe)
    with pytest.raises(Examined):
        trainer.fit(module(), loader(size))
    return probe.record, seen


def test_a_module_is_examined_before_and_after_its_first_step():
    record, seen = probed(accumulate_grad_batches=3)
    assert seen == ["before", record.loss]
    assert record.micro_batches == 3
    assert record.gradients
    assert set(record.norms) == {"divergence", "task_loss"}
    assert record.checkpoint["global_step"] == 1


def test_batches_are_timed_even_if_there_is_one():
    assert probed()[0].seconds > 0
    assert probed(size=8)[0].seconds > 0


def test_the_rate_is_tried_from_the_first_weights():
    record, _ = probed()
    assert record.trial.losses[0] == pytest.approx(record.loss)
