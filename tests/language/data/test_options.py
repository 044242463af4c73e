import itertools
from pathlib import Path

import pytest

from lightning_abkd.language.data._options import (
    Layout,
    Lengths,
    Loading,
    Split,
    files_by_name,
    files_by_stage,
    needed_files,
    stages_of,
)
from lightning_abkd.training import ResumableData


def split(**options):
    return Split(**{"validation_fraction": 0.25, "seed": 0, "train_size": None} | options)


def test_rows_become_batches_in_their_order_or_shuffled():
    rows = list(range(20))
    batches = list(Loading(batch_size=8, num_workers=0).loader(rows, list))
    assert batches == [rows[:8], rows[8:16], rows[16:]]
    order = ResumableData().training_order(len(rows), batch_size=8, augments=False)
    shuffled = list(itertools.chain(*Loading(batch_size=8, num_workers=0).loader(rows, list, order)))
    assert sorted(shuffled) == rows != shuffled


def test_workers_persist_and_their_absence_is_fine():
    assert Loading(1, num_workers=2).loader([1], list).persistent_workers
    assert not Loading(1, num_workers=0).loader([1], list).persistent_workers


def test_order_follows_the_seed():
    assert split().order(30) == split().order(30) != split(seed=1).order(30)
    assert sorted(split().order(30)) == list(range(30))


@pytest.mark.parametrize(("fraction", "samples", "held_out"), [(0.25, 8, 2), (0.01, 8, 1), (0.99, 8, 7)])
def test_both_sides_of_the_split_have_a_sample(fraction, samples, held_out):
    assert split(validation_fraction=fraction).held_out(samples) == held_out


def test_a_single_sample_cannot_be_split():
    with pytest.raises(ValueError, match="`train_file` should hold at least 2 samples: one is set aside. Found 1"):
        split().held_out(1)


def test_size_takes_the_first_positions_in_ascending_order():
    assert split(train_size=2).limit([5, 3, 4]) == [3, 5]
    assert split().limit([5, 3, 4]) == [3, 4, 5]
    with pytest.raises(ValueError, match="`train_size` should be at most 3.* Found `train_size = 4`"):
        split(train_size=4).limit([5, 3, 4])


@pytest.mark.parametrize("fraction", [0.0, 1.0, float("nan")])
def test_validation_fraction_lies_between_zero_and_one(fraction):
    with pytest.raises(ValueError, match=rf"`validation_fraction` should lie in \(0, 1\). Found .* = {fraction}`"):
        split(validation_fraction=fraction)


def test_sizes_are_at_least_one():
    with pytest.raises(ValueError, match="`batch_size` should be at least 1. Found `batch_size = 0`"):
        Loading(batch_size=0, num_workers=0)
    with pytest.raises(ValueError, match="`train_size` should be at least 1. Found `train_size = 0`"):
        split(train_size=0)


@pytest.mark.parametrize("lengths", [(5, 5), (5, 0)])
def test_a_prompt_leaves_room_for_a_response(lengths):
    with pytest.raises(ValueError, match=f"`max_prompt_length = {lengths[1]}`, `max_length = 5`"):
        Lengths(*lengths)


def test_files_are_named_and_a_single_one_is_not():
    assert files_by_name("test_file", None) == {}
    assert files_by_name("test_file", "a.jsonl") == {"": "a.jsonl"}
    assert files_by_name("test_file", {"x": "a.jsonl"}) == {"x": "a.jsonl"}


@pytest.mark.parametrize("files", [{}, {"": "a.jsonl"}])
def test_several_files_have_names(files):
    with pytest.raises(ValueError, match="Parameter `test_file` should name every file. Found `test_file = {"):
        files_by_name("test_file", files)


def test_layouts_are_known_ones():
    with pytest.raises(ValueError, match="`columns` should map instruction, .* Found `columns.ask`"):
        Layout({"ask": "instruction"}, "last")
    with pytest.raises(ValueError, match="`labelled_turns` should be 'last' or 'every'. Found .*'first'"):
        Layout(None, "first")


def test_files_have_stages_and_names():
    assert files_by_stage("a.jsonl", {"x": "b.jsonl"}) == {"validation": {"": "a.jsonl"}, "test": {"x": "b.jsonl"}}


def test_a_set_without_its_own_file_is_a_part_of_the_training_data():
    named = files_by_stage(None, {"x": "b.jsonl"})
    assert needed_files("fit", "a.jsonl", named, "test") == [Path("a.jsonl")] * 2
    assert needed_files("test", "a.jsonl", named, "test") == [Path("b.jsonl")]
    assert needed_files("test", "a.jsonl", files_by_stage("c.jsonl", None), "test") == [Path("c.jsonl")]
    assert needed_files("predict", None, named, "train") == []


@pytest.mark.parametrize(
    ("stage", "needed"),
    [("fit", ["train", "validation"]), ("validate", ["validation"]), ("test", ["test"]), ("predict", ["train"])],
)
def test_a_stage_needs_its_sets(stage, needed):
    assert stages_of(stage, "train") == needed
