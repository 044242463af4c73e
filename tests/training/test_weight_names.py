from pathlib import Path

import pytest
import torch
from torch import nn

from lightning_abkd.training._weight_names import Expected, choose, first_of_each

FILE = Path("run.pt")


def state(**changed):
    return {**nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).state_dict(), **changed}


def under(prefix):
    return {f"{prefix}{name}": value for name, value in state().items()}


def chosen(entries, prefix=None, expected=None):
    choice = choose(entries, expected or Expected.by(state()), prefix, FILE)
    return choice.chosen.label, [other.label for other in choice.others]


@pytest.mark.parametrize(
    "prefix",
    ["", "student.", "module.", "model.", "backbone.net.", "ema.module.", "teacher.", "encoder.", "model.ema_."],
)
def test_any_prefix_is_found(prefix):
    assert chosen({"": under(prefix)}) == (prefix, [])


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module._orig_mod.", "model._orig_mod.module."])
def test_what_wrappers_add_is_no_matter(prefix):
    weights = choose({"": under(prefix)}, Expected.by(state()), None, FILE).chosen.weights
    assert weights.keys() == state().keys()


def test_wrapped_parts_are_found():
    weights = {name.replace("0.", "0._orig_mod.").replace("1.", "1.module."): value for name, value in state().items()}
    assert chosen({"state_dict": weights}) == ("state_dict.", [])


def test_an_honest_module_is_no_wrapper():
    net = nn.ModuleDict({"module": nn.Linear(2, 2)})
    net.register_parameter("weight", nn.Parameter(torch.ones(1)))
    found = choose({"": net.state_dict()}, Expected.by(net.state_dict()), None, FILE).chosen
    assert found.prefix == ""
    assert found.weights.keys() == net.state_dict().keys()


@pytest.mark.parametrize(
    ("raw", "average"),
    [("state_dict", "state_dict_ema"), ("model", "model_ema"), ("params", "params_ema"), ("net", "ema")],
)
def test_weights_go_before_their_average(raw, average):
    entries = {average: {"n_averaged": torch.tensor(3), **under("module.")}, raw: under("")}
    assert chosen(entries) == (f"{raw}.", [f"{average}.module."])
    assert chosen(entries, prefix=f"{average}.")[0] == f"{average}.module."
    assert chosen(entries, prefix=average)[0] == f"{average}.module."


def test_two_networks_are_refused_unless_one_is_named():
    entries = {"": under("net.") | under("ema.")}
    with pytest.raises(ValueError, match=r'Found several that fit: net\., ema\.. Pass one .* `prefix="net\."`'):
        chosen(entries)
    assert chosen(entries, prefix="ema.") == ("ema.", [])
    with pytest.raises(ValueError, match=r"Found several that fit: student\., teacher\."):
        chosen({"student": under(""), "teacher": under("")})


def test_a_student_goes_before_its_teacher():
    assert chosen({"state_dict": under("student.") | under("teacher.")}) == (
        "state_dict.student.",
        ["state_dict.teacher."],
    )


def test_a_prefix_reaches_over_what_wrappers_add():
    assert chosen({"": under("student._orig_mod.net.")}, prefix="student.net.") == ("student.net.", [])
    assert chosen({"state_dict": under("ema.module.")}, prefix="ema.") == ("state_dict.ema.", [])


def test_an_unknown_prefix_is_an_error():
    with pytest.raises(ValueError, match=r"Found none after `prefix = 'emma\.'`. Leave it out"):
        chosen({"": under("ema.")}, prefix="emma.")


def test_a_missing_counter_fits():
    weights = {name: value for name, value in under("model.").items() if "tracked" not in name}
    assert chosen({"": weights}) == ("model.", [])


def test_one_name_of_tied_weights_suffices():
    weight = torch.ones(2, 2)
    expected = Expected.by({"head": weight, "embedding": weight, "bias": torch.ones(2)})
    for name in ("head", "embedding"):
        assert chosen({"": {f"model.{name}": weight, "model.bias": weight[0]}}, expected=expected) == ("model.", [])


@pytest.mark.parametrize("shape", [(1, 3), (3, 1), (4,), ()])
def test_another_shape_does_not_fit(shape):
    with pytest.raises(ValueError, match=r"1 of another shape \(0\.bias .* in the file, \(3,\) in the network\)"):
        chosen({"": state(**{"0.bias": torch.zeros(shape)})})


def test_an_error_is_one_line_with_three_names():
    with pytest.raises(ValueError, match="should have the architecture of the weights in run.pt") as caught:
        chosen({"model": {"stem.weight": torch.ones(1), "0.weight": torch.ones(1), "fc.bias": torch.ones(1)}})
    message = str(caught.value)
    assert "\n" not in message
    assert 'the prefix "" of "model": 5 missing in the file (0.bias; …), 2 unexpected' in message


def test_a_clause_has_the_first_names_of_each_kind():
    assert first_of_each({"missing": ["a", "b", "c", "d"]}) == "4 missing (a; b; c; …)"
    assert first_of_each({"missing": ["a"], "new": ["b", "c"]}) == "1 missing (a), 2 new (b; …)"
