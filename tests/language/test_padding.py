import torch

from lightning_abkd.language._padding import pad_rows


def test_rows_are_padded_on_the_right():
    ids = [torch.tensor([5, 6, 7]), torch.tensor([8])]
    batch = pad_rows(ids, [torch.tensor([-100, 6, 7]), torch.tensor([8])], padding=3, ignored=-100)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 3, 3]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist() == [[-100, 6, 7], [8, -100, -100]]


def test_all_tensors_keep_the_dtype_of_ids():
    ids = [torch.tensor([5, 6])]
    assert {value.dtype for value in pad_rows(ids, ids, 0, -100).values()} == {torch.int64}
