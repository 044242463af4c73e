"""CLIP as a classifier that knows its classes by name, and a student of it with visual prompts."""

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from lightning_abkd._utils import check_at_least, check_interval, folder_or_hub, load_whole, reading_pretrained
from lightning_abkd.training import eval_mode
from lightning_abkd.vision.data import read_class_names
from lightning_abkd.vision.models._image_classifier import check_more_than_one

if TYPE_CHECKING:
    from transformers import CLIPModel, CLIPVisionModel

_TEMPLATES = ("a photo of a {}.",)


class CLIPClassifier(nn.Module):
    """Zero-shot classifier: logits are scale · (normalised image feature) · (text features).

    Radford et al. 2021, arXiv 2103.00020. The text branch is not kept. Text features are not part of the state dict,
    so the same weights serve other classes.

    Args:
        clip: The model whose vision branch and scale are used; its weights are shared.
        text_features: One normalised row per class, shape (C, D).

    Example:
        >>> from transformers import CLIPConfig, CLIPModel
        >>> tower = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
        >>> vision = tower | {"image_size": 8, "patch_size": 4}
        >>> clip = CLIPModel(CLIPConfig(text_config=tower, vision_config=vision, projection_dim=6))
        >>> CLIPClassifier(clip, torch.eye(5, 6))(torch.zeros(3, 3, 8, 8)).shape
        torch.Size([3, 5])
    """

    text_features: Tensor
    scale: Tensor

    def __init__(self, clip: "CLIPModel", text_features: Tensor) -> None:
        super().__init__()
        self.vision: CLIPVisionModel = clip.vision_model
        self.projection: nn.Linear = clip.visual_projection
        self.register_buffer("text_features", text_features, persistent=False)
        self.register_buffer("scale", clip.logit_scale.detach().exp())

    def forward_features(self, images: Tensor) -> Tensor:
        """Compute the features (B, D) of images (B, 3, H, W), before they are normalised."""
        features: Tensor = self.projection(self.vision(images).pooler_output)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits (B, C) of images (B, 3, H, W)."""
        return self.scale * normalize(self.forward_features(images), dim=-1) @ self.text_features.T


class PromptedCLIP(CLIPClassifier):
    """CLIP's vision branch with visual prompts and a projector to the text features of a larger CLIP.

    Li et al. 2024 (PromptKD), arXiv 2403.02781, as in ABKD's released code. Prompt tokens follow the patches. Each of
    the first `depth` layers has its own tokens, which replace those of the layer before. Two linear layers with batch
    normalisation between them project the image feature. Prompts and projector are trained, everything else is frozen.

    Args:
        clip: The student's model; its weights are shared and frozen.
        text_features: Text features of the teacher, shape (C, D).
        tokens: Prompt tokens per layer, at least 1; 4 in the paper.
        depth: Number of layers with prompts, from 1 to all; 9 in the paper.

    Raises:
        ValueError: If `tokens` or `depth` is out of its range.

    Example:
        >>> from transformers import CLIPConfig, CLIPModel
        >>> tower = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
        >>> vision = tower | {"image_size": 8, "patch_size": 4}
        >>> clip = CLIPModel(CLIPConfig(text_config=tower, vision_config=vision, projection_dim=6))
        >>> PromptedCLIP(clip, torch.eye(5, 7), depth=2)(torch.zeros(3, 3, 8, 8)).shape
        torch.Size([3, 5])
    """

    def __init__(self, clip: "CLIPModel", text_features: Tensor, tokens: int = 4, depth: int = 9) -> None:
        layers = len(clip.vision_model.encoder.layers)
        check_at_least("tokens", tokens, 1)
        check_interval("depth", depth, f"[1, {layers}]", "The model has no more layers.")
        super().__init__(clip, text_features)
        self.requires_grad_(False)
        width = self.projection.out_features
        size = text_features.shape[-1]
        self.prompts = nn.Parameter(0.02 * torch.randn(depth, tokens, self.projection.in_features))
        self.projector = nn.Sequential(nn.Linear(width, size), nn.BatchNorm1d(size), nn.ReLU(), nn.Linear(size, size))

    def forward_features(self, images: Tensor) -> Tensor:
        """Compute the projected features (B, D) of images (B, 3, H, W), before they are normalised."""
        check_more_than_one(images, self.projector.training)
        vision = self.vision
        prompts = self.prompts.unsqueeze(1).expand(-1, len(images), -1, -1)
        hidden = vision.pre_layrnorm(torch.cat([vision.embeddings(images), prompts[0]], 1))
        for position, layer in enumerate(vision.encoder.layers):
            if 0 < position < len(prompts):
                hidden = torch.cat([hidden[:, : -prompts.shape[2]], prompts[position]], 1)
            hidden = layer(hidden, None)
        features: Tensor = self.projector(self.projection(vision.post_layernorm(hidden[:, 0])))
        return features


def clip_classifier(path: str, class_names: str | list[str], templates: Sequence[str] = _TEMPLATES) -> nn.Module:
    """Load a CLIP of transformers as a zero-shot classifier: the teacher of base-to-new experiments.

    A process computes the text features once for the same model, names and templates.

    Args:
        path: Folder of a `CLIPModel` with its tokenizer, or its name on the hub.
        class_names: Names of the classes in the order of their labels, or the path of a file for `read_class_names`.
        templates: Sentences with {} in place of the name; the features of several are averaged.

    Returns:
        The network, mapping images (B, 3, H, W) to logits (B, C).

    Raises:
        FileNotFoundError: If `path` is neither a folder nor owner/name on the hub, or there is no file of class names.
        ValueError: If there are no class names, a template has no {}, or the model is not a CLIP.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from transformers import CLIPConfig, CLIPModel, CLIPTokenizer
        >>> tower = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
        >>> with TemporaryDirectory() as folder:
        ...     CLIPModel(CLIPConfig(text_config=tower, vision_config=tower)).save_pretrained(folder)
        ...     _ = CLIPTokenizer({"<|startoftext|>": 0, "<|endoftext|>": 1}, []).save_pretrained(folder)
        ...     clip_classifier(folder, ["cat", "dog"])(torch.zeros(1, 3, 224, 224)).shape
        torch.Size([1, 2])
    """
    return CLIPClassifier(_load(path), _text_features(path, _checked_names(class_names), tuple(templates)))


def prompted_clip(
    path: str,
    teacher: str,
    class_names: str | list[str],
    templates: Sequence[str] = _TEMPLATES,
    tokens: int = 4,
    depth: int = 9,
) -> nn.Module:
    """Load a CLIP of transformers as the student of another one, see `PromptedCLIP`.

    Args:
        path: Folder of the student's `CLIPModel`, or its name on the hub; its text branch is not used.
        teacher: Folder of the teacher's `CLIPModel`, or its name on the hub; its text features are taken.
        class_names: As in `clip_classifier`.
        templates: As in `clip_classifier`.
        tokens: Prompt tokens per layer, at least 1.
        depth: Number of layers with prompts, from 1 to all.

    Returns:
        The network, mapping images (B, 3, H, W) to logits (B, C).

    Raises:
        FileNotFoundError: If a path is neither a folder nor owner/name on the hub, or there is no file of class names.
        ValueError: If there are no class names, a template has no {}, a model is not a CLIP, or a number is out of
            range.

    Example: see `PromptedCLIP`.
    """
    text_features = _text_features(teacher, _checked_names(class_names), tuple(templates))
    return PromptedCLIP(_load(path), text_features, tokens, depth)


def _checked_names(given: str | list[str]) -> tuple[str, ...]:
    names = read_class_names(given) if isinstance(given, str) else given
    if not names or not all(names):
        raise ValueError(
            "Parameter `class_names` should name every class, which CLIP knows by its name alone. "
            f"Found `class_names = {names}`."
        )
    return tuple(names)


@functools.lru_cache(maxsize=8)
def _text_features(path: str, names: tuple[str, ...], templates: tuple[str, ...]) -> Tensor:
    """Average the normalised text features over the templates and normalise the mean, shape (C, D)."""
    from transformers import AutoTokenizer

    if not templates or not all("{}" in template for template in templates):
        raise ValueError(
            f"Parameter `templates` should be sentences with {{}} for the name. Found `templates = {templates}`."
        )
    clip = _load(path)
    with reading_pretrained(path, "the tokenizer of a CLIP"):
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
    spoken = [name.replace("_", " ") for name in names]
    features = []
    with eval_mode(clip):
        for template in templates:
            tokens = tokenizer([template.replace("{}", name) for name in spoken], padding=True, return_tensors="pt")
            pooled = clip.text_model(tokens["input_ids"], tokens["attention_mask"]).pooler_output
            features.append(normalize(clip.text_projection(pooled), dim=-1))
    return normalize(torch.stack(features).mean(0), dim=-1)


def _load(path: str) -> "CLIPModel":
    from transformers import CLIPModel, PretrainedConfig

    with reading_pretrained(folder_or_hub(path), "a CLIP"):
        # Read as it is: a configuration with code of its own is no CLIP.
        kind = PretrainedConfig.get_config_dict(path)[0].get("model_type")
    if kind != "clip":
        raise ValueError(f"Parameter `path` should be a CLIP. Found a model of the type {kind!r} in {path!r}.")
    load: Callable[..., tuple[CLIPModel, Mapping[str, Collection[str]]]]
    load = getattr(CLIPModel, "from_pretrained")  # noqa: B009  (annotated as if it returned the model alone)
    return load_whole(load, path, "a CLIP")
