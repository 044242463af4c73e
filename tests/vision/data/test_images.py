from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer, seed_everything
from lightning.pytorch.demos.boring_classes import BoringModel
from torchvision.transforms import v2

from lightning_abkd.data import ImageDataModule, image_transform


class Grey(ImageDataModule):
    """40 training images whose brightness is their position, 10 test images."""

    num_classes = 4

    def dataset(self, split: str) -> "GreyImages":
        self.opened = [*getattr(self, "opened", []), split]
        return GreyImages(40 if split == "train" else 10)

    def transform(self, augment: bool) -> v2.Transform:
        # Inverted images have negative means, so augmentation shows.
        return image_transform([v2.RandomInvert(p=1.0)] if augment else [], [0.5], [0.5])


class GreyImages:
    def __init__(self, n: int) -> None:
        self.targets = [i % 4 for i in range(n)]

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.full((1, 2, 3), index, dtype=torch.uint8), self.targets[index]


def grey(stage: str = "fit", **options: Any) -> Grey:
    data = Grey(batch_size=8, **options)
    data.setup(stage)
    return data


def positions(data: Grey, split: str) -> list[int]:
    return data.sets[split].indices.tolist()


def test_batches_are_float_images_and_integer_labels() -> None:
    images, labels = next(iter(grey().train_dataloader()))
    assert (images.shape, images.dtype) == ((8, 1, 2, 3), torch.float32)
    assert (labels.shape, labels.dtype) == ((8,), torch.int64)


def test_train_and_validation_part_the_training_files() -> None:
    data = grey(validation_fraction=0.25)
    assert len(data.sets["validation"]) == 10
    assert sorted(positions(data, "train") + positions(data, "validation")) == list(range(40))


def test_split_depends_on_the_seed_alone() -> None:
    seed_everything(1, verbose=False)
    first = grey(seed=3)
    seed_everything(2, verbose=False)
    assert positions(grey("validate", seed=3), "validation") == positions(first, "validation")
    assert positions(grey(seed=4), "validation") != positions(first, "validation")


def test_only_training_images_are_augmented() -> None:
    data = grey()
    data.setup("test")
    assert all((images > 0).all() for images, _ in data.train_dataloader())
    assert all((images < 0).all() for loader in (data.val_dataloader(), data.test_dataloader()) for images, _ in loader)


def test_augmentation_can_be_switched_off() -> None:
    assert all((images < 0).all() for images, _ in grey(augment=False).train_dataloader())


def test_without_held_out_samples_validation_is_the_data_sets_own() -> None:
    data = grey(validation_fraction=0)
    assert data.opened == ["train", "validation"]
    assert [len(data.sets[split]) for split in ("train", "validation")] == [40, 10]


@pytest.mark.parametrize(
    ("stage", "fraction", "opened"),
    [
        ("fit", 0.1, ["train"]),
        ("validate", 0.1, ["train"]),
        ("validate", 0, ["validation"]),
        ("test", 0.1, ["test"]),
        ("predict", 0.1, ["test"]),
    ],
)
def test_setup_opens_only_what_the_stage_needs(stage: str, fraction: float, opened: list[str]) -> None:
    assert grey(stage, validation_fraction=fraction).opened == opened


def test_prediction_reads_the_test_set_in_order() -> None:
    labels = torch.cat([labels for _, labels in grey("predict").predict_dataloader()])
    assert labels.tolist() == [i % 4 for i in range(10)]


def test_order_of_training_follows_seed_everything() -> None:
    data = grey(return_index=True)
    orders = []
    for seed in (0, 0, 1):
        seed_everything(seed, verbose=False)
        orders.append(torch.cat([index for *_, index in data.train_dataloader()]).tolist())
    assert orders[0] == orders[1] != orders[2]


def test_index_finds_the_stored_image() -> None:
    data = grey(return_index=True, augment=False)
    for loader in (data.train_dataloader(), data.val_dataloader()):
        images, labels, index = next(iter(loader))
        # Grey value v becomes (v/255 - 0.5) / 0.5.
        assert torch.allclose(images[:, 0, 0, 0], index / 127.5 - 1)
        assert torch.equal(labels, index % 4)


def test_label_noise_touches_training_labels_only() -> None:
    data = grey(label_noise=0.5)
    wrong = {split: samples.labels != samples.indices % 4 for split, samples in data.sets.items()}
    assert wrong["train"].sum() == 18  # half of the 36 that validation leaves
    assert not wrong["validation"].any()


def test_label_noise_is_seeded() -> None:
    first, again = (grey(label_noise=0.5).sets["train"].labels for _ in range(2))
    assert torch.equal(first, again)


def test_train_size_takes_a_stratified_part_and_leaves_validation_alone() -> None:
    data = grey(train_size=12)
    assert data.sets["train"].labels.bincount().tolist() == [3, 3, 3, 3]
    assert positions(data, "validation") == positions(grey(), "validation")


