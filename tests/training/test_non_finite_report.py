import pytest
import torch

from lightning_abkd.training._evidence import Finding, Look, largest
from lightning_abkd.training._non_finite_report import NonFiniteReport, about_modules, of_evaluation, sentence
from tests.training._training import module, trainer


@pytest.fixture
def net(tmp_path):
    net = module()
    net.trainer = trainer(tmp_path)
    return net


def look(value=torch.nan):
    batch = (torch.ones(2, 5), torch.tensor([0, 1]))
    signals = {"teacher_logits": torch.tensor([[value, 0.0], [0.0, 0.0]])}
    seen = Look(batch, 3, {"loss": torch.tensor(torch.nan)}, lambda: largest(signals), {"cpu": torch.get_rng_state()})
    seen.finding()
    return seen


def report(net, saves_batches=True):
    report = NonFiniteReport(saves_batches)
    report.begin(net.trainer)
    return report


def test_network_step_batch_samples_cause_and_file_are_said(tmp_path, net):
    said = report(net).of_loss(net, look(), detects=False)
    path = tmp_path / "non_finite_step0_rank0.pt"
    assert said == (
        "The teacher's logits contain NaN at step 0 (epoch 0, batch 3) in 1 of 2 samples of the batch: 0. "
        "Check its weights, its precision and the inputs it was trained on. "
        "`abkd fit --detect`, or `NonFiniteGuard(detect=True)`, names the first module. "
        f"The batch is saved: `lightning_abkd.diagnostics.replay_batch(module, {str(path)!r})` runs it again."
    )
    content = torch.load(path, weights_only=True)
    assert said.startswith(content["message"])
    assert {name: content[name] for name in ("step", "epoch", "rank", "precision")} == {
        "step": 0,
        "epoch": 0,
        "rank": 0,
        "precision": "32-true",
    }
    assert content["numbers"].keys() >= {"alpha", "beta", "temperature"}
    assert content["weights"] == {"task_weight": 1.0, "distillation_weight": 1.0}
    assert content["classes"]["divergence"].endswith(".AlphaBetaDivergence")
    assert content["classes"]["student"] == "torch.nn.modules.container.Sequential"
    assert content["batches"][0]["batch"][0].shape == (2, 5)


def test_the_batches_of_five_steps_are_saved_and_none_if_not_asked_for(tmp_path, net):
    assert "saved" not in report(net, saves_batches=False).of_loss(net, look(), detects=True)
    few = report(net)
    said = [few.of_loss(net, look(), detects=True) for _ in range(6)]
    assert ["is saved" in each for each in said] == [True] * 5 + [False]


def test_a_file_that_cannot_be_written_is_said(tmp_path, net):
    (tmp_path / "file").write_text("")
    net.trainer = trainer(tmp_path / "file")
    said = report(net).of_loss(net, look(), detects=True)
    assert "The batch could not be saved: [Errno" in said


def test_all_batches_of_a_step_are_saved_for_a_gradient(tmp_path, net):
    finding = Finding("gradient", "The gradient of `student.0.weight`", "NaN")
    said = report(net).of_gradient(net, [look(), look()], finding, "the loss", detects=True)
    assert "contains NaN at step 0 (epoch 0, batch 3, 3) although the loss is a number." in said
    assert "The first gradient that is not finite is that of the loss" in said
    assert len(torch.load(tmp_path / "non_finite_step0_rank0.pt", weights_only=True)["batches"]) == 2


@pytest.mark.parametrize(
    ("source", "first", "detects", "expected"),
    [
        ("student", "x", True, "The first bad module is x: its inputs are finite and its output is not."),
        ("gradient", "x", True, "The first bad module of the backward pass is x: a finite gradient comes in"),
        ("student", "", True, "No module alone makes it so"),
        ("gradient", "", False, "`abkd fit --detect`"),
        ("inputs", "", False, ""),
        ("loss", "", True, ""),
    ],
)
def test_the_first_bad_module_or_how_to_find_it_is_said(source, first, detects, expected):
    assert about_modules(Finding(source, "", "NaN"), first, detects).startswith(expected)


def test_sentences_fit_what_is_wrong():
    assert sentence(Finding("loss", "The loss", "NaN"), "at step 7") == (
        "The loss is NaN at step 7 although all logits are numbers."
    )
    assert sentence(Finding("inputs", "The inputs", "inf", (1,), "in 1 of 2"), "at step 7") == (
        "The inputs contain inf at step 7 in 1 of 2."
    )


def test_a_batch_of_an_evaluation_is_said_without_samples_where_its_rows_are_others(net):
    seen = look()
    assert of_evaluation(net, "val", seen).startswith("The teacher's logits contain NaN in batch 3 of val in 1 of 2")
    seen.batch = None
    assert of_evaluation(net, "val", seen).startswith("The teacher's logits contain NaN in batch 3 of val. Check")
