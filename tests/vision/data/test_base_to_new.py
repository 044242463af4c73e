import pytest
import torch

from lightning_abkd.data import BaseToNewDataModule
from tests.vision.data._coop import write_coop


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_coop(root, "dtd", classes=5, per_class=4)
    return root


def opened(root, stage="fit", **options):
    data = BaseToNewDataModule(root, "dtd", image_size=8, batch_size=4, **options)
    data.setup(stage)
    return data


def labels(loader):
    return sorted(set(torch.cat([batch[1] for batch in loader]).tolist()))


@pytest.mark.parametrize(("subsample", "seen"), [("base", [0, 1, 2]), ("new", [3, 4]), ("all", [0, 1, 2, 3, 4])])
def test_training_and_validation_see_the_classes_of_the_subsample(root, subsample, seen):
    data = opened(root, subsample=subsample)
    assert labels(data.train_dataloader()) == labels(data.val_dataloader()) == seen
    assert list(data.classes("train")) == list(data.classes("validation")) == seen


def test_the_test_has_a_set_for_each_half_whatever_was_trained_on(root):
    for subsample in ("base", "new", "all"):
        data = opened(root, "test", subsample=subsample)
        base, new = data.test_dataloader()
        assert (labels(base), labels(new)) == ([0, 1, 2], [3, 4])
        assert (data.classes("base"), data.classes("new")) == (range(3), range(3, 5))


def test_images_are_not_transductive_unless_asked_for(root):
    assert len(opened(root).sets["train"]) == 12
    data = opened(root, transductive=True)
    assert len(data.sets["train"]) == 20
    assert data.classes("train") == range(5)
    assert labels(data.train_dataloader()) == [-100]
    assert labels(data.val_dataloader()) == [0, 1, 2]


def test_shots_are_drawn_from_each_class_by_the_seed(root):
    first, again, other = (opened(root, shots=2, seed=seed).sets["train"] for seed in (0, 0, 1))
    assert first.labels.bincount().tolist() == [2, 2, 2]
    assert first.stored.paths == again.stored.paths != other.stored.paths
    assert len(opened(root, shots=9).sets["train"]) == 12


def test_images_are_those_of_clip(root):
    images, _ = next(iter(opened(root, augment=False).train_dataloader()))
    assert (images.shape, images.dtype) == ((4, 3, 8, 8), torch.float32)
    # Class 0 is black: red becomes -0.48145466 / 0.26862954.
    black = opened(root).sets["validation"][0][0]
    torch.testing.assert_close(black[0], torch.full((8, 8), -1.7923), atol=1e-4, rtol=0.0)


def test_prediction_goes_over_the_whole_test_set(root):
    assert labels(opened(root, "predict").predict_dataloader()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"subsample": "old"}, "`subsample` should be 'base', 'new' or 'all'. Found `subsample = 'old'`"),
        ({"shots": 0}, "`shots` should be at least 1. Found `shots = 0`"),
        ({"image_size": 0}, "`image_size` should be at least 1. Found `image_size = 0`"),
        ({"dataset": "mnist"}, "Found `dataset = 'mnist'`"),
    ],
)
def test_arguments_out_of_range_are_errors(option, message):
    with pytest.raises(ValueError, match=message):
        BaseToNewDataModule(**option)
