import re

import pytest

from lightning_abkd.cli._config_files import check_configs, with_paths

GOOD = "model: {class_path: A, init_args: {a: &x {b: 1}, c: {<<: *x, d: 2}}}\ntrainer: {callbacks: [{class_path: B}]}\n"


def refused(capsys, *arguments):
    with pytest.raises(SystemExit, match="2"):
        check_configs(arguments)
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_config_is_taken_with_anchors_lists_and_a_byte_order_mark(tmp_path):
    (tmp_path / "mine.yaml").write_text(GOOD, encoding="utf-8-sig")
    check_configs(["fit", "--config", str(tmp_path / "mine.yaml")])


@pytest.mark.parametrize("given", ["-", "{model: A}", "s3://bucket/mine.yaml", "model: A"])
def test_what_is_no_path_is_left_to_the_parser(given):
    check_configs(["fit", "-c", given])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "mine.yaml is empty"),
        ("# nothing\n", "mine.yaml is empty"),
        ("- model\n", "should hold keys, .* Found a list"),
        ("model\n", "should hold keys, .* Found one value"),
        ("model:\n  a: [1,\ndata: 2\n", "line 4, column 1: this is no YAML: expected ',' or ']'"),
        ("model:\n\ta: 1\n", "line 2, column 1: YAML is indented by spaces. Found a tab"),
        ("model:\n  a:\n\t- 1\n", "line 3, column 1: .* Found a tab"),
        ("model: {a: 1}\ndata: {}\nmodel: {b: 1}\n", "line 3: the key `model` is there twice, first in line 1"),
        ("data: {init_args: {batch_size: 1, batch_size: 2}}", "line 1: the key `batch_size` is there twice"),
        ("trainer:\n  - max_epochs: 1\n", "line 1: `trainer` should hold keys. Found a list"),
        ("model:\n  init_args:\n    - a: 1\n", "line 2: `init_args` should hold keys. Found a list"),
        ("model:\n  class_path: A\n  alpha: 1\n", "line 3: `alpha` is beside `class_path`. Put it below `init_args`"),
        ("model: {class_path: A, callbacks: []}", "`callbacks` is beside `class_path`. It belongs below `trainer`"),
        ("model: {class_path: A, init_arg: {}}", "`init_arg` is beside `class_path`. Did you mean `init_args`"),
        ("model: {classpath: A, init_args: {}}", "`classpath` is beside `init_args`. Did you mean `class_path`"),
    ],
)
def test_what_is_no_config_is_refused_with_its_place(tmp_path, capsys, text, message):
    (tmp_path / "mine.yaml").write_text(text)
    assert re.search(message, refused(capsys, f"--config={tmp_path / 'mine.yaml'}"))


def test_a_file_of_bytes_is_refused_with_its_line(tmp_path, capsys):
    (tmp_path / "mine.yaml").write_bytes(b"model: A\n# caf\xe9\n")
    assert "should be text in UTF-8. Found byte 0xe9 in line 2." in refused(capsys, "-c", str(tmp_path / "mine.yaml"))


def test_a_missing_file_has_a_close_name_beside_it_or_in_the_package(tmp_path, capsys):
    (tmp_path / "mine.yaml").touch()
    assert refused(capsys, "-c", str(tmp_path / "mind.yaml")).endswith(f"Did you mean {tmp_path / 'mine.yaml'}?")
    assert refused(capsys, "-c", "configs/cifar100/base.yml").endswith("Found none at configs/cifar100/base.yml.")
    assert "--config abkd:cifar100/base`" in refused(capsys, "-c", "cifar100/base.yaml")


def test_a_folder_is_refused_and_says_which_configs_it_holds(tmp_path, capsys):
    assert refused(capsys, "-c", str(tmp_path)).endswith("It holds config.yaml.")


def test_an_address_of_the_package_becomes_its_file():
    found = with_paths(["fit", "--config", "abkd:cifar100/base", "-c=abkd:cifar100/teacher", "--config", "mine.yaml"])
    assert found[2].endswith("configs/cifar100/base.yaml")
    assert found[3].startswith("-c=")
    assert found[3].endswith("configs/cifar100/teacher.yaml")
    assert found[4:] == ["--config", "mine.yaml"]
