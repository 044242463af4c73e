"""Numbers that are NaN or infinite, from users' data and networks, and what a run says and does of them."""

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from lightning_abkd.callbacks import NonFiniteGuard
from lightning_abkd.losses import AlphaBetaDivergence
from tests.language._text import language_module, network
from tests.training._broken import broken_loader
from tests.training._training import CLASSES, INPUTS, dataset, loader, module, trainer

IDS = torch.randint(2, 384, (4, 8), generator=torch.Generator().manual_seed(0))


class Adds(nn.Module):
    """A linear layer whose last class has another logit."""

    def __init__(self, value):
        super().__init__()
        self.layer = nn.Linear(INPUTS, CLASSES - 1)
        self.value = value

    def forward(self, x):
        return nn.functional.pad(self.layer(x), (0, 1), value=self.value)


def rows(ids=IDS, labels=IDS, **others):
    entries = [
        {"input_ids": a, "labels": b, "attention_mask": torch.ones_like(a)} for a, b in zip(ids, labels, strict=True)
    ]
    return [row | {name: values[i] for name, values in others.items()} for i, row in enumerate(entries)]


def fit(folder, net, *data, **options):
    run = trainer(folder, **{"max_epochs": 1, "num_sanity_val_steps": 0, **options})
    run.fit(net, *data)
    return run


@pytest.mark.parametrize("who", ["teacher", "student"])
@pytest.mark.parametrize(("value", "kind"), [(torch.inf, "inf"), (torch.nan, "NaN")])
def test_logits_are_named_by_network_kind_and_samples(tmp_path, who, value, kind):
    expected = rf"The {who}'s logits contain {kind} at step 0 \(epoch 0, batch 0\) in all 8 samples of the batch"
    with pytest.raises(FloatingPointError, match=expected):
        fit(tmp_path, module(**{who: Adds(value)}), loader())


def test_a_teacher_that_masks_a_class_trains(tmp_path):
    assert fit(tmp_path, module(teacher=Adds(-torch.inf)), loader()).global_step == 4


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_bad_inputs_are_named_before_the_networks_that_see_them(tmp_path, value):
    with pytest.raises(FloatingPointError, match=r"The inputs contain \w+ at step 1 .*in 2 of 8 samples.*: 1, 4"):
        fit(tmp_path, module(), broken_loader(9, 12, value=value))


def test_a_divergence_that_explodes_at_negative_exponents_is_named_with_them(tmp_path):
    data = DataLoader(TensorDataset(dataset().tensors[0] * 1e3, dataset().tensors[1]), 8)
    with pytest.raises(FloatingPointError, match="term `divergence` is inf at step 0 .* With α = -3 and β = -2 the"):
        fit(tmp_path, module(divergence=AlphaBetaDivergence(-3.0, -2.0)), data)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("part", ["lm_head", "transformer.h.0.mlp.c_fc"])
def test_a_language_model_is_named_with_its_samples_from_logits_and_from_hidden_states(tmp_path, fused, part):
    student = network(2, tie_word_embeddings=False)
    with torch.no_grad():
        student.get_submodule(part).weight[0] = torch.nan
    expected = (
        rf"The student's logits contain NaN at step 0 .*first at position 0 of sample 0.*Its weight `{part}.weight`"
    )
    with pytest.raises(FloatingPointError, match=expected):
        fit(tmp_path, language_module(student=student, fused_head=fused), DataLoader(rows(), 2))


def test_a_language_step_is_skipped_and_detection_keeps_hidden_states(tmp_path):
    student = network(2, tie_word_embeddings=False)
    with torch.no_grad():
        student.transformer.wte.weight[IDS[1, 3]] = torch.nan
    guard = NonFiniteGuard("skip", detect=True)
    expected = r"of sample 1\).*The first bad module is the student's `transformer.wte` \(Embedding\), whose `weight`"
    with pytest.warns(UserWarning, match=expected):
        fit(tmp_path, language_module(student=student, fused_head=True), DataLoader(rows(), 2), callbacks=[guard])
    assert guard.skipped == [0]


