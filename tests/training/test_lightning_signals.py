import copy

from lightning.pytorch import Callback

from lightning_abkd.training._lightning_loops import ends_step, go_back_before_validation, is_validated_next
from lightning_abkd.training._lightning_signals import (
    slurm_requeue,
    users_handler,
)
from tests.training._training import loader, module, trainer


class Seen(Callback):
    def __init__(self):
        self.steps = []
        self.validated = []

    def on_train_batch_end(self, trainer, *unused):
        self.steps.append(ends_step(trainer))
        self.validated.append(is_validated_next(trainer))

    def on_validation_batch_end(self, trainer, *unused):
        if not trainer.sanity_checking:
            go_back_before_validation(trainer)
            self.progress = copy.copy(trainer.fit_loop.epoch_loop.val_loop.batch_progress.current)


def fit(tmp_path, **options):
    seen = Seen()
    trainer(tmp_path, max_epochs=1, callbacks=[seen], **options).fit(module(), loader(), loader(8))
    return seen


def test_ends_of_steps_and_validations_are_known(tmp_path):
    seen = fit(tmp_path, accumulate_grad_batches=2, val_check_interval=3)
    assert seen.steps == [False, True, False, True]
    assert seen.validated == [False, False, True, False]
    assert not any(fit(tmp_path, limit_val_batches=0).validated)


def test_a_validation_has_not_begun_after_going_back(tmp_path):
    progress = fit(tmp_path).progress
    assert (progress.ready, progress.processed) == (0, 0)


def test_without_slurm_and_users_there_are_no_handlers(tmp_path):
    run = trainer(tmp_path)
    assert slurm_requeue(run) is None
    assert users_handler(run, 15) is None
