from lightning.pytorch.callbacks import LambdaCallback

from lightning_abkd.training import _lightning_loops as loops
from tests.training._training import loader, module, trainer


def test_batches_and_epochs_that_have_begun_are_counted(tmp_path):
    run = trainer(tmp_path, max_epochs=2)
    assert (loops.begun_batches(run), loops.begun_epochs(run)) == (0, 0)
    run.fit(module(), batches := loader())
    assert (loops.begun_batches(run), loops.begun_epochs(run)) == (2 * len(batches), 2)
    assert loops.epoch_and_batches(run) == (2, len(batches))
    assert loops.ends_step(run)


def test_loaders_of_an_evaluation_are_known_by_number(tmp_path):
    found = []
    seen = LambdaCallback(on_validation_start=lambda run, _: found.append(loops.evaluation_loader(run, 0)))
    trainer(tmp_path, callbacks=[seen]).validate(module(), batches := loader(), verbose=False)
    assert found == [batches]
