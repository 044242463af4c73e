"""Folders of images as users have them: broken files, files of other kinds, other layouts."""

import pytest
import torch
from torch.utils.data import DataLoader, default_collate
from torchvision.transforms import v2

from lightning_abkd.data import (
    BaseToNewDataModule,
    CIFAR10DataModule,
    FashionMNISTDataModule,
    ImageDataModule,
    ImageFolderDataModule,
    image_transform,
)
from tests.vision.data._coop import write_coop
from tests.vision.data._formats import write_fashion_mnist_archives
from tests.vision.data._pictures import encoded, half_red, noise, ramp, write_folders

pytestmark = pytest.mark.float32

# With these statistics a pixel is its brightness from 0 to 1.
PLAIN = {"image_size": 8, "mean": [0.0], "std": [1.0], "augment": False}


def opened(root, stage="fit", **options):
    data = ImageFolderDataModule(root, **{**PLAIN, "batch_size": 4, **options})
    data.prepare_data()
    data.setup(stage)
    return data


def batches(loader):
    return [torch.cat(column) for column in zip(*loader, strict=True)]


def failure(data):
    """What stops the validation; no traceback is kept, so that workers end before the next test."""
    try:
        batches(data.val_dataloader())
    except OSError as error:
        error.__traceback__ = None
        return str(error)


@pytest.fixture
def said(monkeypatch):
    messages = []
    monkeypatch.setattr("lightning_abkd.vision.data._readable.rank_zero_info", messages.append)
    return messages


@pytest.fixture
def broken(tmp_path):
    """Two classes of three images; the second black image is cut off, and a white one is a text."""
    write_folders(tmp_path, per_class=3)
    for split in ("train", "val"):
        (tmp_path / split / "a" / "1.png").write_bytes(encoded(noise(), "JPEG")[:500])
        (tmp_path / split / "b" / "0.png").write_text("<html>404</html>")
    return tmp_path


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("name", ["1.png", "0.png"])
def test_a_broken_image_stops_with_its_name(broken, workers, name):
    (broken / "val" / ("b/0.png" if name == "1.png" else "a/1.png")).unlink()
    stopped_by = failure(opened(broken, num_workers=workers))
    assert f"/{name}` should be an image that can be read. Found" in stopped_by


@pytest.mark.parametrize("workers", [0, 2])
def test_skipped_images_leave_the_labels_and_positions_of_the_others(broken, workers, said):
    data = opened(broken, on_error="skip", return_index=True, num_workers=workers)
    for loader in (data.train_dataloader(), data.val_dataloader()):
        images, labels, index = batches(loader)
        assert images.mean((1, 2, 3)).tolist() == labels.tolist()  # black is a, white is b
        assert sorted(index.tolist()) == [0, 2, 4, 5]
    assert [message.partition(",")[0] for message in said] == [
        "Left out 2 of the 6 train images",
        "Left out 2 of the 6 validation images",
    ]
    assert all("a/1.png" in message and "b/0.png" in message for message in said)


def test_skipped_images_are_said_once_for_each_split(broken, said):
    data = opened(broken, on_error="skip")
    for stage in ("fit", "validate", "test", "test"):
        data.setup(stage)
    assert len(said) == 3


def test_size_and_noise_count_the_images_that_can_be_read(broken):
    data = opened(broken, on_error="skip", train_size=4, label_noise=0.5)
    assert len(data.sets["train"]) == 4
    assert (data.sets["train"].labels != torch.tensor([0, 0, 1, 1])).sum() == 2


def test_images_of_any_form_have_the_brightness_that_a_viewer_shows(tmp_path):
    forms = {
        "16.png": ramp("uint16", 65535),
        "float.tif": ramp("float32", 1.0),
        "8.png": ramp("uint8", 255),
        "inks.tif": ramp("uint8", 255).convert("CMYK"),
        "palette.png": ramp("uint8", 255).convert("P"),
        "LA.png": ramp("uint8", 255).convert("LA"),
    }
    for split in ("train", "val"):
        (tmp_path / split / "a").mkdir(parents=True)
        for name, image in forms.items():
            image.save(tmp_path / split / "a" / name)
    for channels in (1, 3):
        # Images of 16 pixels stay as they are, and the outermost pixel on each side is cut off.
        images = batches(opened(tmp_path, channels=channels, image_size=14).val_dataloader())[0]
        assert images.shape == (6, channels, 14, 14)
        assert images.mean((1, 2, 3)).tolist() == pytest.approx([0.5] * 6, abs=0.01)


