"""Checks of what a config names, before networks are built that take minutes to load.

Here: files, folders and devices that are not there. Not here: what is in them.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from pkgutil import resolve_name

import torch
from jsonargparse import Namespace

from lightning_abkd._utils import folder_or_hub
from lightning_abkd.cli._errors import fail
from lightning_abkd.cli._namespaces import entries
from lightning_abkd.cli._similar import did_you_mean_file
from lightning_abkd.data import ImageDataModule

_WEIGHTS = (".bin", ".ckpt", ".json", ".pt", ".pth", ".safetensors", ".tar")
_FILES = {"fit": ("train_file", "validation_file"), "validate": ("validation_file",), "test": ("test_file",)}
_GPUS = ("gpu", "cuda")


def check_first(config: Namespace, command: str) -> None:
    """Exit with an error, or raise one, if a file, folder or device that a config names is not there.

    Args:
        config: Config of the command.
        command: Its name, on which it depends which data are read.
    """
    _check_optimizer(config)
    _check_device(config.get("trainer.accelerator"))
    _check_images(config.get("data"))
    for option, name, value in _values(config, ""):
        if name == "checkpoint" and str(value).endswith(_WEIGHTS):
            _check_file(option, value)
        if name in _FILES.get(command, ()) and option.startswith("data."):
            _check_file(option, value)
        if name == "path" and _class(config, option).endswith("causal_lm"):
            folder_or_hub(value)


def _check_optimizer(config: Namespace) -> None:
    """Refuse Lightning's own options where they would replace those of the module, or do nothing."""
    own = entries(config.get("model.init_args"))
    given = [name for name in ("optimizer", "lr_scheduler") if config.get(name) is not None]
    for name in given:
        if name in own:
            fail(f"Option `--{name}` would replace all that the module says of it. Give `--model.{name}` instead.")
    if given == ["lr_scheduler"]:
        fail("Option `--lr_scheduler` has no effect without `--optimizer`. Give both.")


def _check_device(accelerator: object) -> None:
    if accelerator in _GPUS and not torch.cuda.is_available() and not torch.backends.mps.is_available():
        fail(f"Option `--trainer.accelerator` should be a device of this machine. Found no GPU for {accelerator!r}.")


def _check_images(data: object) -> None:
    """Let one of our data modules of images look for its folders, which takes no image and no network."""
    given = entries(data)
    path = str(given.get("class_path", ""))
    kind = resolve_name(path) if path.startswith("lightning_abkd.") else None
    if isinstance(kind, type) and issubclass(kind, ImageDataModule):
        build: Callable[..., ImageDataModule] = kind
        module = build(**entries(given.get("init_args")))
        if not module.download:
            module.prepare_data()


def _check_file(option: str, path: str) -> None:
    if Path(path).exists() or "://" in path:
        return
    fail(f"Option `--{option}` should name a file. Found none at {path}. {did_you_mean_file(path)}".rstrip())


def _values(config: object, above: str) -> Iterator[tuple[str, str, str]]:
    """Yield option, last part of its name, and value of every text in a config; a list of files by names is several."""
    if isinstance(config, list):
        for each in config:
            yield from _values(each, above)
    for key, value in entries(config).items():
        option = above if key in ("init_args", "dict_kwargs") else f"{above}.{key}".strip(".")
        if isinstance(value, str):
            yield option, key, value
        elif key in _FILES["fit"] + _FILES["test"] and isinstance(value, dict):
            yield from ((option, key, each) for each in value.values())
        else:
            yield from _values(value, option)


def _class(config: Namespace, option: str) -> str:
    """Return the class whose argument an option is."""
    place: object = config
    for key in option.split(".")[:-1]:
        inside = entries(place)
        place = inside.get(key, entries(inside.get("init_args")).get(key))
    return str(entries(place).get("class_path", ""))
