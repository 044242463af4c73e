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
        return self.maps(x).mean((2, 3))

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
