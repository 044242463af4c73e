import pytest

from lightning_abkd.callbacks import AlphaBetaScheduler
from lightning_abkd.schedules import Linear
from tests.training._training import loader, plain_module, trainer


def test_moves_alpha_and_beta_to_their_ends(tmp_path):
    model = plain_module()
    callback = AlphaBetaScheduler(alpha=Linear(1.0, 0.0), beta=Linear(0.0, 1.0))
    trainer(tmp_path, callbacks=[callback]).fit(model, loader())
    assert (model.divergence.alpha.item(), model.divergence.beta.item()) == (0.0, 1.0)


def test_leaves_alone_what_is_not_scheduled(tmp_path):
    model = plain_module()
    trainer(tmp_path, callbacks=[AlphaBetaScheduler(beta=0.5)]).fit(model, loader())
    assert model.divergence.alpha.item() == 0.5


def test_alpha_and_beta_are_logged_and_shown_on_the_progress_bar(tmp_path):
    run = trainer(tmp_path, callbacks=[AlphaBetaScheduler(alpha=0.5, beta=0.5)])
    run.fit(plain_module(), loader())
    assert {"train/alpha", "train/beta", "train/loss"} <= set(run.progress_bar_metrics)


def test_nothing_to_schedule_is_an_error():
    with pytest.raises(ValueError, match="Found neither `alpha` nor `beta`"):
        AlphaBetaScheduler()


def test_divergence_without_alpha_is_named(tmp_path):
    callback = AlphaBetaScheduler(alpha=0.5, attribute="student")
    with pytest.raises(AttributeError, match="AlphaBetaScheduler should set 'student.alpha'"):
        trainer(tmp_path, callbacks=[callback]).fit(plain_module(), loader())
