import pytest
import torch
from torch.utils.data import DataLoader

from lightning_abkd.losses import LSD, AlphaBetaDivergence, ForwardKL
from lightning_abkd.models import causal_lm_from_config
from lightning_abkd.modules import AdaptiveOffPolicy, LanguageDistillationModule, Responder, Sampling
from tests.language._text import instruction_data, instructions, language_module, network as tiny, weights
from tests.training._training import trainer

OPTIONS = {"n_layer": 1, "n_embd": 8, "n_head": 2, "n_positions": 16}
LENGTHS = [8, 1, 5, 0, 6, 3, 8, 2]


def network(seed, vocabulary=13):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        options = OPTIONS | {"vocab_size": vocabulary, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
        return causal_lm_from_config("gpt2", options).double()


def module(**options):
    options = {"teacher": network(1), "student": network(2), "divergence": AlphaBetaDivergence(0.2, 0.7), **options}
    return LanguageDistillationModule(optimizer=lambda p: torch.optim.SGD(p, lr=1.0), **options)


def rows():
    """Eight sequences of which a ragged number of last tokens counts."""
    ids = torch.randint(0, 13, (8, 9), generator=torch.Generator().manual_seed(0))
    position = torch.arange(9)
    counted = [torch.where(position > 8 - n, row, -100) for row, n in zip(ids, LENGTHS, strict=True)]
    return [{"input_ids": a, "labels": b} for a, b in zip(ids, counted, strict=True)]


def step(folder, size, micro, **options):
    net = module()
    trainer(folder, max_epochs=1, accumulate_grad_batches=micro, **options).fit(net, DataLoader(rows(), size))
    return torch.cat([p.detach().flatten() for p in net.student.parameters()])


@pytest.mark.parametrize(("size", "micro"), [(2, 4), (1, 8), (3, 3)])
@pytest.mark.parametrize("clip", [None, 0.1])
def test_micro_batches_give_the_step_of_the_whole_batch(tmp_path, size, micro, clip):
    whole = step(tmp_path, 8, 1, gradient_clip_val=clip)
    torch.testing.assert_close(step(tmp_path, size, micro, gradient_clip_val=clip), whole, rtol=1e-9, atol=1e-11)


def test_two_processes_give_the_step_of_one(tmp_path):
    whole = step(tmp_path, 8, 1)
    halves = step(tmp_path, 2, 2, devices=2, strategy="ddp_fork")
    torch.testing.assert_close(halves, whole, rtol=1e-9, atol=1e-11)


def test_labels_are_shifted_once():
    net, batch = module(task_weight=1.0), torch.utils.data.default_collate(rows())
    signals = net.signals(batch)
    assert signals["mask"].sum() == sum(LENGTHS)
    expected = net.student(batch["input_ids"], labels=batch["labels"]).loss
    # transformers computes its own loss in float32.
    torch.testing.assert_close(net.task_loss(signals), expected.double(), rtol=1e-5, atol=1e-6)


def test_training_without_a_teacher_is_fine_tuning(tmp_path):
    net = module(teacher=None, divergence=None)
    run = trainer(tmp_path, max_epochs=5)
    before = run.validate(net, DataLoader(rows(), 4), verbose=False)[0]["val/perplexity"]
    run.fit(net, DataLoader(rows(), 4))
    assert run.validate(net, DataLoader(rows(), 4), verbose=False)[0]["val/perplexity"] < before


def test_metrics_count_the_labelled_tokens(tmp_path):
    result = trainer(tmp_path).test(module(), DataLoader(rows(), 8), verbose=False)[0]
    expected = {"perplexity", "agreement", "student_entropy", "loss", "task_loss", "divergence"}
    expected |= {"teacher_entropy", "teacher_perplexity"}
    assert set(result) == {f"test/{name}" for name in expected}
    # Perplexity is the exponential of the mean cross-entropy over the same tokens.
    assert result["test/perplexity"] == pytest.approx(torch.tensor(result["test/task_loss"]).exp().item(), rel=1e-4)


def test_padded_vocabularies_are_cut_to_the_real_ids_and_logged_once(tmp_path, monkeypatch):
    logged = []
    monkeypatch.setattr("lightning_abkd.training._log_once.rank_zero_info", logged.append)
    net = module(teacher=network(1, 16), vocabulary=13)
    trainer(tmp_path, max_epochs=1).fit(net, DataLoader(rows(), 4))
    assert logged == ["Left out 3 padding ids of the teacher's 16."]


def test_vocabularies_of_different_size_are_an_error(tmp_path):
    with pytest.raises(ValueError, match="same number of classes"):
        trainer(tmp_path).fit(module(teacher=network(1, 16)), DataLoader(rows(), 4))
    with pytest.raises(ValueError, match="Found `vocabulary = 20` and 13 ids in the logits of the student"):
        trainer(tmp_path).fit(module(vocabulary=20), DataLoader(rows(), 4))
    with pytest.raises(ValueError, match="`vocabulary` should be at least 2"):
        module(vocabulary=0)


def test_a_batch_without_labelled_tokens_changes_nothing(tmp_path):
    net = module()
    before = net.student.lm_head.weight.detach().clone()
    empty = [row | {"labels": torch.full((9,), -100)} for row in rows()]
    trainer(tmp_path, max_epochs=1).fit(net, DataLoader(empty, 4))
    torch.testing.assert_close(net.student.lm_head.weight.detach(), before)
    assert net._log_once.messages == {"A training batch has no labelled token and adds nothing to the loss."}


def test_predictions_are_the_students_responses(tmp_path):
    net = module()
    net.respond_with(Responder(sampling=Sampling(max_new_tokens=3, temperature=0.0)))
    ids = [{"input_ids": row["input_ids"]} for row in rows()]
    (responses,) = trainer(tmp_path).predict(net, DataLoader(ids, 8))
    assert responses.samples == list(range(8))
    best = net.student(ids[5]["input_ids"].unsqueeze(0)).logits[0, -1].argmax()
    assert responses.ids[5][0] == best


def test_steps_from_hidden_states_are_those_from_logits(tmp_path):
    steps, results = [], []
    for fused in (True, False):
        net = module(fused_head=fused, task_weight=0.3, teacher=network(1, 16), vocabulary=12)
        run = trainer(tmp_path, max_epochs=1, accumulate_grad_batches=2)
        # Labels stay below the vocabulary.
        data = [row | {"labels": row["labels"].clamp(max=11)} for row in rows()]
        run.fit(net, DataLoader(data, 3))
        steps.append(torch.cat([p.detach().flatten() for p in net.student.parameters()]))
        results.append(run.test(net, DataLoader(data, 3), verbose=False)[0])
    torch.testing.assert_close(*steps, rtol=1e-9, atol=1e-11)
    assert results[0] == pytest.approx(results[1], rel=1e-5)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"divergence": LSD()}, "LSD is not a plain mean over tokens"),
        ({"divergence": ForwardKL(reduction="sum")}, "ForwardKL is not a plain mean over tokens"),
    ],
)
def test_why_logits_are_computed_in_full_is_logged_once(tmp_path, monkeypatch, options, reason):
    logged = []
    monkeypatch.setattr("lightning_abkd.training._log_once.rank_zero_info", logged.append)
    trainer(tmp_path, max_epochs=1).fit(module(**options), DataLoader(rows(), 4))
    assert logged == [f"Logits are computed in full: {reason}."]
    with pytest.raises(ValueError, match=f"cannot be computed from hidden states: {reason}"):
        trainer(tmp_path).fit(module(**options, fused_head=True), DataLoader(rows(), 4))


