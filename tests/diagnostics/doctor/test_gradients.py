import math

from lightning_abkd.diagnostics.doctor._gradients import gradients
from lightning_abkd.diagnostics.doctor._step import Record


def test_terms_have_their_shares():
    assert gradients(Record(norms={"divergence": 1.0, "task_loss": 3.0})).text == (
        "divergence 1 (25 %), task_loss 3 (75 %)"
    )


def test_no_gradient_and_an_infinite_one_are_red():
    assert gradients(Record(norms={"divergence": 0.0})).is_red
    assert "divergence is not finite" in gradients(Record(norms={"divergence": math.inf})).text
    assert gradients(Record()).state == "not checked"
