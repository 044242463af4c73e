from functools import partial

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

from lightning_abkd.data import collate
from lightning_abkd.language.generation import _on_policy
from lightning_abkd.modules import AdaptiveOffPolicy, OnPolicy, Sampling
from tests.language._text import instruction_data, language_module, weights
from tests.training._training import trainer

SHORT = Sampling(max_new_tokens=4)


def batch(value=5, rows=2):
    ids = torch.full((rows, 3), value)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}


def fresh(given, sampling, seed):
    return batch(9)


def kinds(policy, progress=0.0, steps=200):
    """What a batch becomes in many draws: 5 the data's, 9 the student's."""
    return [int(policy(batch(), progress, fresh)["input_ids"][0, 0]) for _ in range(steps)]


def test_fraction_of_the_batches_is_the_students():
    assert kinds(OnPolicy(0.0)).count(9) == 0
    assert kinds(OnPolicy(1.0)).count(5) == 0
    assert 60 < kinds(OnPolicy(0.4)).count(9) < 100


def test_draws_go_on_where_a_checkpoint_was_made():
    whole, first, second = (OnPolicy(0.5, seed=3) for _ in range(3))
    expected = kinds(whole, steps=20)
    start = kinds(first, steps=8)
    second.load_state_dict(first.state_dict())
    assert start + kinds(second, steps=12) == expected


def test_no_two_draws_share_a_seed(monkeypatch):
    choices, responses = [], []
    monkeypatch.setattr(_on_policy, "_uniform", lambda generator: choices.append(generator.initial_seed()) or 0.0)
    for seed in (0, 1):
        policy = OnPolicy(1.0, seed=seed)
        for _ in range(20):
            policy(batch(), 0.0, lambda given, sampling, seed: responses.append(seed) or batch())
    assert len({*choices, *responses}) == 80


def test_another_fit_starts_anew():
    policy = AdaptiveOffPolicy(threshold=0.4, tolerance=0.0, capacity=4)
    first = kinds(policy, steps=30)
    policy.validated(1.0)
    policy.validated(2.0)
    policy.restart()
    assert (policy.threshold, policy.recorded, len(policy.buffer)) == (0.4, None, 0)
    assert kinds(policy, steps=30) == first


def test_threshold_grows_when_the_loss_has_risen_and_never_falls():
    policy = AdaptiveOffPolicy()
    thresholds = []
    for loss in (2.0, 1.5, 2.05, 2.1, 2.15, 2.3, 0.1):
        policy.validated(loss)
        thresholds.append(round(policy.threshold, 1))
    # Recorded are 2.0, then 2.1, then 2.3: what is compared moves only when the threshold does.
    assert thresholds == [0.0, 0.0, 0.0, 0.1, 0.1, 0.2, 0.2]


def test_threshold_ends_at_one():
    policy = AdaptiveOffPolicy(threshold=0.95)
    for loss in (1.0, 2.0, 3.0):
        policy.validated(loss)
    assert policy.threshold == 1.0


def test_a_threshold_of_zero_leaves_the_data():
    assert set(kinds(AdaptiveOffPolicy())) == {5}


@pytest.mark.parametrize(
    ("replay", "progress", "share"), [("decreasing", 0.75, 0.25), ("increasing", 0.75, 0.75), ("constant", 0.1, 0.5)]
)
def test_share_that_is_generated_afresh(replay, progress, share):
    policy, calls = AdaptiveOffPolicy(threshold=1.0, capacity=2, replay=replay), []
    for _ in range(400):
        policy(batch(), progress, lambda *a: calls.append(a) or batch(9))
    assert len(calls) / 400 == pytest.approx(share, abs=0.08)


def test_buffer_fills_first_and_forgets_the_oldest():
    policy, values = AdaptiveOffPolicy(threshold=1.0, capacity=4), iter(range(100))
    for _ in range(3):
        policy(batch(), 1.0 if len(policy.buffer) == 4 else 0.0, lambda *_: batch(next(values)))
    assert [int(ids[0]) for ids, _ in policy.buffer] == [0, 0, 1, 1]
    policy(batch(), 0.0, lambda *_: batch(next(values)))
    assert [int(ids[0]) for ids, _ in policy.buffer] == [1, 1, 2, 2]


def test_replayed_batch_is_what_was_remembered():
    policy = AdaptiveOffPolicy(threshold=1.0, capacity=2)
    made = {"input_ids": torch.tensor([[3, 4, 5], [6, 0, 0]]), "attention_mask": torch.tensor([[1, 1, 1], [1, 0, 0]])}
    made["labels"] = torch.tensor([[-100, 4, 5], [6, -100, -100]])
    policy(batch(), 0.0, lambda *_: made)
    replayed = policy(batch(), 1.0, fresh)
    order = [0, 1] if replayed["input_ids"][0, 0] == 3 else [1, 0]
    for name, value in made.items():
        assert torch.equal(replayed[name], value[order])
        assert replayed[name].dtype == torch.int64


def test_training_uses_the_students_responses(tmp_path):
    learnt = []
    for policy in (None, OnPolicy(1.0, SHORT)):
        module = language_module(student_data=policy)
        trainer(tmp_path, max_epochs=1, accumulate_grad_batches=2).fit(module, datamodule=instruction_data(tmp_path))
        learnt.append(weights(module))
        assert learnt[-1].isfinite().all()
        assert module.student.training
    assert not torch.equal(*learnt)


def test_resumed_run_is_the_uninterrupted_one(tmp_path):
    data = instruction_data(tmp_path)
    data.setup("fit")
    # Unshuffled, since Lightning does not restore the random state that a shuffle is drawn from.
    loader = DataLoader(list(enumerate(data.sets["train"][""])), 2, collate_fn=partial(collate, padding=0))

    def run(**options):
        policy = AdaptiveOffPolicy(threshold=0.7, step=0.05, tolerance=0.0, capacity=6, sampling=SHORT)
        module = language_module(student_data=policy)
        # After the validation, which moves the threshold.
        after = {"every_n_epochs": 2, "save_on_train_epoch_end": False}
        keep = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, **after)
        fit = trainer(tmp_path, max_epochs=4, enable_checkpointing=True, callbacks=[keep])
        fit.fit(module, loader, loader, **options)
        return module

    whole = run()
    resumed = run(ckpt_path=tmp_path / "step=8.ckpt")
    assert 0 < len(whole.student_data.buffer) <= 6
    assert resumed.student_data.get_extra_state()["batches"] == whole.student_data.get_extra_state()["batches"] == 16
    assert resumed.student_data.threshold == whole.student_data.threshold
    assert [a.tolist() for a, _ in resumed.student_data.buffer] == [a.tolist() for a, _ in whole.student_data.buffer]
    torch.testing.assert_close(weights(resumed), weights(whole))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: OnPolicy(1.5), r"`fraction` should lie in \[0, 1\]"),
        (lambda: AdaptiveOffPolicy(-0.1), r"`threshold` should lie in \[0, 1\]"),
        (lambda: AdaptiveOffPolicy(step=2.0), r"`step` should lie in \[0, 1\]"),
        (lambda: AdaptiveOffPolicy(tolerance=-1.0), "`tolerance` should be finite and at least 0"),
        (lambda: AdaptiveOffPolicy(capacity=0), "`capacity` should be at least 1"),
        (lambda: AdaptiveOffPolicy(replay="never"), "`replay` should be 'decreasing'"),
    ],
)
def test_bad_numbers_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
