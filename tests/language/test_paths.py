from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.strategies import (
    DDPStrategy,
    DeepSpeedStrategy,
    FSDPStrategy,
    ModelParallelStrategy,
    SingleDeviceStrategy,
)

from lightning_abkd.language._paths import FromHiddenStates, FromLogits, check_needs_no_logits
from lightning_abkd.language.teachers._language_teacher import LanguageTeacher
from lightning_abkd.losses import DIST, ForwardKL
from lightning_abkd.models import separate_head
from lightning_abkd.modules import LanguageDistillationModule
from lightning_abkd.training._log_once import LogOnce
from tests.language._text import language_module, network
from tests.language._token_batches import BATCH, store


def hidden_path(stored=None, vocabulary=None, **sizes):
    teacher = LanguageTeacher(network(1, **sizes))
    return FromHiddenStates(separate_head(network(2).eval()), teacher, stored, vocabulary, LogOnce())


def test_both_paths_give_an_evaluation_the_same_logits():
    module = language_module(teacher=network(1), student=network(2).eval())
    (whole,) = FromLogits().evaluation_signals(module, BATCH)
    (rows,) = hidden_path().evaluation_signals(module, BATCH)
    for name in ("student_logits", "teacher_logits"):
        torch.testing.assert_close(rows[name][0], whole[name][whole["mask"]])


def test_positions_are_found_on_the_host_for_hidden_states_alone():
    assert "counted" in hidden_path().prepare_on_host(BATCH)
    assert FromLogits().prepare_on_host(BATCH) is BATCH


def test_an_evaluation_asks_the_live_teacher_and_not_the_stored_one(tmp_path):
    stored = store(tmp_path, "top_k", LanguageTeacher(network(1)), 4)
    (signals,) = hidden_path(stored).evaluation_signals(language_module(), BATCH)
    assert signals["teacher_logits"].shape == (1, 4, 384)


def test_padding_is_logged_and_too_small_a_network_is_an_error():
    path = hidden_path(vocabulary=384, vocab_size=400)
    assert path.log_once.messages == {"Left out 16 padding ids of the teacher's 400."}
    with pytest.raises(ValueError, match="Found `vocabulary = 390` and 384 ids in the logits of the student"):
        hidden_path(vocabulary=390)


def fits(strategy=SingleDeviceStrategy, divergence=None, kind=LanguageDistillationModule):
    module = kind(teacher=network(1), student=network(2), divergence=divergence or ForwardKL())
    module._trainer = SimpleNamespace(strategy=object.__new__(strategy))
    module._fabric = None
    return check_needs_no_logits(module, LanguageDistillationModule)


@pytest.mark.parametrize("strategy", [SingleDeviceStrategy, DDPStrategy, ModelParallelStrategy])
def test_whole_networks_need_no_logits(strategy):
    fits(strategy)


@pytest.mark.parametrize(("stage", "fits_it"), [(1, True), (2, True), (3, False)])
def test_deepspeed_divides_the_output_layer_from_its_third_stage_on(stage, fits_it):
    strategy = object.__new__(DeepSpeedStrategy)
    strategy.config = {"zero_optimization": {"stage": stage}}
    module = LanguageDistillationModule(teacher=network(1), student=network(2))
    module._trainer = SimpleNamespace(strategy=strategy)
    with nullcontext() if fits_it else pytest.raises(ValueError, match="DeepSpeedStrategy may keep"):
        check_needs_no_logits(module, LanguageDistillationModule)


def test_what_needs_logits_is_named():
    class Own(LanguageDistillationModule):
        def losses(self, signals):
            return super().losses(signals)

    for options, reason in (
        ({"kind": Own}, "Own overrides `losses`"),
        ({"divergence": DIST()}, "DIST is not a plain mean over tokens"),
        ({"strategy": FSDPStrategy}, "FSDPStrategy may keep the output layer in pieces"),
    ):
        with pytest.raises(ValueError, match=reason):
            fits(**options)
