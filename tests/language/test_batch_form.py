import pytest
import torch
from transformers import BatchEncoding

from lightning_abkd.language._batch_form import ReadBatch, read_batch, with_all_counted, without_labels
from tests.language._token_batches import BATCH

IDS = BATCH["input_ids"]


@pytest.mark.parametrize("kind", [dict, BatchEncoding])
def test_mappings_of_every_kind_are_read_once(kind):
    read = read_batch(kind(BATCH))
    assert set(read) == set(BATCH)
    assert read_batch(read) is read


@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int32, torch.int64])
def test_whole_numbers_of_every_dtype_are_read(dtype):
    read = read_batch({name: BATCH[name].to(dtype) for name in ("input_ids", "labels")})
    for name, value in read.items():
        assert value.dtype == torch.int64
        assert torch.equal(value, BATCH[name])


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float32, torch.bfloat16])
def test_masks_of_every_dtype_are_read(dtype):
    mask = BATCH["attention_mask"]
    assert torch.equal(read_batch(BATCH | {"attention_mask": mask.to(dtype)})["attention_mask"], mask)


def test_masks_between_tokens_and_numbers_stay():
    given = {"input_ids": IDS, "attention_mask": torch.zeros(2, 1, 5, 5), "use_cache": False, "position_ids": None}
    read = read_batch(given)
    assert read["attention_mask"] is given["attention_mask"]
    assert "position_ids" not in read


def test_without_labels_every_token_counts_but_masked_and_first_ones():
    packed = torch.tensor([[0, 1, 2, 0, 1], [0, 1, 2, 3, 4]])
    made = with_all_counted(read_batch({**BATCH, "position_ids": packed}))["labels"]
    assert made.tolist() == [[-100, 6, 7, -100, 1], [-100, 4, 1, -100, -100]]
    assert torch.equal(with_all_counted(ReadBatch(input_ids=IDS))["labels"], IDS)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ((IDS, IDS), r"Found a tuple of 2 \(a tensor of shape \(2, 5\) and torch.int64, a tensor"),
        (IDS, r"Found a tensor of shape \(2, 5\) and torch.int64"),
        ("text", "Found str"),
        ({}, "Found only an empty one"),
        ({"labels": IDS}, "Found only `labels`"),
        ({"input_ids": IDS[0]}, r"`input_ids` .* the shape \(B, T\). Found \(5,\)"),
        ({"input_ids": IDS.float()}, "`input_ids` .* whole numbers, such as int64. Found torch.float32"),
        ({"input_ids": IDS, "labels": IDS == 1}, "`labels` .* whole numbers.* Found torch.bool"),
        ({"input_ids": IDS, "labels": IDS[:, 1:]}, r"`labels` .* shape of `input_ids`, \(2, 5\). Found \(2, 4\)"),
        ({"input_ids": IDS, "attention_mask": IDS[:1]}, r"`attention_mask` .* Found \(1, 5\)"),
        (
            {"input_ids": IDS, "attention_mask": IDS},
            r"`attention_mask` .* should be 1 where .* from 0 to 9 \(torch",
        ),
        ({"input_ids": IDS, "attention_mask": (1.0 - (IDS > 4).float()) * -1e9}, "from -1000000000.0 to"),
        (
            {"input_ids": [[5, 6], [7]]},
            r"`input_ids` .* should be a tensor. Found a list of 2 \(a list of 2 \(int",
        ),
        ({"input_ids": IDS, "text": ["a"]}, r"`text` .* should be a tensor. Found a list of 1 \(str\)"),
        ({"input_ids": torch.nested.nested_tensor([IDS[0], IDS[1, :2]], layout=torch.jagged)}, "Found a nested tensor"),
    ],
)
def test_other_forms_are_described(batch, message):
    with pytest.raises((TypeError, ValueError), match=message) as error:
        read_batch(batch)
    assert "should" in str(error.value)


def test_missing_labels_are_explained():
    assert "`labels` (B, T). Found only `input_ids`. Labels are the token ids" in str(
        without_labels({"input_ids": IDS})
    )
