import pytest
import torch
import torch.distributed as dist

from lightning_abkd.losses import OutputHead, compare_with_head
from lightning_abkd.losses.hidden._head_layout import head_layout
from tests._processes import on_ranks
from tests._shards import ranks, spread

HIDDEN, WEIGHT = torch.arange(8.0).view(4, 2), torch.arange(10.0).view(5, 2)


def findings():
    with ranks() as mesh:
        head, rows = OutputHead(WEIGHT), OutputHead(spread(WEIGHT, mesh, 0))
        layout = head_layout(HIDDEN, head, compare_with_head(HIDDEN, rows))
        found = {
            "shards": (layout.shards(5).first_class, layout.shards(5).largest),
            "rows": layout.local_head(head).weight.tolist(),
            "tokens": layout.local_tokens(spread(HIDDEN, mesh, 0)).tolist(),
            "gradient": gradient(layout),
            "dims": dims(mesh, head, rows),
            "errors": errors(mesh, head),
        }
    return found


def gradient(layout):
    """Of hidden states that are whole: what the processes of the classes find is added up."""
    hidden = HIDDEN.clone().requires_grad_()
    (layout.local_tokens(hidden) * (layout.mesh.get_local_rank() + 1)).sum().backward()
    return hidden.grad[0].tolist()


def dims(mesh, head, rows):
    tokens = spread(HIDDEN, mesh, 0)
    layouts = [head_layout(*inputs, None) for inputs in ((tokens, head), (tokens, rows), (HIDDEN, rows))]
    return [(layout.class_dims, layout.token_dims) for layout in layouts]


def errors(mesh, head):
    other = dist.init_device_mesh("cpu", (1, mesh.size()))
    columns = OutputHead(spread(WEIGHT, mesh, 1))
    pairs = [(HIDDEN, columns), (spread(HIDDEN, mesh, 0), OutputHead(spread(WEIGHT, other, None, 0)))]
    return [message(hidden, head) for hidden, head in pairs]


def message(hidden, head):
    with pytest.raises(ValueError, match="Found") as error:
        head_layout(hidden, head, None)
    return str(error.value)


@pytest.fixture(scope="module")
def found():
    return on_ranks(findings, 2)


def test_rows_are_cut_as_torch_cuts_them(found):
    assert [one["shards"] for one in found] == [(0, 3), (3, 3)]
    assert [one["rows"] for one in found] == [WEIGHT[:3].tolist(), WEIGHT[3:].tolist()]


def test_tokens_are_gathered_where_the_classes_are_split(found):
    assert [one["tokens"] for one in found] == [HIDDEN.tolist()] * 2
    assert [one["dims"] for one in found] == [[((), (0,)), ((0,), ()), ((0,), ())]] * 2


def test_gradients_of_hidden_states_add_up_over_the_classes(found):
    assert [one["gradient"] for one in found] == [[3, 3]] * 2


def test_other_layouts_are_refused(found):
    columns, other_mesh = found[0]["errors"]
    assert "output layer should be whole on each process or split by rows" in columns
    assert "should lie on one mesh" in other_mesh


def test_plain_tensors_have_no_layout():
    assert head_layout(HIDDEN, OutputHead(WEIGHT), compare_with_head(HIDDEN, OutputHead(WEIGHT))) is None
