import pytest
import torch

from lightning_abkd.training._weight_names import Expected
from lightning_abkd.training._weight_values import completed, conversions

ONES = torch.ones(2)


def said(value, dtype):
    return conversions({"w": value}, {"w": torch.zeros(value.shape, dtype=dtype)}, "run.pt")


def test_tied_names_share_the_value_of_the_file():
    weight = torch.zeros(2)
    state = {"head": weight, "embedding": weight}
    assert completed({"embedding": ONES}, state, Expected.by(state), "run.pt") == {"head": ONES, "embedding": ONES}


@pytest.mark.parametrize("other", [torch.tensor([1.0, 2.0]), torch.ones(2).half(), torch.ones(1, 2)])
def test_two_values_of_one_tensor_are_refused(other):
    weight = torch.zeros(2)
    state = {"head": weight, "embedding": weight}
    with pytest.raises(ValueError, match=r"Found two values: `head` and `embedding`.*tie_word_embeddings: false"):
        completed({"head": ONES, "embedding": other}, state, Expected.by(state), "run.pt")


def test_equal_values_of_one_tensor_are_taken_even_if_nan():
    weight = torch.zeros(2)
    state = {"head": weight, "embedding": weight}
    nan = torch.full((2,), torch.nan)
    assert completed({"head": nan, "embedding": nan.clone()}, state, Expected.by(state), "run.pt")["head"] is nan


def test_a_counter_keeps_its_value():
    state = {"w": ONES, "num_batches_tracked": torch.tensor(7)}
    assert completed({"w": ONES}, state, Expected.by(state), "run.pt")["num_batches_tracked"] == 7


def test_rounding_is_said():
    assert said(ONES.half(), torch.float32).endswith("to the network's dtype: 1 from float16 to float32.")
    assert "1 from float32 to bfloat16" in said(ONES, torch.bfloat16)
    assert said(ONES, torch.float32) == ""


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (torch.tensor(1e6), torch.float16),
        (torch.tensor(1e6), torch.float8_e4m3fn),
        (torch.tensor(0.5), torch.int64),
        (torch.tensor(300), torch.uint8),
        (torch.tensor(2), torch.bool),
        (torch.tensor(2**24 + 1), torch.float32),
        (torch.tensor(1j), torch.float32),
    ],
)
def test_a_lost_value_is_refused(value, dtype):
    with pytest.raises(ValueError, match="Found `w` of .* which loses values as"):
        said(value, dtype)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (torch.tensor([0, 1], dtype=torch.uint8), torch.bool),
        (torch.tensor(3.0), torch.int64),
        (torch.tensor(torch.inf), torch.float16),
        (torch.tensor(torch.nan), torch.bfloat16),
        (torch.tensor(5, dtype=torch.int32), torch.int64),
    ],
)
def test_a_kept_value_is_taken(value, dtype):
    assert "1 from" in said(value, dtype)