def test_two_views_are_of_one_image_and_of_training_alone() -> None:
    data = grey(two_views=True, return_index=True, augment=False)
    (weak, strong), labels, index = next(iter(data.train_dataloader()))
    assert torch.allclose(weak[:, 0, 0, 0], index / 127.5 - 1)
    assert (strong.shape, strong.dtype) == (weak.shape, weak.dtype)
    assert next(iter(data.val_dataloader()))[0].shape[1:] == (1, 2, 3)


def test_strong_view_is_that_of_training_after_random_changes() -> None:
    image = torch.arange(256, dtype=torch.uint8).view(1, 16, 16)
    weak, strong = Grey(augment=False).transform(False), Grey(augment=False).strong_transform()
    assert sum(not torch.equal(strong(image), weak(image)) for _ in range(10)) >= 8
    assert (Grey().strong_transform()(torch.zeros(1, 2, 3, dtype=torch.uint8)) > 0).all()


def test_imbalance_thins_out_training_classes_in_their_order() -> None:
    data = grey(imbalance=8.0, validation_fraction=0)
    # 10 · 8^(-c/3) of 10 samples each.
    assert data.sets["train"].labels.bincount().tolist() == [10, 5, 2, 1]
    assert data.sets["validation"].labels.bincount().tolist() == [3, 3, 2, 2]


def test_imbalance_leaves_the_split_alone_and_is_seeded() -> None:
    first, again, other = grey(imbalance=8.0), grey(imbalance=8.0), grey(imbalance=8.0, seed=1)
    assert positions(first, "validation") == positions(grey(), "validation")
    assert positions(first, "train") == positions(again, "train") != positions(other, "train")


def test_noise_and_size_are_shares_of_what_imbalance_leaves() -> None:
    data = grey(imbalance=8.0, validation_fraction=0, train_size=9, label_noise=1.0)
    assert len(data.sets["train"]) == 9
    assert (data.sets["train"].labels != data.sets["train"].indices % 4).all()


def test_drop_last_and_eval_batch_size_reach_their_loaders() -> None:
    data = grey(drop_last=True, eval_batch_size=3)
    assert [len(labels) for _, labels in data.train_dataloader()] == [8] * 4
    assert [len(labels) for _, labels in data.val_dataloader()] == [3, 1]


def test_workers_persist_and_their_absence_is_fine() -> None:
    assert grey(num_workers=2).train_dataloader().persistent_workers
    assert not grey().train_dataloader().persistent_workers


def test_files_are_fetched_once_and_only_if_asked() -> None:
    data = Grey(download=True)
    data.prepare_data()
    assert data.opened == ["train", "test"]
    data = Grey()
    data.prepare_data()
    assert not hasattr(data, "opened")


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*LeafSpec:FutureWarning")
def test_trainer_runs_every_stage(tmp_path: Path) -> None:
    class Flat(BoringModel):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 2))

        def forward(self, batch: list[torch.Tensor]) -> torch.Tensor:
            return self.layer(batch[0])

    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    trainer = Trainer(fast_dev_run=1, default_root_dir=tmp_path, enable_model_summary=False, **options)
    for stage in (trainer.fit, trainer.validate, trainer.test, trainer.predict):
        stage(Flat(), datamodule=Grey(batch_size=8))


@pytest.mark.parametrize("option", [{"batch_size": 0}, {"validation_fraction": 1.0}, {"label_noise": 2.0}])
def test_options_are_checked_by_their_groups(option: dict[str, float]) -> None:
    (name,) = option
    with pytest.raises(ValueError, match=f"Parameter `{name}` should .* Found `{name} = {option[name]}`"):
        Grey(**option)


def test_options_are_attributes_that_may_be_set_as_by_the_batch_size_finder() -> None:
    data = grey(eval_batch_size=5)
    data.batch_size *= 2
    assert [loader.batch_size for loader in (data.train_dataloader(), data.val_dataloader())] == [16, 5]
    data.train_size = 7
    data.setup("fit")
    assert len(data.sets["train"]) == 7


@pytest.mark.parametrize("fraction", [0.01, 0.99])
def test_validation_fraction_leaves_samples_on_both_sides(fraction: float) -> None:
    with pytest.raises(ValueError, match=r"`validation_fraction` should leave some of the 40 samples on both sides"):
        grey(validation_fraction=fraction)


def test_train_size_is_at_most_what_validation_leaves() -> None:
    with pytest.raises(ValueError, match=r"`train_size` should be at most 36.* Found `train_size = 37`"):
        grey(train_size=37)


def test_loader_before_setup_says_so() -> None:
    with pytest.raises(RuntimeError, match=r"The train set is not open yet. First call `setup`"):
        Grey().train_dataloader()
