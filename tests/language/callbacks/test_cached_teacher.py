import pytest
import torch

from lightning_abkd.callbacks import AlphaBetaScheduler, CachedTeacher
from lightning_abkd.language.teachers import sampled_identity
from lightning_abkd.losses import DIST, AlphaBetaDivergence
from lightning_abkd.models import TeacherCacheWriter
from lightning_abkd.modules import DistillationModule, OnPolicy
from tests.language._text import instruction_data, language_module, network, weights
from tests.training._training import module as classifier, trainer


def fit(tmp_path, cache=None, data=None, **options):
    module = language_module(**options)
    callbacks = [CachedTeacher(str(tmp_path / "cache"), **cache)] if cache is not None else []
    torch.manual_seed(0)
    trainer(tmp_path, max_epochs=2, callbacks=callbacks).fit(module, datamodule=data or instruction_data(tmp_path))
    return module


def test_stored_teacher_trains_the_student_as_the_teacher_does(tmp_path):
    live, written = fit(tmp_path), fit(tmp_path, {})
    again = fit(tmp_path, {}, teacher=None)
    assert written.teacher is None
    torch.testing.assert_close(weights(written), weights(live), rtol=1e-2, atol=1e-3)
    assert not torch.equal(weights(written), weights(language_module()))
    torch.testing.assert_close(weights(again), weights(written), rtol=0, atol=0)


def test_the_default_divergence_stands_without_the_teacher(tmp_path):
    written = fit(tmp_path, {}, divergence=None)
    again = fit(tmp_path, {}, divergence=None, teacher=None)
    assert isinstance(again.divergence, AlphaBetaDivergence)
    torch.testing.assert_close(weights(again), weights(written), rtol=0, atol=0)


def test_a_scheduler_before_the_cache_finds_the_default_divergence(tmp_path):
    fit(tmp_path, {}, divergence=None)
    module = language_module(divergence=None, teacher=None)
    callbacks = [AlphaBetaScheduler(alpha=0.25), CachedTeacher(str(tmp_path / "cache"))]
    trainer(tmp_path, max_epochs=1, callbacks=callbacks).fit(module, datamodule=instruction_data(tmp_path))
    assert module.divergence.alpha == 0.25


def test_teacher_may_stay_for_validation(tmp_path):
    module = fit(tmp_path, {"keep_teacher": True})
    assert module.teacher is not None
    assert "val/agreement" in module.trainer.callback_metrics
    assert "val/agreement" not in fit(tmp_path, {}).trainer.callback_metrics


def fit_again(tmp_path, module, *callbacks):
    torch.manual_seed(0)
    trainer(tmp_path, max_epochs=1, callbacks=[*callbacks]).fit(module, datamodule=instruction_data(tmp_path))
    return weights(module)


def test_another_fit_learns_from_the_live_teacher(tmp_path):
    stored, live = fit(tmp_path, {"keep_teacher": True}), fit(tmp_path)
    torch.testing.assert_close(fit_again(tmp_path, stored), fit_again(tmp_path, live), rtol=1e-2, atol=1e-3)
    assert stored.stored_teacher is None


def test_another_fit_misses_the_teacher_that_has_left(tmp_path):
    module = fit(tmp_path, {})
    with pytest.raises(ValueError, match="it left in an earlier fit with `CachedTeacher`. Give the trainer `CachedTea"):
        fit_again(tmp_path, module)
    fit_again(tmp_path, module, CachedTeacher(str(tmp_path / "cache")))
    module.divergence = None
    assert fit_again(tmp_path, module).isfinite().all()
    assert module.stored_teacher is None


def test_what_the_largest_classes_lose_is_logged(tmp_path, monkeypatch):
    logged = []
    monkeypatch.setattr("lightning_abkd.language.callbacks._cached_teacher.rank_zero_info", logged.append)
    module = fit(tmp_path, {"kind": "top_k", "k": 8})
    assert weights(module).isfinite().all()
    # 6 k + 2 bytes.
    assert "50 bytes per token; not stored: probability 0.9" in logged[0]


def test_killed_writing_continues(tmp_path, monkeypatch):
    write, batches = TeacherCacheWriter.write_hidden, []

    def killed(self, indices, hidden):
        if len(batches) == 1:
            raise KeyError("killed")
        batches.append(indices)
        write(self, indices, hidden)

    data = instruction_data(tmp_path, batch_size=2)
    monkeypatch.setattr(TeacherCacheWriter, "write_hidden", killed)
    with pytest.raises(KeyError, match="killed"):
        fit(tmp_path, {}, data)
    with pytest.raises(ValueError, match="Found 2 of 7 samples done"):
        fit(tmp_path, {}, data, teacher=None)
    again = []
    monkeypatch.setattr(TeacherCacheWriter, "write_hidden", lambda *a: again.append(a[1]) or write(*a))
    fit(tmp_path, {}, data)
    assert not set(torch.cat(again).tolist()) & set(batches[0].tolist())


