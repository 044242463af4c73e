import inspect
from typing import Any

import pytest
import torch
from jsonargparse import ArgumentParser

from lightning_abkd.data import BaseToNewDataModule, DigitsDataModule, ImageDataModule, ImageFolderDataModule
from lightning_abkd.vision.data._options import (
    AugmentedImageOptions,
    Corruption,
    Loading,
    Split,
    UnsplitImageOptions,
)

LABELS = torch.arange(40) % 4
OWN = {
    DigitsDataModule: {"flatten"},
    ImageFolderDataModule: {"data_dir", "image_size", "mean", "std", "channels", "predict_dir", "follow_symlinks"},
    BaseToNewDataModule: {"root", "dataset", "subsample", "shots", "transductive", "image_size", "follow_symlinks"},
}
PASSED = {
    DigitsDataModule: UnsplitImageOptions,
    ImageFolderDataModule: AugmentedImageOptions,
    BaseToNewDataModule: AugmentedImageOptions,
}


def loading(**options: Any) -> Loading:
    return Loading(**{"batch_size": 8, "eval_batch_size": 3, "num_workers": 0, "drop_last": True} | options)


def split(**options: Any) -> Split:
    return Split(**{"validation_fraction": 0.1, "seed": 0, "train_size": None} | options)


def test_options_have_the_types_of_the_base() -> None:
    base = {name: parameter.annotation for name, parameter in inspect.signature(ImageDataModule).parameters.items()}
    for options in (AugmentedImageOptions, UnsplitImageOptions):
        assert options.__annotations__ == {name: base[name] for name in options.__annotations__}


@pytest.mark.parametrize("data_module", list(OWN))
def test_a_config_offers_own_and_passed_options_with_the_defaults_of_the_base(data_module: type) -> None:
    parser = ArgumentParser()
    parser.add_class_arguments(data_module, "data")
    found = vars(parser.get_defaults().data)
    passed = set(PASSED[data_module].__annotations__)
    assert set(found) == OWN[data_module] | passed
    base = inspect.signature(ImageDataModule).parameters
    assert {name: found[name] for name in passed} == {name: base[name].default for name in passed}


def test_training_is_shuffled_in_whole_batches_and_evaluation_in_order() -> None:
    samples = torch.utils.data.TensorDataset(torch.arange(20))
    assert [len(batch[0]) for batch in loading().loader(samples, train=True)] == [8, 8]
    evaluated = [batch[0] for batch in loading().loader(samples, train=False)]
    assert torch.equal(torch.cat(evaluated), torch.arange(20))
    assert len(evaluated[0]) == 3


def test_sides_of_the_split_hold_every_sample_once() -> None:
    held_out, rest = split(validation_fraction=0.25).hold_out(LABELS, split().generator())
    assert (len(held_out), len(rest)) == (10, 30)
    assert torch.equal(torch.cat([held_out, rest]).sort().values, torch.arange(40))


@pytest.mark.parametrize("fraction", [0.01, 0.99])
def test_an_empty_side_is_an_error(fraction: float) -> None:
    with pytest.raises(ValueError, match=r"`validation_fraction` should leave some of the 40 samples on both sides"):
        split(validation_fraction=fraction).hold_out(LABELS, split().generator())


def test_size_is_at_most_what_is_left() -> None:
    chosen = torch.arange(0, 40, 2)
    kept = split(train_size=5).limit(chosen, LABELS, split().generator())
    assert len(kept) == 5
    assert (kept % 2 == 0).all()
    with pytest.raises(ValueError, match="`train_size` should be at most 20.* Found `train_size = 21`"):
        split(train_size=21).limit(chosen, LABELS, split().generator())


def test_nothing_is_corrupted_by_default() -> None:
    clean = Corruption(label_noise=0.0, imbalance=1.0)
    assert torch.equal(clean.mislabel(LABELS, 4, split().generator()), LABELS)
    assert clean.thin_out(LABELS, LABELS, 4, split().generator()) is LABELS


def test_corruption_thins_out_and_mislabels() -> None:
    bad = Corruption(label_noise=0.5, imbalance=8.0)
    assert (bad.mislabel(LABELS, 4, split().generator()) != LABELS).sum() == 20
    # 10 · 8^(-c/3) of 10 samples each.
    kept = bad.thin_out(torch.arange(40), LABELS, 4, split().generator())
    assert LABELS[kept].bincount().tolist() == [10, 5, 2, 1]


@pytest.mark.parametrize("name", ["batch_size", "eval_batch_size"])
def test_batch_sizes_are_at_least_one(name: str) -> None:
    with pytest.raises(ValueError, match=rf"Parameter `{name}` should be at least 1. Found `{name} = 0`"):
        loading(**{name: 0})


def test_train_size_is_at_least_one() -> None:
    with pytest.raises(ValueError, match="Parameter `train_size` should be at least 1. Found `train_size = 0`"):
        split(train_size=0)


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_validation_fraction_is_below_one(fraction: float) -> None:
    with pytest.raises(ValueError, match=rf"`validation_fraction` should lie in \[0, 1\). Found .* = {fraction}`"):
        split(validation_fraction=fraction)


@pytest.mark.parametrize("noise", [-0.1, 1.1])
def test_label_noise_is_a_share(noise: float) -> None:
    with pytest.raises(ValueError, match=rf"`label_noise` should lie in \[0, 1\]. Found `label_noise = {noise}`"):
        Corruption(label_noise=noise, imbalance=1.0)


@pytest.mark.parametrize("ratio", [0.5, float("inf"), float("nan")])
def test_imbalance_is_at_least_one(ratio: float) -> None:
    with pytest.raises(ValueError, match=rf"`imbalance` should be finite and at least 1. Found `imbalance = {ratio}`"):
        Corruption(label_noise=0.0, imbalance=ratio)
