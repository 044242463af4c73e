"""Callbacks on several ranks, where the student's weights lie in pieces."""

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EMAWeightAveraging
from transformers import AutoModelForCausalLM

from lightning_abkd.callbacks import CachedTeacher, PredictionWriter, ResponseEvaluation, SavePretrained
from lightning_abkd.language.generation import AdaptiveOffPolicy, Sampling
from lightning_abkd.models import model_identity
from tests._processes import on_ranks
from tests.cluster._runs import Tokens, language_module, strategy_of, trained, whole
from tests.language._text import instruction_data, language_module as text_module
from tests.language.callbacks.test_response_evaluation import letters, results
from tests.training._training import loader, module, trainer
from tests.vision.callbacks.test_prediction_writer import table

GREEDY = Sampling(max_new_tokens=4, temperature=0.0)


class Identity(Callback):
    """Names the teacher while its weights are held whole, and looks whether they still are."""

    def on_fit_start(self, trainer, module):
        module.hold_whole_weights()
        identity = model_identity(module.teacher)
        self.found = identity, type(module.teacher.transformer.wte.weight.data)
        module.release_weights()


def many(folder, strategy, devices):
    """Run callbacks one after another; return what they wrote."""

    def run_with(*callbacks, **options):
        strategy_ = strategy_of(strategy)
        return trainer(folder, callbacks=list(callbacks), strategy=strategy_, devices=devices, **options)

    data = instruction_data(folder, test_file=letters(folder / "test.jsonl", 5), batch_size=2)
    evaluation = ResponseEvaluation(str(folder / "out"), sampling=GREEDY, seeds=[1])
    run_with(evaluation).test(text_module(), datamodule=data, verbose=False)
    scores = results(folder)["test"] if (folder / "out" / "results.json").exists() else None

    run_with(PredictionWriter(folder / "rows.csv")).predict(module(), loader(7, 2))
    rows = [row["class"] for row in table(folder / "rows.csv")] if (folder / "rows.csv").exists() else None

    net = text_module(teacher_placement="shard")
    saving = SavePretrained(str(folder / "saved"))
    named = Identity()
    run_with(named, saving, CachedTeacher(str(folder / "cache")), max_epochs=1).fit(net, datamodule=data)
    weights = {name: whole(parameter) for name, parameter in net.student.named_parameters()}
    return scores, rows, weights, named.found


def test_they_write_what_one_process_writes(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    scores, rows, _, identity = on_ranks(many, 1, tmp_path / "one", "auto", 1)[0]
    found = on_ranks(many, 2, tmp_path / "two", "fsdp2", 2)
    assert found[0][0] == pytest.approx(scores, rel=1e-5)
    assert found[0][1] == rows
    assert [each[3] for each in found] == [identity, identity]
    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "two" / "saved")
    for name, weight in saved.named_parameters():
        torch.testing.assert_close(weight, found[0][2][name], rtol=0, atol=0)


def drawn():
    policy = AdaptiveOffPolicy(threshold=1.0, capacity=12, replay="constant", sampling=Sampling(max_new_tokens=6))
    net = language_module(torch.float32, student_data=policy)
    return trained(net, Tokens(), "fsdp2", micro=2)["student.transformer.wte.weight"]


def test_ranks_respond_together_however_long_their_responses_are():
    first, second = on_ranks(drawn, 2)
    assert first.isfinite().all()
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def averaged(folder):
    trainer(folder, strategy=strategy_of("fsdp2"), devices=2, callbacks=[EMAWeightAveraging()]).fit(module(), loader())


def test_a_copy_of_a_module_in_pieces_is_refused(tmp_path):
    with pytest.raises(AssertionError, match="EMAWeightAveraging copies the module, which is impossible"):
        on_ranks(averaged, 2, tmp_path)
