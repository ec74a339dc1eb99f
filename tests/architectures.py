"""Image models of `transformers`, as small as they can be and still be what they are, with random weights.

Each has a factory without arguments, which `tatamu trace tests/architectures.py:resnet` can call too, and
stands in ARCHITECTURES with the size of an image that suits it. Nothing in them is random once they are
built: dropout and stochastic depth are off, so that train mode means the statistics of the batch and no more.
Initialisations that silence a branch (a layer scale of 1e-6, weights of 0.02) are raised, else a wrong
convolution in that branch could not be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import transformers
from torch import Tensor, nn


@dataclass(frozen=True)
class Architecture:
    """A model's factory, and the size (C, H, W) of an image to give it. Calling it makes both."""

    build: Callable[[], nn.Module]
    size: tuple[int, int, int]

    def __call__(self) -> tuple[nn.Module, tuple[int, int, int]]:
        """A new model, with weights from torch's generator, and the size of an image."""
        return self.build(), self.size


def resnet() -> nn.Module:
    """Bottlenecks of 1×1, 3×3 and 1×1; a 7×7 with stride 2 in front; BatchNorm."""
    return transformers.ResNetModel(_resnet())


def convnext() -> nn.Module:
    """Depthwise 7×7, patches by 4×4 and 2×2 with the stride of their size; LayerNorm, layer scale."""
    return transformers.ConvNextModel(_convnext(transformers.ConvNextConfig, layer_scale_init_value=0.5))


def convnextv2() -> nn.Module:
    """The same, with a normalisation over the whole image in place of the layer scale."""
    return transformers.ConvNextV2Model(_convnext(transformers.ConvNextV2Config))


def mobilenet_v1() -> nn.Module:
    """Depthwise 3×3 and 1×1 in turn; padding as TensorFlow's, by `nn.functional.pad`."""
    return transformers.MobileNetV1Model(transformers.MobileNetV1Config(depth_multiplier=0.125))


def mobilenet_v2() -> nn.Module:
    """Inverted residuals: 1×1, depthwise 3×3, 1×1; padding as TensorFlow's."""
    config = transformers.MobileNetV2Config(
        depth_multiplier=0.125, expand_ratio=2.0, finegrained_output=False, initializer_range=0.2
    )
    return transformers.MobileNetV2Model(config)


def mobilevit() -> nn.Module:
    """Inverted residuals, the last ones dilated; attention between pixels of the same place in each patch."""
    config = transformers.MobileViTConfig(
        image_size=64, hidden_sizes=[12, 16, 20], neck_hidden_sizes=[8, 8, 12, 12, 16, 16, 32],
        num_attention_heads=2, expand_ratio=2.0, output_stride=16, hidden_dropout_prob=0.0,
        initializer_range=0.2,
    )  # fmt: skip
    return transformers.MobileViTModel(config)


def regnet() -> nn.Module:
    """Grouped 3×3 with squeeze and excitation."""
    config = transformers.RegNetConfig(
        embedding_size=8, hidden_sizes=[16, 24], depths=[1, 2], groups_width=8, layer_type="y"
    )
    return transformers.RegNetModel(config)


def efficientnet() -> nn.Module:
    """Depthwise 3×3 and 5×5 with squeeze and excitation, padded unevenly where they have a stride."""
    config = transformers.EfficientNetConfig(
        image_size=64, width_coefficient=0.25, depth_coefficient=1.0, kernel_sizes=[3, 5, 3],
        in_channels=[32, 16, 32], out_channels=[16, 32, 48], strides=[1, 2, 2], num_block_repeats=[1, 2, 1],
        expand_ratios=[1, 3, 3], hidden_dim=320, drop_connect_rate=0.0, initializer_range=0.2,
    )  # fmt: skip
    return transformers.EfficientNetModel(config)


def segformer() -> nn.Module:
    """Overlapping patches, attention over keys that a convolution shrinks, depthwise 3×3; a decoder."""
    config = transformers.SegformerConfig(
        num_encoder_blocks=3, depths=[1, 1, 1], sr_ratios=[4, 2, 1], hidden_sizes=[8, 16, 16],
        patch_sizes=[7, 3, 3], strides=[4, 2, 2], num_attention_heads=[1, 2, 2], mlp_ratios=[2, 2, 2],
        decoder_hidden_size=16, drop_path_rate=0.0, classifier_dropout_prob=0.0, initializer_range=0.2,
    )  # fmt: skip
    return transformers.SegformerForSemanticSegmentation(config)