def test_grey_images_take_one_mean_or_the_average_of_three(tmp_path):
    write_folders(tmp_path)
    data = opened(tmp_path, channels=1, mean=[0.1, 0.2, 0.3], std=[0.5])
    images, labels = batches(data.val_dataloader())
    torch.testing.assert_close(images.mean((1, 2, 3)), (labels - 0.2) / 0.5)
    with pytest.raises(ValueError, match=r"a number for each of the 3 channels. Found `mean = \[0, 1\]`"):
        ImageFolderDataModule(tmp_path, mean=[0, 1])
    with pytest.raises(ValueError, match=r"`std` should be finite and greater than 0"):
        ImageFolderDataModule(tmp_path, std=[0, 1, 1])


def test_a_wrong_folder_is_told_what_it_holds_before_images_are_listed(tmp_path):
    for content, found in ((None, "no such folder"), ("x", "It holds nothing"), ("x/y", "It holds y")):
        if content:
            (tmp_path / content).mkdir()
        with pytest.raises(FileNotFoundError, match=rf"where `train/` is missing\. (There is )?{found}"):
            ImageFolderDataModule(tmp_path / "x").prepare_data()


def test_classes_that_differ_are_refused_before_images_are_listed(tmp_path):
    write_folders(tmp_path, ("train", "val", "test"))
    (tmp_path / "test" / "c").mkdir()
    with pytest.raises(ValueError, match=r"`test/` has the classes of its `train/`.*only one of them has: c"):
        ImageFolderDataModule(tmp_path).prepare_data()


def test_validation_images_without_folders_say_so(tmp_path):
    write_folders(tmp_path, ("train",))
    (tmp_path / "val").mkdir()
    half_red().save(tmp_path / "val" / "ILSVRC2012_val_00000001.png")
    with pytest.raises(FileNotFoundError, match=r"any class folder in .*val.*1 files without a folder: ILSVRC2012_val"):
        opened(tmp_path)


def test_images_without_classes_are_predicted(tmp_path):
    write_folders(tmp_path / "new", ("x",))
    data = ImageFolderDataModule("nowhere", predict_dir=tmp_path / "new", **PLAIN)
    data.setup("predict")
    images, labels = batches(data.predict_dataloader())
    assert images.mean((1, 2, 3)).tolist() == [0, 0, 1, 1]
    assert labels.tolist() == [-100] * 4


def test_base_to_new_skips_broken_images_and_names_them(tmp_path, said):
    write_coop(tmp_path, "eurosat", classes=4, per_class=2)
    broken = tmp_path / "eurosat" / "2750" / "test_1_0.jpg"
    broken.write_bytes(broken.read_bytes()[:200])
    options = {"root": tmp_path, "dataset": "eurosat", "image_size": 8}
    skipping = BaseToNewDataModule(**options, on_error="skip")
    skipping.setup("test")
    halves = [labels.tolist() for loader in skipping.test_dataloader() for _, labels in loader]
    assert halves == [[0, 0, 1], [2, 2, 3, 3]]
    assert "Left out 1 of the 8 test images" in said[0]
    data = BaseToNewDataModule(**options)
    data.setup("test")
    with pytest.raises(OSError, match=r"test_1_0\.jpg` should be an image"):
        batches(data.test_dataloader()[0])


def test_an_image_that_a_split_file_names_but_nobody_has_is_named(tmp_path):
    write_coop(tmp_path, "dtd")
    (tmp_path / "dtd" / "images" / "train_0_0.jpg").unlink()
    data = BaseToNewDataModule(tmp_path, "dtd", image_size=8)
    data.setup("fit")
    with pytest.raises(OSError, match=r"train_0_0\.jpg` should be an image that can be read\. Found no such file"):
        batches(data.train_dataloader())


