"""Stages of inverted residuals become a trainable network (MobileNetV3; Howard et al., 2019).

Widths, activations and squeeze-and-excitation are those of MobileNetV3-Large at 16 channels of the skeleton. For
images of about 32 pixels the strides of the stem and of the first stage are 1, and the hidden layer after the
pooling is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from databases.architectures.skeleton import Skeleton

Layer = tuple[int, int]  # kernel, expansion
# of each stage: channels for one of the stem, stride, squeeze-and-excitation, hard swish
STAGES = (
    (1.5, 1, False, False),
    (2.5, 2, True, False),
    (5.0, 2, False, True),
    (7.0, 1, True, True),
    (10.0, 2, True, True),
)


class ConvBN(nn.Sequential):
    """Convolution, batch normalisation, activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        activation: nn.Module,
        *,
        stride: int = 1,
        groups: int = 1,
        kind: type[nn.Conv2d] = nn.Conv2d,
    ) -> None:
        convolution = kind(inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(outputs), activation)


class SqueezeExcitation(nn.Module):
    """Scales each channel by what the whole image says (Hu, Shen, Sun, 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        few = max(2, channels // 4)
        self.scale = nn.Sequential(
            nn.Conv2d(channels, few, 1), nn.ReLU(), nn.Conv2d(few, channels, 1), nn.Hardsigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(b, channels, h, w) -> the same shape."""
        scale: Tensor = self.scale(x.mean(dim=(2, 3), keepdim=True))
        return x * scale


class InvertedResidual(nn.Module):
    """1x1 up, depthwise, squeeze-and-excitation, 1x1 down; added to the input where the shapes agree."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        layer: Layer,
        *,
        stride: int,
        excite: bool,
        activation: type[nn.Module],
        kind: type[nn.Conv2d] = nn.Conv2d,
    ) -> None:
        super().__init__()
        (kernel, expansion), self.adds = layer, stride == 1 and inputs == outputs
        hidden = expansion * inputs
        self.body = nn.Sequential(
            ConvBN(inputs, hidden, 1, activation()) if expansion > 1 else nn.Identity(),
            ConvBN(hidden, hidden, kernel, activation(), stride=stride, groups=hidden, kind=kind),
            SqueezeExcitation(hidden) if excite else nn.Identity(),
            ConvBN(hidden, outputs, 1, nn.Identity()),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(b, inputs, h, w) -> (b, outputs, h / stride, w / stride)."""
        y: Tensor = self.body(x)
        return x + y if self.adds else y

    @torch.no_grad()
    def importance(self) -> list[Tensor]:
        """What each free channel adds to the output: the (hidden,) ones, then the (few,) of squeeze-and-excitation."""
        _, middle, excite, down = self.body
        assert isinstance(middle, ConvBN) and isinstance(down, ConvBN)
        norm, narrow = middle[1], down[0]
        assert isinstance(norm, nn.BatchNorm2d) and isinstance(narrow, nn.Conv2d)
        hidden = norm.weight.abs() * narrow.weight.flatten(1).norm(dim=0)
        if not isinstance(excite, SqueezeExcitation):
            return [hidden]
        first, second = (each.weight.flatten(1) for each in excite.scale if isinstance(each, nn.Conv2d))
        return [hidden, first.norm(dim=1) * second.norm(dim=0)]


class MobileNetwork(nn.Module):
    """Stem, a first plain block, the stages, 1x1 convolution, classifier.

    Args:
        width: multiplies all channels. stages: the layers of each; the skeleton's cells have no meaning here.
        stride: of the stem; 2 makes it a quarter of the work.
    """

    def __init__(self, width: float, stages: Sequence[Sequence[Layer]], skeleton: Skeleton, stride: int = 1) -> None:
        super().__init__()

        def channels(times: float) -> int:
            return max(2, 2 * round(skeleton.channels * width * times / 2))

        now = channels(1)
        self.stem = nn.Sequential(
            ConvBN(skeleton.input_channels, now, 3, nn.Hardswish(), stride=stride),
            InvertedResidual(now, now, (3, 1), stride=1, excite=False, activation=nn.ReLU),
        )
        made = []
        for layers, (times, halving, excite, swish) in zip(stages, STAGES, strict=True):
            activation, outputs, blocks = nn.Hardswish if swish else nn.ReLU, channels(times), []
            for place, layer in enumerate(layers):
                step = 1 if place else halving
                blocks.append(InvertedResidual(now, outputs, layer, stride=step, excite=excite, activation=activation))
                now = outputs
            made.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*made)
        self.last = ConvBN(now, 6 * now, 1, nn.Hardswish())
        self.classifier = nn.Linear(6 * now, skeleton.classes)

    def features(self, images: Tensor) -> Tensor:
        """(b, input_channels, h, w) float, normalised -> (b, d)."""
        maps: Tensor = self.last(self.stages(self.stem(images)))
        return maps.mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """(b, input_channels, h, w) float -> (b, classes) logits."""
        logits: Tensor = self.classifier(self.features(images))
        return logits