def vit() -> nn.Module:
    """One convolution, as large as its stride, and attention over all patches."""
    config = transformers.ViTConfig(
        image_size=32, patch_size=8, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, initializer_range=0.2,
    )  # fmt: skip
    return transformers.ViTModel(config)


def clip_vision() -> nn.Module:
    """The same without a bias, with a class token of its own."""
    config = transformers.CLIPVisionConfig(
        image_size=32, patch_size=8, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32,
    )  # fmt: skip
    return transformers.CLIPVisionModel(config)


def swin() -> nn.Module:
    """Patches by a convolution, attention in windows that are shifted from layer to layer."""
    config = transformers.SwinConfig(
        image_size=32, patch_size=4, embed_dim=8, depths=[2, 2], num_heads=[2, 2], window_size=4,
        mlp_ratio=2.0, drop_path_rate=0.0, initializer_range=0.2,
    )  # fmt: skip
    return transformers.SwinModel(config)


def detr() -> nn.Module:
    """A ResNet whose BatchNorm is frozen, a 1×1 onto its last map, an encoder and a decoder of queries."""
    config = transformers.DetrConfig(
        backbone_config=_resnet(out_features=["stage2"]), num_queries=5, d_model=16, encoder_layers=1,
        decoder_layers=1, encoder_ffn_dim=32, decoder_ffn_dim=32, encoder_attention_heads=2,
        decoder_attention_heads=2, dropout=0.0,
    )  # fmt: skip
    return transformers.DetrModel(config).requires_grad_()  # It comes with its backbone frozen.


def upernet() -> nn.Module:
    """A ConvNeXt, pooled to pyramids that are resized, added and concatenated under 3×3 convolutions."""
    backbone = _convnext(
        transformers.ConvNextConfig, layer_scale_init_value=0.5, out_features=["stage1", "stage2", "stage3"]
    )
    config = transformers.UperNetConfig(
        backbone_config=backbone, hidden_size=16, pool_scales=[1, 2], use_auxiliary_head=False
    )
    return transformers.UperNetForSemanticSegmentation(config)


def _resnet(**arguments: Any) -> Any:
    return transformers.ResNetConfig(embedding_size=8, hidden_sizes=[16, 32], depths=[1, 2], **arguments)


def _convnext(config: Any, **arguments: Any) -> Any:
    return config(
        num_stages=3, hidden_sizes=[8, 16, 16], depths=[1, 1, 1], initializer_range=0.2, **arguments
    )


ARCHITECTURES = {
    "ResNet": Architecture(resnet, (3, 64, 64)),
    "ConvNeXt": Architecture(convnext, (3, 64, 64)),
    "ConvNeXtV2": Architecture(convnextv2, (3, 64, 64)),
    "MobileNetV1": Architecture(mobilenet_v1, (3, 64, 64)),
    "MobileNetV2": Architecture(mobilenet_v2, (3, 64, 64)),
    "MobileViT": Architecture(mobilevit, (3, 64, 64)),
    "RegNet": Architecture(regnet, (3, 64, 64)),
    "EfficientNet": Architecture(efficientnet, (3, 64, 64)),
    "SegFormer": Architecture(segformer, (3, 64, 64)),
    "ViT": Architecture(vit, (3, 32, 32)),
    "CLIP vision": Architecture(clip_vision, (3, 32, 32)),
    "Swin": Architecture(swin, (3, 32, 32)),
    "DETR": Architecture(detr, (3, 64, 64)),
    "UperNet": Architecture(upernet, (3, 64, 64)),
}
"""By the names that their papers gave them."""


def tensors(output: Any) -> Iterator[Tensor]:
    """All tensors of floats in what a model returns."""
    if isinstance(output, Tensor):
        if output.is_floating_point():
            yield output
    elif isinstance(output, dict):
        for part in output.values():
            yield from tensors(part)
    elif isinstance(output, tuple | list):
        for part in output:
            yield from tensors(part)
