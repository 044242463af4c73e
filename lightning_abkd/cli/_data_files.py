"""Files of language data, checked before networks are built."""

from collections.abc import Mapping

from jsonargparse import Namespace

from lightning_abkd.language.data import check_stage_files

_CLASS = "InstructionDataModule"


def check_data_files(config: Mapping[str, object] | Namespace, subcommand: str) -> None:
    """Check that the files are there and of a known kind that a command will read.

    Args:
        config: Options of all commands.
        subcommand: The command, such as "fit".

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the suffix of one is unknown.
    """
    data = config.get(f"{subcommand}.data")
    if not isinstance(data, Namespace) or not str(data.get("class_path")).endswith(f".{_CLASS}"):
        return
    options = data.get("init_args") or Namespace()
    check_stage_files(
        subcommand,
        options.get("train_file"),
        options.get("validation_file"),
        options.get("test_file"),
        options.get("predict_set", "test"),
    )
