import pytest
import torch

from lightning_abkd.vision.data._image_files import ImageFiles
from lightning_abkd.vision.data._readable import Readable, find_readable
from tests.vision.data._pictures import noise


def files(folder, count=4, broken=(1,)):
    paths = [folder / f"{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        noise(number).save(path)
        if number in broken:
            path.write_bytes(path.read_bytes()[:99])
    return ImageFiles(paths, [0] * count)


@pytest.mark.parametrize("workers", [0, 2])
def test_those_that_fail_are_found_and_named(tmp_path, workers):
    found = find_readable(files(tmp_path), workers)
    assert (found.indices.tolist(), found.others) == ([0, 2, 3], [str(tmp_path / "1.png")])


def test_random_numbers_of_the_training_stay(tmp_path):
    before = torch.get_rng_state()
    find_readable(files(tmp_path), 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_none_that_can_be_read_is_an_error(tmp_path):
    with pytest.raises(OSError, match=r"0\.png` should be an image that can be read"):
        find_readable(files(tmp_path, 2, broken=(0, 1)), 0)


def test_the_report_counts_and_names(monkeypatch):
    said = []
    monkeypatch.setattr("lightning_abkd.vision.data._readable.rank_zero_info", said.append)
    Readable(torch.arange(2), []).report("train")
    Readable(torch.arange(9), [f"{i}.png" for i in range(21)]).report("train")
    assert len(said) == 1
    assert "Left out 21 of the 30 train images, which cannot be read: 0.png, 1.png" in said[0]
    assert said[0].endswith("19.png and 1 more.")
