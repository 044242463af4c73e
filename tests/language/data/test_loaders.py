import pytest

from lightning_abkd.language.data._loaders import packed_loader, padded_loader
from lightning_abkd.language.data._options import Loading
from lightning_abkd.training import ResumableData
from tests.language.data._text import read, write


@pytest.fixture
def samples(tmp_path):
    return read(write(tmp_path / "a.jsonl", ("a", "b"), ("a", "bcd"), ("a", "bc")))


def test_padded_batches_keep_the_order_of_the_samples(samples):
    first, second = padded_loader(Loading(2, 0), samples, padding=9)
    assert first["index"].tolist() + second["index"].tolist() == [0, 1, 2]
    assert first["input_ids"][0, -1] == 9


def test_packed_batches_hold_several_samples_a_row(samples):
    order = ResumableData().training_order(2, batch_size=2, augments=False)
    (batch,) = packed_loader(Loading(2, 0), [samples[:2], samples[2:]], 9, order)
    assert sorted((batch["position_ids"] == 0).sum(-1).tolist()) == [2, 1 + 1]