def test_a_split_file_of_another_editor_is_read(tmp_path):
    write_coop(tmp_path, "dtd")
    file = tmp_path / "dtd" / "split_zhou_DescribableTextures.json"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert BaseToNewDataModule(tmp_path, "dtd").num_classes == 4


class Stored:
    """Grey images in memory, with targets in any form."""

    def __init__(self, targets):
        self.targets = targets

    def __getitem__(self, index):
        if index == 3:
            raise OSError("the disk does not answer")
        return torch.full((1, 4, 4), index, dtype=torch.uint8), self.targets[index]


class Own(ImageDataModule):
    """A user's data module over twelve images; the fourth cannot be read."""

    num_classes = 3

    def __init__(self, targets, **options):
        super().__init__(validation_fraction=0.25, batch_size=4, **options)
        self.targets = targets

    def dataset(self, split):
        return Stored(self.targets)

    def transform(self, augment):
        return image_transform([], [0.0], [1.0])


CLASSES = torch.arange(12) % 3


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.float32])
def test_labels_of_any_dtype_train_under_noise_and_imbalance(dtype, said):
    data = Own(CLASSES.to(dtype).unsqueeze(1), on_error="skip", label_noise=1.0, imbalance=2.0, return_index=True)
    data.setup("fit")
    _, labels, index = batches(data.train_dataloader())
    assert (labels.dtype, labels.shape) == (torch.int64, index.shape)
    assert (labels != CLASSES[index]).all()
    assert "Left out 1 of the 12 train images, which cannot be read: number 3" in said[0]


def test_soft_targets_pass_through(said):
    soft = torch.softmax(torch.randn(12, 3), 1)
    data = Own(soft, on_error="skip", return_index=True, imbalance=1.5)
    data.setup("fit")
    for loader in (data.train_dataloader(), data.val_dataloader()):
        _, labels, index = batches(loader)
        torch.testing.assert_close(labels, soft[index], rtol=0, atol=0)
    with pytest.raises(ValueError, match="`label_noise` should be 0 for labels that are probabilities"):
        Own(soft, on_error="skip", label_noise=0.1).setup("fit")


def test_a_collate_function_that_mixes_labels_is_left_alone():
    data = Own(CLASSES.to(torch.int16), on_error="skip")
    data.setup("fit")
    mix = v2.RandomChoice([v2.MixUp(num_classes=3), v2.CutMix(num_classes=3)])
    loader = DataLoader(data.sets["train"], 4, collate_fn=lambda samples: mix(*default_collate(samples)))
    _, labels = next(iter(loader))
    assert labels.shape == (4, 3)
    torch.testing.assert_close(labels.sum(1), torch.ones(4))


def test_a_users_own_image_that_fails_is_numbered():
    data = Own(CLASSES)
    data.setup("test")
    with pytest.raises(OSError, match="Sample 3 of Stored should be an image that can be read.*does not answer"):
        batches(data.test_dataloader())


def test_labels_beyond_the_classes_are_refused_before_training():
    with pytest.raises(ValueError, match="lie between 0 and 2, because there are 3 classes. Found 3 at position 2"):
        Own(CLASSES + 1).setup("fit")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (BaseToNewDataModule("nowhere", "dtd"), "`root` should hold dtd in CoOp's layout"),
        (CIFAR10DataModule("nowhere"), "`data_dir` should be a folder that holds cifar-10-batches-py/.*does not exist"),
        (FashionMNISTDataModule("nowhere"), "or train-images-idx3-ubyte.gz, .*does not exist"),
    ],
)
def test_a_wrong_path_is_told_before_the_data_are_opened(data, message):
    with pytest.raises(FileNotFoundError, match=message):
        data.prepare_data()


def test_archives_are_enough(tmp_path):
    write_fashion_mnist_archives(tmp_path, 20)
    data = FashionMNISTDataModule(tmp_path)
    data.prepare_data()
    data.setup("predict")
    assert data.sets["test"].stored.classes[0] == "T-shirt/top"
