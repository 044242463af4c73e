import pytest
import torch

from lightning_abkd.training._evidence import Finding, Look, finding_in, index_of, inputs_of, largest, listed

NAN, INF = torch.nan, torch.inf


def logits(**places):
    """Zeros (4, 3) with some values, by place such as r1c2."""
    values = torch.zeros(4, 3)
    for place, value in places.items():
        values[int(place[1]), int(place[3])] = value
    return values


def look(losses, **signals):
    batch = signals.pop("batch", (torch.ones(4, 2), torch.zeros(4)))
    return Look(batch, 0, {name: torch.tensor(x) for name, x in losses.items()}, lambda: largest(signals))


def test_the_teacher_comes_before_the_student():
    rows = largest({"student_logits": logits(r0c0=NAN), "teacher_logits": logits(r1c0=INF, r3c2=INF)})
    where = "in 2 of 4 samples of the batch: 1, 3"
    assert finding_in(rows) == Finding("teacher", "The teacher's logits", "inf", (1, 3), where)


def test_nan_is_named_before_inf():
    assert finding_in(largest({"student_logits": logits(r0c0=INF, r1c0=NAN)})).kind == "NaN"


def test_a_class_at_minus_infinity_is_no_finding_and_all_of_them_are():
    values = logits(r2c0=-INF)
    assert finding_in(largest({"student_logits": values})) is None
    values[2] = -INF
    assert finding_in(largest({"student_logits": values})).kind == "-inf for every class"


def test_a_second_view_and_features_are_named():
    assert finding_in(largest({"student_logits_strong": logits(r0c0=NAN)})).what == (
        "The student's logits of the second view"
    )
    assert finding_in(largest({"teacher_features": logits(r0c0=NAN)})).what == "The teacher's features"


def test_tokens_are_named_by_sample_and_position():
    values = torch.zeros(2, 5, 3)
    values[1, 4, 0] = NAN
    where = finding_in(largest({"student_logits": values})).where
    assert where == "in 1 of 2 samples of the batch: 1 (first at position 4 of sample 1)"


def test_the_index_in_the_data_set_is_named_where_the_batch_has_it():
    batch = (torch.ones(4, 2), torch.zeros(4), torch.tensor([40, 41, 42, 43]))
    found = look({"loss": NAN}, student_logits=logits(r2c0=NAN), batch=batch).finding()
    assert found.where.endswith("2, whose index in the data set is 42")
    assert index_of({"input_ids": torch.ones(1, 2), "index": torch.tensor([7])}).tolist() == [7]
    assert index_of(torch.ones(1, 2)) is None
    assert index_of({"input_ids": torch.ones(1, 2)}) is None


def test_inputs_come_before_networks():
    inputs = torch.ones(4, 2)
    inputs[3, 1] = -INF
    found = look({"loss": NAN}, student_logits=logits(r3c0=NAN), batch=(inputs, torch.zeros(4))).finding()
    assert (found.what, found.kind, found.samples) == ("The inputs", "inf", (3,))


def test_masks_and_labels_are_no_inputs():
    batch = {"inputs_embeds": torch.ones(1, 2, 3), "attention_mask": torch.full((1, 2), -INF), "labels": torch.ones(1)}
    assert list(inputs_of(batch)) == ["inputs `inputs_embeds`"]
    assert inputs_of([1, 2]) == {}


@pytest.mark.parametrize(
    ("losses", "what", "kind"),
    [
        ({"loss": NAN}, "The loss", "NaN"),
        ({"loss": INF, "task_loss": 1.0, "divergence": INF}, "The loss's term `divergence`", "inf"),
        ({"loss": NAN, "task_loss": NAN, "divergence": INF}, "The loss", "NaN"),
    ],
)
def test_the_term_is_named_where_all_logits_are_numbers(losses, what, kind):
    found = look(losses, student_logits=logits()).finding()
    assert (found.source, found.what, found.kind, found.where) == ("loss", what, kind, "")


def test_what_was_found_stays_when_logits_are_released():
    seen = look({"loss": NAN}, student_logits=logits(r0c0=NAN))
    seen.compute_rows()
    assert seen.finding().source == "student"
    seen.release()
    assert (seen.rows(), seen.finding().source) == ({}, "student")


def test_a_batch_of_no_rows_is_no_finding():
    assert finding_in(largest({"student_logits": torch.zeros(0, 3)})) is None
    assert inputs_of((torch.zeros(0, 2),)) == {}


def test_few_of_many_are_listed():
    assert listed(tuple(range(20))) == "0, 1, 2, 3, 4, 5, 6, 7, …"
