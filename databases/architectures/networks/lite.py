"""EfficientNet-Lite0 (Tan, Le, 2019; without squeeze-and-excitation, clipped activations): seven free stages."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from databases.architectures.networks.mobile import ConvBN, InvertedResidual, Layer

LITE_STAGES = ((16, 1), (24, 2), (40, 2), (80, 2), (112, 1), (192, 2), (320, 1))  # channels, stride
STEM, LAST = 32, 1280


class EndPadded(nn.Conv2d):
    """A convolution whose output has ceil(side / stride) rows; an odd row of zeros comes at the end (TensorFlow)."""

    def forward(self, x: Tensor) -> Tensor:
        """(b, inputs, h, w) -> (b, outputs, ceil(h / stride), ceil(w / stride))."""
        if self.stride == (1, 1):
            return super().forward(x)
        kernel, stride = self.kernel_size[0], self.stride[0]
        pads: list[int] = []
        for side in (x.shape[3], x.shape[2]):
            total = max(0, kernel - (side % stride or stride))
            pads += [total // 2, total - total // 2]
        return nn.functional.conv2d(nn.functional.pad(x, pads), self.weight, stride=self.stride, groups=self.groups)


class LiteNetwork(nn.Module):
    """Stem of stride 2, the stages of inverted residuals, 1x1 convolution, classifier.

    Args:
        stages: kernel and expansion of the blocks of each of the seven.
    """

    def __init__(self, stages: Sequence[Sequence[Layer]], input_channels: int, classes: int) -> None:
        super().__init__()
        now, made = STEM, []
        self.stem = ConvBN(input_channels, STEM, 3, nn.ReLU6(), stride=2, kind=EndPadded)
        for layers, (outputs, halving) in zip(stages, LITE_STAGES, strict=True):
            blocks: list[nn.Module] = []
            for place, layer in enumerate(layers):
                step = 1 if place else halving
                blocks.append(
                    InvertedResidual(
                        now, outputs, layer, stride=step, excite=False, activation=nn.ReLU6, kind=EndPadded
                    )
                )
                now = outputs
            made.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*made)
        self.last = ConvBN(now, LAST, 1, nn.ReLU6())
        self.classifier = nn.Linear(LAST, classes)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 1e-3

    def features(self, images: Tensor) -> Tensor:
        """(b, input_channels, h, w) float, normalised -> (b, 1280)."""
        maps: Tensor = self.last(self.stages(self.stem(images)))
        return maps.mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """(b, input_channels, h, w) float, normalised -> (b, classes) logits."""
        logits: Tensor = self.classifier(self.features(images))
        return logits
