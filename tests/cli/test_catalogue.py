import pytest

from lightning_abkd.cli._catalogue import list_command, of_kind, show_command


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("losses", {"DKD", "ReverseKL", "WeightedSum"}),
        ("networks", {"resnet20", "load_pretrained", "causal_lm", "WideResNet"}),
        ("data", {"DigitsDataModule", "InstructionDataModule", "load_tokenizer"}),
        ("callbacks", {"AlphaBetaScheduler", "SavePretrained"}),
        ("schedules", {"Linear", "SequentialSchedule"}),
        ("modules", {"DistillationModule", "LanguageDistillationModule"}),
        ("metrics", {"TeacherAgreement"}),
    ],
)
def test_a_kind_has_one_line_of_80_columns_each(capsys, kind, names):
    list_command([kind])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(of_kind(kind))
    assert names <= {line.split()[0] for line in lines}
    assert max(map(len, lines)) <= 80


def test_only_what_can_be_a_network_or_a_loss_is_listed_as_one():
    assert {"save_weights", "CacheIdentity"}.isdisjoint(each.name for each in of_kind("networks"))
    assert {"check_logits", "TokenRule"}.isdisjoint(each.name for each in of_kind("losses"))


def test_the_kinds_are_listed_with_where_they_go(capsys):
    list_command([])
    assert "abkd list losses     for --model.divergence" in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("name", ["DKD", "losses.DKD", "lightning_abkd.losses.DKD"])
def test_a_class_is_shown_with_address_signature_and_docstring(capsys, name):
    show_command([name])
    shown = capsys.readouterr().out
    assert shown.startswith("lightning_abkd.losses.DKD\n\nDKD(\n    divergence: Divergence | None = None,\n")
    assert "\n\nArgs:\n    divergence: " in shown


def test_a_class_of_another_package_is_shown_by_its_path(capsys):
    show_command(["collections.OrderedDict.fromkeys"])
    assert "fromkeys(iterable, value=None)\n\nCreate a new" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        (show_command, ["dkd"], "Did you mean DKD?"),
        (show_command, ["zzz"], "Give the path of a class of another package."),
        (show_command, ["collections.Nothing"], "Found no collections.Nothing: "),
        (show_command, ["math.pi"], "math.pi is neither a class nor a function."),
        (list_command, ["losse"], "Did you mean losses?"),
        (list_command, ["zzz"], "Kinds: losses, networks, data"),
    ],
)
def test_a_wrong_name_is_one_sentence(capsys, command, arguments, message):
    with pytest.raises(SystemExit, match="2"):
        command(arguments)
    assert message in capsys.readouterr().err