def test_an_id_beyond_the_vocabulary_is_named_with_its_record(tmp_path):
    ids = IDS.clone()
    ids[2, 3] = 5000
    data = DataLoader(rows(ids, index=torch.tensor([10, 11, 12, 13])), 4)
    expected = r"Found id 5000 in `input_ids` at row 2 \(record 12 of the data set\), position 3"
    with pytest.raises(ValueError, match=expected):
        fit(tmp_path, language_module(student=network(2)), data)


@pytest.mark.parametrize("fused", [True, False])
def test_a_label_beyond_the_vocabulary_is_named_with_its_sample(tmp_path, fused):
    labels = IDS.clone()
    labels[2, 3] = 5000
    with pytest.raises(ValueError, match="The first wrong one is 5000 at sample 2, position 2"):
        fit(tmp_path, language_module(student=network(2), fused_head=fused), DataLoader(rows(labels=labels), 4))


def test_labels_that_all_do_not_count_are_said(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("lightning_abkd.training._log_once.rank_zero_info", said.append)
    data = DataLoader(TensorDataset(dataset().tensors[0], torch.full((32,), -100)), 8)
    fit(tmp_path, module(), data)
    assert said.count("All labels of a batch are -100, so that its task loss is 0. Check the data set.") == 1
    fit(tmp_path, module(teacher=None, divergence=None), data)
    assert any("A training batch has no labelled sample and adds nothing to the loss." in each for each in said)


class Nothing(IterableDataset):
    def __iter__(self):
        return iter(())


@pytest.mark.filterwarnings("ignore:Total length of .* across ranks is zero")
def test_a_training_set_without_a_batch_is_an_error(tmp_path):
    few = DataLoader(TensorDataset(*(x[:3] for x in dataset().tensors)), 8, drop_last=True)
    for data in (few, DataLoader(Nothing(), None)):
        with pytest.raises(ValueError, match="should give at least one batch. Found none.*`drop_last`"):
            fit(tmp_path, module(), data)
    fit(tmp_path, module(), few, limit_train_batches=0)


def test_a_batch_of_no_rows_is_evaluated(tmp_path):
    inputs, labels = dataset().tensors
    few = [(inputs[:8], labels[:8]), (inputs[:0], labels[:0]), (inputs[8:16], labels[8:16])]
    found = trainer(tmp_path).validate(module(), DataLoader(few, None), verbose=False)[0]
    whole = trainer(tmp_path).validate(module(), DataLoader(TensorDataset(inputs[:16], labels[:16]), 16), verbose=False)
    assert found == pytest.approx(whole[0], rel=1e-5)


def test_a_bad_validation_is_said_and_never_the_best(tmp_path):
    class Bad(ModelCheckpoint):
        def on_validation_start(self, trainer, net):
            net.student[0].bias.data[0] += torch.nan if trainer.current_epoch == 0 else 0.0

        def on_validation_end(self, trainer, net):
            super().on_validation_end(trainer, net)
            net.student[0].bias.data[0] = 0.0

    best = Bad(tmp_path / "kept", "{epoch}", monitor="val/loss")
    with pytest.warns(
        UserWarning, match=r"The student's logits contain NaN in batch 0 of val in all 8 samples.*Its weight"
    ):
        fit(tmp_path, module(), loader(), loader(), max_epochs=2, callbacks=[best], enable_checkpointing=True)
    assert best.best_model_path.endswith("epoch=1.ckpt")
    assert best.best_model_score.isfinite()


def test_a_set_without_a_label_is_said_and_stops_no_callback(tmp_path):
    unlabelled = DataLoader(TensorDataset(dataset().tensors[0], torch.full((32,), -100)), 8)
    net = module(teacher=None, divergence=None)
    callbacks = [ModelCheckpoint(tmp_path / "kept", monitor="val/loss"), EarlyStopping("val/loss", check_finite=False)]
    with pytest.warns(UserWarning, match="No position of val counts, so that `val/loss` is NaN: all labels are -100"):
        run = fit(tmp_path, net, loader(), unlabelled, callbacks=callbacks, enable_checkpointing=True)
    assert run.callback_metrics["val/loss"].isnan()
