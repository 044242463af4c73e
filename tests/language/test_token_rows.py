import pytest
import torch

from lightning_abkd.language._token_rows import counted_positions, network_inputs, token_rows, with_counted
from lightning_abkd.language.teachers._language_teacher import LanguageTeacher
from lightning_abkd.losses import ForwardKL, head_loss
from lightning_abkd.losses.hidden import _head_loss
from lightning_abkd.models import CacheIdentity, TeacherCache, TeacherCacheWriter, separate_head
from lightning_abkd.modules import TeacherFromCache
from tests.language._text import network

IDENTITY = CacheIdentity("teacher", "bytes", "data")
# Three and one tokens of two samples count.
BATCH = {
    "input_ids": torch.tensor([[5, 6, 7, 8, 1], [9, 4, 1, 0, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]),
    "labels": torch.tensor([[-100, -100, 7, 8, 1], [-100, -100, 1, -100, -100]]),
    "index": torch.tensor([1, 0]),
}


@pytest.fixture
def teacher():
    made = LanguageTeacher(network(1))
    made.separate = separate_head(made.network)
    return made


@pytest.fixture
def student():
    return network(2).eval()


def store(folder, kind, teacher, width):
    rows = token_rows(BATCH, teacher.separate, None, None, None)
    head = teacher.separate.head()
    writer = TeacherCacheWriter(folder, IDENTITY, kind, [1, 3], width, 384, head if kind == "hidden" else None)
    if kind == "hidden":
        writer.write_hidden(BATCH["index"], rows.hidden.detach())
    else:
        writer.write_top_k(BATCH["index"], head.logits(rows.hidden).detach())
    writer.close()
    return TeacherFromCache(TeacherCache(folder))


def loss(rows):
    return head_loss(rows.hidden, rows.head, None, rows.compare, ForwardKL()).loss


def test_rows_are_the_counted_tokens(student):
    rows = token_rows(BATCH, separate_head(student), None, None, None)
    assert rows.labels.tolist() == [7, 8, 1, 1]
    logits = student(BATCH["input_ids"], attention_mask=BATCH["attention_mask"]).logits
    torch.testing.assert_close(rows.head.logits(rows.hidden), torch.cat([logits[0, 1:4], logits[1, 1:2]]))


def test_signals_are_those_of_both_networks_in_parts(student, teacher, monkeypatch):
    monkeypatch.setitem(_head_loss._CHUNK_ELEMENTS, "cpu", 3 * 384)
    parts = list(token_rows(BATCH, separate_head(student), teacher, None, None).signals())
    assert [part["student_logits"].shape for part in parts] == [(1, 3, 384), (1, 1, 384)]
    expected = teacher.network(BATCH["input_ids"], attention_mask=BATCH["attention_mask"]).logits[1, 1]
    torch.testing.assert_close(parts[1]["teacher_logits"][0, 0], expected)


def test_padding_ids_are_cut_on_both_sides(student, teacher):
    rows = token_rows(BATCH, separate_head(student), teacher, None, 300)
    (signals,) = rows.signals()
    assert signals["student_logits"].shape == signals["teacher_logits"].shape == (1, 4, 300)


def test_stored_hidden_states_give_the_teachers_loss(tmp_path, student, teacher):
    stored = store(tmp_path, "hidden", teacher, 8)
    exact = loss(token_rows(BATCH, separate_head(student), teacher, None, None))
    torch.testing.assert_close(
        loss(token_rows(BATCH, separate_head(student), None, stored, None)), exact, rtol=0.02, atol=1e-4
    )


def test_stored_classes_bound_the_teachers_loss_from_below(tmp_path, student, teacher):
    exact = loss(token_rows(BATCH, separate_head(student), teacher, None, None))
    few, many = (store(tmp_path / str(k), "top_k", teacher, k) for k in (4, 380))
    few, many = (loss(token_rows(BATCH, separate_head(student), None, stored, None)) for stored in (few, many))
    assert 0 < few < many < exact * 1.001
    torch.testing.assert_close(many, exact, rtol=0.05, atol=0)


def test_stored_outputs_of_other_tokens_are_refused(tmp_path, student, teacher):
    stored = store(tmp_path, "hidden", teacher, 8)
    other = BATCH | {"index": torch.tensor([0, 0])}
    with pytest.raises(ValueError, match="Found 2 stored tokens and 4 counted ones"):
        token_rows(other, separate_head(student), None, stored, None)


def test_networks_get_their_inputs_alone():
    assert set(network_inputs(BATCH, network(0))) == {"input_ids", "attention_mask", "use_cache"}
    assert set(network_inputs(BATCH, torch.nn.Linear(1, 1))) == {"input_ids", "attention_mask"}


def test_positions_found_on_the_processor_are_those_found_later(student):
    batch = with_counted(BATCH)
    assert batch["counted"].tolist() == [1, 2, 3, 6]
    early, late = (token_rows(x, separate_head(student), None, None, None) for x in (batch, BATCH))
    torch.testing.assert_close(early.hidden, late.hidden)
    assert set(network_inputs(batch, torch.nn.Linear(1, 1))) == {"input_ids", "attention_mask"}


def test_the_first_label_is_no_prediction():
    assert counted_positions(torch.tensor([[4, -100, 5], [6, 7, -100]])).tolist() == [1, 3]


def test_batches_that_need_no_positions_stay_as_they_are():
    for batch in ([BATCH["input_ids"]], {"input_ids": BATCH["input_ids"]}, {"labels": BATCH["labels"].to("meta")}):
        assert with_counted(batch) is batch
