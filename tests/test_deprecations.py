"""Every old name of version 0.1.0 leads to the new one, and says so until version 0.3."""

import sys
import warnings
from importlib import import_module
from pkgutil import resolve_name

import jsonargparse
import pytest
import torch

from lightning_abkd.cli import main
from lightning_abkd.losses import TAID, DistillationLoss, Divergence, ForwardKL

RENAMED = {
    "lightning_abkd.losses.DecoupledDistillation": "lightning_abkd.losses.DKD",
    "lightning_abkd.losses.LogitStandardization": "lightning_abkd.losses.LSD",
    "lightning_abkd.losses.TransformedTeacherMatching": "lightning_abkd.losses.TTM",
    "lightning_abkd.losses.WeightedTransformedTeacherMatching": "lightning_abkd.losses.WTTM",
    "lightning_abkd.losses.MultiLevelDistillation": "lightning_abkd.losses.MLKD",
    "lightning_abkd.losses.Comparison": "lightning_abkd.losses.PairedLogits",
    "lightning_abkd.losses.against_head": "lightning_abkd.losses.compare_with_head",
    "lightning_abkd.losses.HeadLoss": "lightning_abkd.losses.HeadLossTerms",
    "lightning_abkd.losses.row_chunks": "lightning_abkd.losses.split_rows",
    "lightning_abkd.losses.StudentAgreement": "lightning_abkd.losses.TopOneAgreement",
    "lightning_abkd.losses.Evaluation": "lightning_abkd.losses.DivergenceEvaluation",
    "lightning_abkd.models.evaluated": "lightning_abkd.models.eval_mode",
    "lightning_abkd.models.merged": "lightning_abkd.models.merge_adapters",
    "lightning_abkd.models.truncated": "lightning_abkd.models.keep_layers",
    "lightning_abkd.models.pretrained": "lightning_abkd.models.load_pretrained",
    "lightning_abkd.data.fingerprint": "lightning_abkd.data.tokenizer_fingerprint",
    "lightning_abkd.data.tokenizer": "lightning_abkd.data.load_tokenizer",
    "lightning_abkd.data.real_vocabulary": "lightning_abkd.data.vocabulary_size",
    "lightning_abkd.data.IGNORED": "lightning_abkd.data.IGNORE_INDEX",
    "lightning_abkd.modules.Answering": "lightning_abkd.modules.Responder",
    "lightning_abkd.modules.Responses": "lightning_abkd.modules.GeneratedResponses",
    "lightning_abkd.modules.StoredTeacher": "lightning_abkd.modules.TeacherFromCache",
    "lightning_abkd.diagnostics.sweep": "lightning_abkd.cli.sweep",
    "lightning_abkd.kernels.binary_exponents": "lightning_abkd.kernels.softmax_exponents",
    "lightning_abkd.schedules.Sequence": "lightning_abkd.schedules.SequentialSchedule",
}
OBJECTIVES = list(RENAMED)[:5]
ROWS = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_warns_once_and_is_the_new_one(old, new):
    with pytest.warns(DeprecationWarning, match=rf"^{old} is now {new};.*0\.3") as caught:
        found = resolve_name(old)
    assert len(caught) == 1
    assert found is resolve_name(new)


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_only_the_new_name_is_listed(old, new):
    room, _, name = old.rpartition(".")
    assert name not in dir(import_module(room))
    new_room, _, new_name = new.rpartition(".")
    assert new_name in dir(import_module(new_room))


def test_an_import_shows_one_warning_of_its_own_line():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        from lightning_abkd.losses import DecoupledDistillation  # noqa: F401
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("old", OBJECTIVES)
def test_an_old_name_in_a_config_builds_the_new_class_and_warns(old):
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--loss", type=DistillationLoss)
    with pytest.warns(DeprecationWarning, match=f"^{old} is now {RENAMED[old]};") as caught:
        loss = parser.instantiate_classes(parser.parse_string(f"loss: {{class_path: {old}}}")).loss
    assert len({str(warning.message) for warning in caught}) == 1
    assert type(loss) is resolve_name(RENAMED[old])


def test_the_command_shows_a_warning_once(tmp_path, monkeypatch):
    old = "lightning_abkd.losses.LogitStandardization"
    (tmp_path / "old.yaml").write_text(
        "model: {class_path: lightning_abkd.modules.DistillationModule, init_args: "
        f"{{student: {{class_path: torch.nn.Identity}}, divergence: {{class_path: {old}}}}}}}"
    )
    monkeypatch.setattr(sys, "argv", ["abkd", "fit", "--config", str(tmp_path / "old.yaml"), "--print_config"])
    monkeypatch.setattr(sys, "path", [*sys.path])
    with warnings.catch_warnings(record=True) as caught:
        # Python begins so: the deprecations of libraries are not shown.
        warnings.simplefilter("ignore")
        with pytest.raises(SystemExit, match="0"):
            main()
    (message,) = (str(warning.message) for warning in caught)
    assert message.startswith(f"{old} is now {RENAMED[old]}")


def test_the_old_name_of_is_rowwise_mean_warns():
    with pytest.warns(DeprecationWarning, match=r"is_rowwise_mean.*0\.3") as caught:
        assert ForwardKL().of_rows is ForwardKL().is_rowwise_mean is True
    assert len(caught) == 1


def test_the_old_name_of_row_values_warns():
    with pytest.warns(DeprecationWarning, match=r"row_values.*0\.3") as caught:
        values = ForwardKL().rows(*ROWS)
    assert len(caught) == 1
    assert torch.equal(values, ForwardKL().row_values(*ROWS))


def test_the_old_name_of_on_loss_warns():
    loss = TAID(total_steps=10)
    with pytest.warns(DeprecationWarning, match=r"on_loss.*0\.3") as caught:
        loss.observe(torch.tensor(1.0))
    assert len(caught) == 1
    assert loss.batches.item() == 1.0


def test_an_override_by_the_old_name_warns_when_its_class_is_made_and_is_called():
    seen = []
    with pytest.warns(DeprecationWarning, match=r"on_loss.*0\.3") as caught:

        class Observer(Divergence):
            def pointwise(self, log_p, log_q):
                return (log_p - log_q).square().sum(-1)

            def observe(self, loss):
                seen.append(loss.item())

    assert len(caught) == 1
    loss = Observer()(*ROWS)
    assert seen == [loss.item()]
