import pytest
import torch
import torch.distributed as dist

from lightning_abkd.distributed import is_sharded, layout_of
from tests._processes import on_ranks
from tests._shards import ranks, spread

LOGITS = torch.arange(60.0).view(2, 6, 5)


def part_of(mesh, *dims):
    layout = layout_of({"student_logits": spread(LOGITS, mesh, *dims), "teacher_logits": LOGITS})
    part = layout.local_logits(LOGITS)
    assert tuple(part.shape) == layout.local_shape
    # The first class of all and each row tell where a part begins.
    first = int(part[0, 0, 0]) if part.numel() else None
    return first, layout.first_class, len(layout.class_groups), len(layout.position_groups)


def parts():
    with ranks() as mesh:
        found = {"classes": part_of(mesh, -1), "positions": part_of(mesh, 1), "whole": part_of(mesh, None)}
        if mesh.size() == 4:
            square = dist.init_device_mesh("cpu", (2, 2))
            found |= {"both": part_of(square, 1, 2), "classes twice": part_of(square, 2, 2)}
        found["masks"] = masks(mesh)
        found["errors"] = errors(mesh)
    return found


def masks(mesh):
    """A mask of all positions, of this process's positions, and a DTensor, each cut to this process."""
    layout = layout_of({"student_logits": spread(LOGITS, mesh, 1)})
    mask = torch.arange(12).view(2, 6)
    own = spread(mask, mesh, 1)
    return [layout.local_positions(x).tolist() for x in (mask, own, own.to_local())]


def errors(mesh):
    from torch.distributed.tensor import DTensor, Partial

    other = dist.init_device_mesh("cpu", (mesh.size(), 1))
    pairs = [
        (spread(LOGITS, mesh, 0), spread(LOGITS, mesh, -1)),
        (spread(LOGITS, mesh, -1), spread(LOGITS, other, -1, None)),
        (DTensor.from_local(LOGITS, mesh, [Partial()]), LOGITS),
    ]
    return [message(student, teacher) for student, teacher in pairs]


def message(student, teacher):
    with pytest.raises(ValueError, match="Found") as error:
        layout_of({"student_logits": student, "teacher_logits": teacher})
    return str(error.value)


@pytest.fixture(scope="module")
def two():
    return on_ranks(parts, 2)


@pytest.fixture(scope="module")
def four():
    return on_ranks(parts, 4)


def test_classes_are_cut_as_torch_cuts_them(two, four):
    assert [found["classes"] for found in two] == [(0, 0, 1, 0), (3, 3, 1, 0)]
    assert [found["classes"] for found in four] == [(0, 0, 1, 0), (2, 2, 1, 0), (4, 4, 1, 0), (None, 5, 1, 0)]


def test_positions_are_cut_with_all_their_classes(two):
    assert [found["positions"] for found in two] == [(0, 0, 0, 1), (15, 0, 0, 1)]


def test_what_is_whole_stays_whole(two):
    assert [found["whole"] for found in two] == [(0, 0, 0, 0)] * 2


def test_a_mesh_of_two_dimensions_splits_both_or_one_twice(four):
    assert [found["both"] for found in four] == [(0, 0, 1, 1), (3, 3, 1, 1), (15, 0, 1, 1), (18, 3, 1, 1)]
    assert [found["classes twice"] for found in four] == [(0, 0, 2, 0), (2, 2, 2, 0), (3, 3, 2, 0), (4, 4, 2, 0)]


def test_masks_are_cut_unless_they_are_cut_already(two):
    assert [found["masks"] for found in two] == [[[[0, 1, 2], [6, 7, 8]]] * 3, [[[3, 4, 5], [9, 10, 11]]] * 3]


def test_layouts_that_do_not_fit_are_named(two):
    other_dims, other_mesh, pending = two[0]["errors"]
    assert "sharded in the same way" in other_dims
    assert "`student_logits` with S(0)" in other_dims
    assert "on one mesh" in other_mesh
    assert "Call `redistribute` first" in pending


def test_plain_tensors_are_not_sharded():
    assert not is_sharded(torch.zeros(2))
    assert not is_sharded(torch.nn.Parameter(torch.zeros(2)))