def test_caches_of_something_else_are_refused(tmp_path):
    fit(tmp_path, {})
    with pytest.raises(ValueError, match="(?s)should be one to continue.*model"):
        fit(tmp_path, {}, teacher=network(5))
    with pytest.raises(ValueError, match="(?s)should belong to this run.*data"):
        fit(tmp_path, {}, instruction_data(tmp_path, max_length=8, max_prompt_length=7), teacher=None)
    with pytest.raises(ValueError, match="should be of the kind 'top_k'. Found 'hidden'"):
        fit(tmp_path, {"kind": "top_k"}, teacher=None)


def changed(change):
    teacher = network(1)
    with torch.no_grad():
        change(teacher)
    return teacher


# Neither is among the 64 values of each parameter by which release 0.1 told teachers apart.
CHANGES = {
    "weight": lambda teacher: teacher.transformer.wte.weight[1, 2:5].add_(1),
    "buffer": lambda teacher: teacher.register_buffer("scale", torch.ones(1)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_teacher_that_differs_in_few_values_is_another_one(tmp_path, change):
    assert sampled_identity(changed(change)) == sampled_identity(network(1))
    fit(tmp_path, {})
    with pytest.raises(ValueError, match="(?s)should be one to continue.*model"):
        fit(tmp_path, {}, teacher=changed(change))


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_killed_writing_is_continued_by_the_same_teacher_only(tmp_path, monkeypatch, change):
    monkeypatch.setattr(TeacherCacheWriter, "close", lambda *a: pytest.fail("killed"))
    with pytest.raises(pytest.fail.Exception, match="killed"):
        fit(tmp_path, {})
    with pytest.raises(ValueError, match="(?s)should be one to continue.*model"):
        fit(tmp_path, {}, teacher=changed(change))


@pytest.mark.parametrize(
    ("options", "data", "message"),
    [
        ({}, {"packing": True}, "Set `packing: false`"),
        ({"student_data": OnPolicy()}, {}, "Leave `student_data` out"),
        ({"divergence": DIST()}, {}, "a mean over tokens. Found DIST"),
        (
            {"divergence": AlphaBetaDivergence(temperature=2.0)},
            {},
            "holds probabilities at temperature 1. Found `temperature = 2.0`",
        ),
        ({"teacher": None}, {}, "cache"),
    ],
)
def test_what_does_not_go_together_is_an_error_first(tmp_path, options, data, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        fit(tmp_path, {"kind": "top_k"}, instruction_data(tmp_path, **data), **options)


def test_other_modules_and_data_are_refused(tmp_path):
    callback = CachedTeacher(str(tmp_path))
    with pytest.raises(TypeError, match="is for a LanguageDistillationModule. Found DistillationModule"):
        trainer(tmp_path, callbacks=[callback]).fit(classifier(), [])
    with pytest.raises(TypeError, match="needs the samples of an InstructionDataModule. Found NoneType"):
        trainer(tmp_path, callbacks=[callback]).fit(language_module(), [])
    assert issubclass(type(classifier()), DistillationModule)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="`kind` should be 'hidden' or 'top_k'"):
        CachedTeacher("x", kind="all")
    with pytest.raises(ValueError, match="`k` should be at least 1"):
        CachedTeacher("x", k=0)


def test_rounding_is_said_and_chosen(tmp_path, monkeypatch):
    logged = []
    monkeypatch.setattr("lightning_abkd.language.callbacks._cached_teacher.rank_zero_info", logged.append)
    for dtype in ("float16", "float32"):
        fit(tmp_path / dtype, {"kind": "top_k", "k": 4, "dtype": dtype}, data=instruction_data(tmp_path))
        assert f"Rounding to {dtype} changes a log-probability by" in logged[-1]
    with pytest.raises(ValueError, match="`dtype` should be that of the teacher cache .*'float32'. Found .*'float16'"):
        fit(tmp_path / "float32", {"kind": "top_k", "k": 4}, data=instruction_data(tmp_path), teacher=None)
    with pytest.raises(ValueError, match="`k` should be below the 384 ids of the teacher. Found `k = 384`"):
        fit(tmp_path / "other", {"kind": "top_k", "k": 384}, data=instruction_data(tmp_path))
