"""Networks of timm."""

import difflib
from typing import Any

from torch import nn

from lightning_abkd._utils import require
from lightning_abkd.training import check_weights

# Names with one of these in front are repositories or folders, which timm's list does not hold.
_ELSEWHERE = ("hf-hub:", "hf_hub:", "local-dir:")


def timm_model(
    model_name: str,
    pretrained: bool = False,
    num_classes: int | None = None,
    in_chans: int | None = None,
    checkpoint_path: str | None = None,
    global_pool: str | None = None,
    drop_rate: float | None = None,
    drop_path_rate: float | None = None,
    img_size: int | tuple[int, int] | None = None,
    **options: Any,
) -> nn.Module:
    """Build a network of timm: `timm.create_model` with its ordinary arguments by name, as configs need them.

    None leaves an argument to the network. On a command line:
    `--model.student timm_model --model.student.model_name resnet18 --model.student.num_classes 10`. The extra `vision`
    installs timm.

    Args:
        model_name: Name in timm, such as "resnet18" or "vit_small_patch16_224.augreg_in21k".
        pretrained: Whether to download timm's weights.
        num_classes: Size C of the logits; timm's default are the classes of the weights, mostly 1000.
        in_chans: Channels of the images, 3 by default.
        checkpoint_path: File of weights as timm saves them. For a checkpoint of a run use `load_pretrained`.
        global_pool: Kind of the pooling before the head, such as "avg".
        drop_rate: Dropout before the head.
        drop_path_rate: Share of residual branches dropped (stochastic depth).
        img_size: Height and width of the images, for networks that depend on it, as most transformers do.
        **options: Other arguments of the network, in a config below `dict_kwargs`.

    Returns:
        The network, mapping images (B, in_chans, H, W) to logits (B, num_classes).

    Raises:
        ModuleNotFoundError: If timm is not installed.
        FileNotFoundError: If there is no such file of weights.
        ValueError: If timm has no network of this name, or the file is no file of weights.

    Example:
        >>> network = timm_model("resnet10t", num_classes=10, in_chans=1)
        >>> network.get_classifier().out_features
        10
    """
    timm = require("timm", "vision", "A network of timm")
    if not model_name.startswith(_ELSEWHERE) and not timm.is_model(model_name.partition(".")[0]):
        close = difflib.get_close_matches(model_name, timm.list_models(), 3)
        raise ValueError(
            f"Parameter `model_name` should name a network of timm. Found `model_name = {model_name!r}`. "
            + (f"Did you mean {', '.join(close)}?" if close else "`timm.list_models()` lists them.")
        )
    named: dict[str, object] = {
        "num_classes": num_classes,
        "in_chans": in_chans,
        "checkpoint_path": checkpoint_path,
        "global_pool": global_pool,
        "drop_rate": drop_rate,
        "drop_path_rate": drop_path_rate,
        "img_size": img_size,
    }
    if checkpoint_path is not None and not checkpoint_path.endswith((".npz", ".npy")):
        # Some versions of timm run the code that a pickle names.
        check_weights(checkpoint_path)
    given = {name: value for name, value in named.items() if value is not None}
    network: nn.Module = timm.create_model(model_name, pretrained=pretrained, **given, **options)
    return network
