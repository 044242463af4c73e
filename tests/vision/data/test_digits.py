import sys
from typing import Any

import pytest
import torch
from jsonargparse import ArgumentParser

from lightning_abkd.data import DigitsDataModule


def digits(**options: Any) -> DigitsDataModule:
    data = DigitsDataModule(**options)
    data.setup("fit")
    data.setup("test")
    return data


def test_images_are_scaled_to_minus_one_and_one() -> None:
    images, labels = next(iter(digits(batch_size=500).train_dataloader()))
    assert images.shape == (500, 1, 8, 8)
    assert images.dtype == torch.float32
    assert (images.min(), images.max()) == (-1, 1)
    assert labels.unique().tolist() == list(range(10))


def test_images_can_be_vectors() -> None:
    images, _ = next(iter(digits(flatten=True, batch_size=4).test_dataloader()))
    assert images.shape == (4, 64)


@pytest.mark.parametrize(("flatten", "shape"), [(True, (64,)), (False, (1, 8, 8))])
def test_strong_view_is_moved_on_the_same_ground(flatten: bool, shape: tuple[int, ...]) -> None:
    (weak, strong), _ = digits(flatten=flatten, two_views=True).sets["train"][0]
    assert weak.shape == strong.shape == shape
    assert (strong.min(), strong.dtype) == (-1, torch.float32)
    assert not torch.equal(weak, strong)


def test_parts_hold_all_1797_digits() -> None:
    # 1797 // 5 = 359; a quarter of the other 1438 is 359.5, which rounds to the even 360.
    sizes = {split: len(samples) for split, samples in digits(validation_fraction=0.25).sets.items()}
    assert sizes == {"train": 1078, "validation": 360, "test": 359}


def test_test_images_are_the_same_for_every_seed_and_in_no_other_part() -> None:
    first, other = digits(seed=0), digits(seed=1)
    test = first.sets["test"].stored.images
    assert torch.equal(test, other.sets["test"].stored.images)
    train = first.sets["train"].stored.images
    assert len(torch.cat([test, train]).unique(dim=0)) == 1797


def test_few_and_wrong_labels_are_available() -> None:
    data = digits(train_size=100, label_noise=0.2)
    true = data.sets["train"].stored.targets[data.sets["train"].indices]
    assert (data.sets["train"].labels != true).sum() == 20


def test_config_offers_the_shared_options_but_no_folder() -> None:
    parser = ArgumentParser()
    parser.add_class_arguments(DigitsDataModule, "data")
    data = parser.instantiate(parser.parse_args(["--data.train_size=50", "--data.flatten=true"])).data
    assert (data.train_size, data.flatten) == (50, True)
    assert "data.label_noise" in parser.get_defaults()
    assert not {"data.data_dir", "data.download", "data.augment"} & set(parser.get_defaults().keys())


def test_missing_scikit_learn_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'lightning-abkd\[quickstart\]'"):
        DigitsDataModule().setup("fit")
