import pytest
import torch

from lightning_abkd.language._batches import with_counted
from lightning_abkd.language._token_rows import rowwise_divergence, token_rows
from lightning_abkd.language.teachers._language_teacher import LanguageTeacher
from lightning_abkd.losses import DIST, ForwardKL
from lightning_abkd.losses.hidden import _head_loss
from lightning_abkd.models import separate_head
from tests.language._text import network
from tests.language._token_batches import BATCH, divergence, store


@pytest.fixture
def teacher():
    return LanguageTeacher(network(1))


@pytest.fixture
def student():
    return network(2).eval()


def test_rows_are_the_counted_tokens(student):
    rows = token_rows(BATCH, separate_head(student), None, None)
    assert rows.labels.tolist() == [7, 8, 1, 1]
    logits = student(BATCH["input_ids"], attention_mask=BATCH["attention_mask"]).logits
    torch.testing.assert_close(rows.head.logits(rows.hidden), torch.cat([logits[0, 1:4], logits[1, 1:2]]))


def test_signals_are_those_of_both_networks_in_parts(student, teacher, monkeypatch):
    monkeypatch.setitem(_head_loss._CHUNK_ELEMENTS, "cpu", 3 * 384)
    parts = list(token_rows(BATCH, separate_head(student), teacher, None).signals())
    assert [part["student_logits"].shape for part in parts] == [(1, 3, 384), (1, 1, 384)]
    expected = teacher.network(BATCH["input_ids"], attention_mask=BATCH["attention_mask"]).logits[1, 1]
    torch.testing.assert_close(parts[1]["teacher_logits"][0, 0], expected)


def test_padding_ids_are_cut_on_both_sides(student, teacher):
    rows = token_rows(BATCH, separate_head(student), teacher, 300)
    (signals,) = rows.signals()
    assert signals["student_logits"].shape == signals["teacher_logits"].shape == (1, 4, 300)


def test_hidden_states_are_kept_by_network(tmp_path, student, teacher):
    live = token_rows(BATCH, separate_head(student), teacher, None)
    assert set(live.states) == {"student_logits", "teacher_logits"}
    stored = store(tmp_path, "hidden", teacher, 8)
    assert set(token_rows(BATCH, separate_head(student), stored, None).states) == {"student_logits"}


def test_stored_hidden_states_give_the_teachers_loss(tmp_path, student, teacher):
    stored = store(tmp_path, "hidden", teacher, 8)
    exact, found = (divergence(token_rows(BATCH, separate_head(student), x, None)) for x in (teacher, stored))
    torch.testing.assert_close(found, exact, rtol=0.02, atol=1e-4)


def test_stored_classes_bound_the_teachers_loss_from_below(tmp_path, student, teacher):
    exact = divergence(token_rows(BATCH, separate_head(student), teacher, None))
    caches = [store(tmp_path / str(k), "top_k", teacher, k) for k in (4, 380)]
    few, many = (divergence(token_rows(BATCH, separate_head(student), stored, None)) for stored in caches)
    assert 0 < few < many < exact * 1.001
    torch.testing.assert_close(many, exact, rtol=0.05, atol=0)


def test_positions_found_on_the_host_give_the_rows_of_those_found_later(student):
    early, late = (token_rows(x, separate_head(student), None, None) for x in (with_counted(BATCH), BATCH))
    torch.testing.assert_close(early.hidden, late.hidden)


def test_cross_entropy_is_left_out_without_a_weight_unless_it_is_alone(student, teacher):
    both, alone = (token_rows(BATCH, separate_head(student), x, None) for x in (teacher, None))
    assert both.loss(ForwardKL(), 0.0, 1.0).task_loss is None
    assert alone.loss(ForwardKL(), 0.0, 1.0).task_loss is not None


def test_losses_that_are_no_mean_over_tokens_are_refused():
    kl = ForwardKL()
    assert rowwise_divergence(kl) is kl
    assert rowwise_divergence(None) is None
    for loss, name in ((DIST(), "DIST"), (ForwardKL(reduction="sum"), "ForwardKL")):
        with pytest.raises(ValueError, match=f"{name} is not a plain mean over tokens"):
            rowwise_divergence(loss)
