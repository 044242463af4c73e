"""What the convolutional classifiers of small images share: pooling, head and initialisation."""

from torch import Tensor, nn


class ImageClassifier(nn.Module):
    """Convolutions, the mean over the positions of their maps, and a linear layer.

    The mean replaces the pooling of a fixed size in the original networks: at 32×32 it is the same, and any size works.
    A subclass defines `maps(x)`, and names its linear layer in `head`.
    """

    head: str = "fc"

    def maps(self, x: Tensor) -> Tensor:
        """Compute the last maps (B, D, h, w) of images (B, in_channels, H, W)."""
        raise NotImplementedError(f"{type(self).__name__} should define maps(self, x) -> Tensor.")

    def forward_features(self, x: Tensor) -> Tensor:
        """Compute the penultimate features (B, D) of images (B, in_channels, H, W)."""
        try:
            return self.maps(x).mean((2, 3))
        except ValueError as error:
            check_more_than_one(x, self.training, error)
            raise

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits (B, C) of images (B, in_channels, H, W)."""
        features = self.forward_features(x)
        logits: Tensor = self.get_submodule(self.head)(features)
        return logits

    def he_initialize(self) -> None:
        """Draw the weights of all convolutions by fan-out (He et al. 2015, arXiv 1502.01852); set biases to zero."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


def check_more_than_one(images: Tensor, training: bool, error: ValueError | None = None) -> None:
    """Raise ValueError for a training batch of one image, which batch normalisation refuses on maps of one position."""
    if training and len(images) == 1:
        raise ValueError(
            f"A training batch should hold at least two images for batch normalisation. Found {tuple(images.shape)}, "
            "mostly the rest of the data in the last batch. Set `drop_last: true` of the data module, or another "
            "`batch_size`."
        ) from error
