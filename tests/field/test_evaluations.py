"""What an evaluation of a language model logs: means over counted tokens, however they are padded and batched."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from lightning_abkd.losses import DKD, ForwardKL
from lightning_abkd.models import causal_lm_from_config
from lightning_abkd.modules import LanguageDistillationModule
from tests.language._text import DROPLESS
from tests.training._training import trainer

SIZES = DROPLESS | {"n_layer": 1, "n_embd": 8, "n_head": 2, "n_positions": 16, "vocab_size": 16}
COUNTED = [0, 7, 1, 0, 3, 5, 2, 7]


def network(seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = causal_lm_from_config("gpt2", SIZES | {"bos_token_id": 1, "eos_token_id": 1})
        for parameter in net.parameters():
            parameter.data.mul_(8.0)
        return net


def module(**options):
    sgd = lambda parameters: torch.optim.SGD(parameters, lr=0.0)  # noqa: E731
    defaults = {"teacher": network(1), "student": network(2), "divergence": ForwardKL(), "optimizer": sgd}
    return LanguageDistillationModule(**defaults | options)


def rows(dtype=torch.int64):
    """Eight samples of which the last 0 to 7 tokens count."""
    ids = torch.randint(2, 16, (8, 8), generator=torch.Generator().manual_seed(0))
    position = torch.arange(8)
    labels = [torch.where(position > 7 - n, row, -100).to(dtype) for row, n in zip(ids, COUNTED, strict=True)]
    return [{"input_ids": a, "labels": b} for a, b in zip(ids, labels, strict=True)]


def padded(samples):
    """Pad the samples of a batch on the right, as collators do, by two tokens more than it needs."""
    pad = lambda x, value: nn.functional.pad(x, (0, 2), value=value)  # noqa: E731
    return {
        "input_ids": torch.stack([pad(sample["input_ids"], 1) for sample in samples]),
        "labels": torch.stack([pad(sample["labels"], -100) for sample in samples]),
        "attention_mask": torch.stack([pad(torch.ones(8, dtype=torch.int64), 0) for _ in samples]),
    }


def validated(folder, data, devices=1, **options):
    distributed = {"strategy": "ddp_fork", "use_distributed_sampler": True} if devices > 1 else {}
    return trainer(folder, devices=devices, **distributed).validate(module(**options), data, verbose=False)[0]


@pytest.fixture
def expected():
    """The right values, from the logits of all samples at once."""
    batch = torch.utils.data.default_collate(rows())
    labels = batch["labels"][:, 1:]
    counts = labels != -100
    student, teacher = (net.eval()(batch["input_ids"]).logits[:, :-1][counts] for net in (network(2), network(1)))
    task, divergence = nn.functional.cross_entropy(student, labels[counts]), ForwardKL()(student, teacher)
    values = {"loss": task + divergence, "task_loss": task, "divergence": divergence, "perplexity": task.exp()}
    values["teacher_perplexity"] = nn.functional.cross_entropy(teacher, labels[counts]).exp()
    values["agreement"] = (student.argmax(-1) == teacher.argmax(-1)).float().mean()
    return {f"val/{name}": value.item() for name, value in values.items()}


def assert_expected(found, expected):
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("batch_size", [1, 3, 8])
@pytest.mark.parametrize("collate", [None, padded])
def test_losses_are_means_over_the_counted_tokens(tmp_path, expected, fused, batch_size, collate):
    data = DataLoader(rows(), batch_size, collate_fn=collate)
    assert_expected(validated(tmp_path, data, fused_head=fused), expected)


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:Using `DistributedSampler` with the data")
@pytest.mark.parametrize("fused", [True, False])
def test_two_processes_log_what_one_does(tmp_path, expected, fused):
    assert_expected(validated(tmp_path, DataLoader(rows(), 3), devices=2, fused_head=fused), expected)


@pytest.mark.parametrize("fused", [True, False])
def test_task_loss_is_the_logarithm_of_perplexity(tmp_path, fused):
    found = validated(tmp_path, DataLoader(rows(), 3), fused_head=fused)
    assert found["val/task_loss"] == pytest.approx(torch.tensor(found["val/perplexity"]).log().item(), rel=1e-5)


@pytest.mark.parametrize("fused", [True, False])
def test_a_training_step_logs_the_mean_over_its_counted_tokens(tmp_path, expected, fused):
    run = trainer(tmp_path, max_epochs=1)
    run.fit(module(fused_head=fused), DataLoader(rows(torch.int32), 8))
    for name in ("loss", "task_loss", "divergence"):
        assert run.callback_metrics[f"train/{name}"].item() == pytest.approx(expected[f"val/{name}"], rel=1e-5)


@pytest.mark.parametrize("fused", [True, False])
def test_the_loss_of_a_set_without_a_counted_token_is_nan_and_said(tmp_path, fused):
    empty = [row | {"labels": torch.full((8,), -100)} for row in rows()]
    run = trainer(tmp_path, max_epochs=1)
    with pytest.warns(UserWarning, match="No position of val counts, so that `val/loss` is NaN"):
        run.fit(module(fused_head=fused), DataLoader(empty, 4), DataLoader(empty, 4))
    assert {name: value.isnan().item() for name, value in run.callback_metrics.items()} == {"val/loss": True}


def test_labels_of_other_dtypes_are_those_of_int64(tmp_path, expected):
    for fused in (True, False):
        assert_expected(validated(tmp_path, DataLoader(rows(torch.int32), 3), fused_head=fused), expected)


def test_objectives_of_labels_see_the_counted_tokens(tmp_path):
    batch = torch.utils.data.default_collate(rows())
    net = module(divergence=DKD())
    signals, counts = net.signals(batch), batch["labels"][:, 1:] != -100
    student, teacher = (signals[f"{name}_logits"][counts] for name in ("student", "teacher"))
    found = validated(tmp_path, DataLoader(rows(), 8), divergence=DKD(), student=net.student.eval())
    student = net.student(batch["input_ids"]).logits[:, :-1][counts]
    value = DKD()(student, teacher, batch["labels"][:, 1:][counts])
    assert found["val/divergence"] == pytest.approx(value.item(), rel=1e-5)


def test_a_language_teacher_that_knows_nothing_is_said(tmp_path):
    data = DataLoader(rows() * 5, 8)
    with pytest.warns(UserWarning, match="The teacher seems to know nothing of val: its 16 classes are nearly equally"):
        validated(tmp_path, data, teacher=causal_lm_from_config("gpt2", SIZES))


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:Using `DistributedSampler` with the data")
@pytest.mark.parametrize("fused", [True, False])
def test_a_process_without_a_counted_token_does_not_stop_the_others(tmp_path, expected, fused):
    # The second process gets every second sample.
    empty = {"input_ids": rows()[0]["input_ids"], "labels": torch.full((8,), -100)}
    data = [sample for row in rows() for sample in (row, empty)]
    assert_expected(validated(tmp_path, DataLoader(data, 4), devices=2, fused_head=fused), expected)
