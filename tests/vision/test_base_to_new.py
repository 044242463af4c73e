import pytest
import torch
from lightning import Trainer

from lightning_abkd.data import BaseToNewDataModule, DigitsDataModule
from lightning_abkd.losses import DKD, AlphaBetaDivergence
from lightning_abkd.modules import BaseToNewModule
from lightning_abkd.vision._base_to_new import _labels_among
from tests.vision.data._coop import write_coop

pytestmark = pytest.mark.float32

QUIET = {
    "logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False,
    "accelerator": "cpu",
}  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_coop(root, "dtd", classes=5, per_class=2)
    return root


def network(classes=5):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, classes))


def module(divergence=None, **options):
    options = {"task_weight": 0.0, "optimizer": torch.optim.SGD} | options
    return BaseToNewModule(network(), network(), divergence or AlphaBetaDivergence(0.8, 0.3), **options)


def data(root, **options):
    return BaseToNewDataModule(root, "dtd", image_size=8, batch_size=4, **options)


def columns(root, module, **options):
    """Train for a step and tell which outputs the student's gradient reaches."""
    Trainer(max_steps=1, limit_val_batches=0, **QUIET).fit(module, datamodule=data(root, **options))
    return module.student[1].weight.grad.abs().sum(1).gt(0).tolist()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [True, True, True, False, False]),
        ({"subsample": "new"}, [False, False, False, True, True]),
        ({"subsample": "all"}, [True] * 5),
        ({"transductive": True}, [True] * 5),
    ],
)
def test_training_knows_the_classes_of_its_images_only(root, options, expected):
    assert columns(root, module(), **options) == expected


def test_labels_are_those_among_the_trained_classes(root):
    assert columns(root, module(task_weight=1.0), subsample="new") == [False, False, False, True, True]


def test_each_half_is_tested_among_its_own_classes(root):
    # Biases alone: class 0 wins among 0, 1, 2 and class 3 among 3, 4.
    network = module()
    network.student[1].weight.data.zero_()
    network.student[1].bias.data = torch.tensor([4.0, 0.0, 0.0, 1.0, 0.0])
    (base, new) = Trainer(**QUIET).test(network, datamodule=data(root), verbose=False)
    assert base["test/base/accuracy"] == pytest.approx(1 / 3)
    assert new["test/new/accuracy"] == pytest.approx(1 / 2)
    # 2 · 1/3 · 1/2 / (1/3 + 1/2) = 0.4
    assert base["test/harmonic_mean"] == pytest.approx(0.4)


def test_harmonic_mean_of_nothing_is_nothing(root):
    network = module()
    network.student[1].weight.data.zero_()
    trainer = Trainer(limit_test_batches=1, **QUIET)
    network.student[1].bias.data = torch.tensor([0.0, 0.0, 9.0, 0.0, 9.0])
    trainer.test(network, datamodule=data(root, eval_batch_size=2), verbose=False)
    assert trainer.callback_metrics["test/harmonic_mean"] == 0.0


def test_validation_is_among_the_classes_of_its_images(root):
    network = module()
    network.student[1].weight.data.zero_()
    network.student[1].bias.data = torch.tensor([4.0, 0.0, 0.0, 9.0, 9.0])
    (result,) = Trainer(**QUIET).validate(network, datamodule=data(root), verbose=False)
    assert result["val/accuracy"] == pytest.approx(1 / 3)


def test_unlabelled_images_have_no_accuracy(root):
    trainer = Trainer(max_steps=1, limit_val_batches=0, **QUIET)
    trainer.fit(module(), datamodule=data(root, transductive=True))
    assert "train/accuracy" not in trainer.callback_metrics
    assert trainer.callback_metrics["train/loss"] > 0


def test_losses_of_labels_are_refused_without_labels(root):
    with pytest.raises(ValueError, match="`task_weight` should be 0 for `transductive` data"):
        columns(root, module(task_weight=1.0), transductive=True)
    with pytest.raises(ValueError, match="DKD asks for the signal `labels`"):
        columns(root, module(DKD()), transductive=True)


@pytest.mark.parametrize(("classes", "found"), [((5, 4), "4 in `student_logits`"), ((7, 5), "7 in `teacher_logits`")])
def test_networks_of_other_classes_are_an_error(root, classes, found):
    # The first outputs of a teacher for another set would be taken for those of the half.
    other = BaseToNewModule(*map(network, classes))
    with pytest.raises(ValueError, match=f"an output for each of the 5 classes of dtd. Found {found}"):
        columns(root, other)


def test_other_data_are_an_error():
    with pytest.raises(TypeError, match="should have a BaseToNewDataModule.* Found DigitsDataModule"):
        Trainer(max_epochs=1, **QUIET).fit(module(), datamodule=DigitsDataModule())


def test_labels_of_a_half_are_numbered_from_its_first_class():
    assert _labels_among(range(3, 5), torch.tensor([3, 4, -100], dtype=torch.int16), 5).tolist() == [0, 1, -100]


def test_mixed_labels_keep_the_probabilities_of_the_half():
    mixed = torch.tensor([[0.25, 0.75, 0.0, 0.0, 0.0]])
    assert _labels_among(range(3), mixed, 5).tolist() == [[0.25, 0.75, 0.0]]