def test_a_subclass_that_wants_logits_gets_them(tmp_path):
    seen = []

    class Own(LanguageDistillationModule):
        def task_loss(self, signals):
            seen.append(signals["student_logits"].shape)
            return super().task_loss(signals)

    trainer(tmp_path, max_epochs=1).fit(Own(teacher=network(1), student=network(2)), DataLoader(rows(), 4))
    assert seen == [(4, 8, 13)] * 2


def test_sets_are_logged_by_name(tmp_path):
    files = {"one": instructions(tmp_path / "one.jsonl", 3), "two": instructions(tmp_path / "two.jsonl", 5)}
    data = instruction_data(tmp_path, validation_file=files, test_file=files)
    run, net = trainer(tmp_path, max_epochs=1), language_module()
    run.fit(net, datamodule=data)
    assert {"val/one/perplexity", "val/two/agreement", "train/divergence"} <= set(run.callback_metrics)
    run.test(net, datamodule=data, verbose=False)
    assert {"test/one/loss", "test/two/divergence"} <= set(run.callback_metrics)


def test_several_loaders_without_names_are_numbered(tmp_path):
    run = trainer(tmp_path)
    run.test(module(), [DataLoader(rows(), 4), DataLoader(rows()[:2], 2)], verbose=False)
    assert {"test/0/perplexity", "test/1/perplexity"} <= set(run.callback_metrics)


def test_different_paddings_of_one_vocabulary_are_aligned_by_the_tokenizer(tmp_path):
    net = language_module(teacher=tiny(1, vocab_size=400), student=tiny(2, vocab_size=390))
    trainer(tmp_path, max_epochs=1).fit(net, datamodule=instruction_data(tmp_path))
    assert net.vocabulary == 384
    assert net._log_once.messages == {
        "Left out 6 padding ids of the student's 390.",
        "Left out 16 padding ids of the teacher's 400.",
    }


def test_validation_steers_the_students_own_data(tmp_path):
    policy = AdaptiveOffPolicy(tolerance=0.0)
    net = language_module(student_data=policy, optimizer=lambda p: torch.optim.SGD(p, lr=0.0))
    run = trainer(tmp_path, max_epochs=3)
    run.fit(net, datamodule=instruction_data(tmp_path))
    # Nothing is learnt, so that each validation but the first has the same loss as the one before.
    assert policy.threshold == pytest.approx(0.2)
    assert policy.recorded == pytest.approx(run.callback_metrics["val/task_loss"].item(), rel=1e-4)


def test_packed_samples_give_the_step_of_samples_apart(tmp_path):
    learnt = []
    for packing in (True, False):
        net = language_module()
        data = instruction_data(tmp_path, packing=packing, batch_size=8)
        trainer(tmp_path, max_epochs=1).fit(net, datamodule=data)
        learnt.append(weights(net))
    torch.testing.assert_close(*learnt, rtol=1e-3, atol=1e-4)
    assert not torch.equal(learnt[0], weights(language_module()))


def test_compiled_students_run_their_backbone_compiled(tmp_path, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, *a, **k: compiled.append(type(self).__name__))
    trainer(tmp_path, max_epochs=1).fit(module(compile_student=True), DataLoader(rows(), 8))
    assert compiled == ["GPT2LMHeadModel", "GPT2Model"]


def test_mixed_precision_stays_near_the_full_one(tmp_path):
    learnt = []
    for precision in ("32-true", "bf16-mixed"):
        net = language_module(optimizer=lambda p: torch.optim.SGD(p, lr=0.1))
        trainer(tmp_path, max_epochs=1, precision=precision).fit(
            net, datamodule=instruction_data(tmp_path, batch_size=8)
        )
        learnt.append(weights(net))
    torch.testing.assert_close(*learnt, rtol=0.05, atol=0.02)
