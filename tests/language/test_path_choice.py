import copy

import pytest
from torch.nn.utils import prune

from lightning_abkd.language._path_choice import PathChoice, PathWish
from lightning_abkd.language._paths import FromHiddenStates, FromLogits
from lightning_abkd.modules import LanguageDistillationModule
from lightning_abkd.training._log_once import LogOnce
from tests.language._text import language_module
from tests.language._token_batches import BATCH
from tests.training._training import trainer


def choice(tmp_path, fused=None, stored=None):
    module = language_module()
    module.trainer = trainer(tmp_path)
    wish = PathWish(fused, module.student, module._teacher, stored, None, False)
    chosen = PathChoice(LogOnce())
    return module, chosen, lambda: chosen.path_for(module, LanguageDistillationModule, wish, BATCH)


def test_plain_networks_are_computed_from_hidden_states(tmp_path):
    _, chosen, path = choice(tmp_path)
    assert "counted" not in chosen.prepare_on_host(BATCH)
    assert isinstance(path(), FromHiddenStates)
    assert path() is path()
    assert "counted" in chosen.prepare_on_host(BATCH)


def test_logits_are_taken_where_they_are_asked_for(tmp_path):
    _, _, path = choice(tmp_path, fused=False)
    assert isinstance(path(), FromLogits)


@pytest.mark.parametrize(("network", "end"), [("student", ""), ("teacher", r" \(teacher\)")])
def test_a_change_in_the_middle_of_a_run_is_found_and_said(tmp_path, network, end):
    module, chosen, path = choice(tmp_path)
    path()
    prune.l1_unstructured(getattr(module, network).lm_head, "weight", amount=0.5)
    assert isinstance(path(), FromLogits)
    (message,) = chosen._log_once.messages
    assert message.startswith("Logits are computed in full: GPT2LMHeadModel computes more than its output layer")
    assert message.endswith(f"has a forward pre-hook (L1Unstructured){end.replace(chr(92), '')}.")


def test_another_output_layer_is_taken_apart_anew(tmp_path):
    module, _, path = choice(tmp_path)
    first = path()
    module.student.lm_head = copy.deepcopy(module.student.lm_head)
    assert path() is not first
    assert path().student.layer is module.student.lm_head


def test_asking_for_what_is_impossible_is_an_error(tmp_path):
    module, _, path = choice(tmp_path, fused=True)
    prune.l1_unstructured(module.student.lm_head, "weight", amount=0.5)
    with pytest.raises(ValueError, match="`fused_head` should be None or False here. Found `fused_head = True`"):
        path()
    with pytest.raises(ValueError, match="Found `fused_head = False`"):
        choice(tmp_path, fused=False, stored=object())[2]()
    module, _, path = choice(tmp_path, stored=object())
    prune.l1_unstructured(module.student.lm_head, "weight", amount=0.5)
    with pytest.raises(ValueError, match="Stored outputs of a teacher need hidden states of the student"):
        path()
