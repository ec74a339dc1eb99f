"""Small models of `transformers` with random weights, one for each architecture that a trace is proven on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch.nn import Module


@dataclass(frozen=True)
class Architecture:
    """How a model is made, and the images that it is given (N, C, H, W)."""

    make: Callable[[], Module]
    size: tuple[int, int, int, int] = (1, 3, 64, 64)


def _resnet() -> Module:
    from transformers import ResNetConfig, ResNetForImageClassification  # noqa: PLC0415 - takes seconds.

    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 16, 24], depths=[1, 2, 1, 1], num_labels=5)
    return ResNetForImageClassification(config)


def _resnet_basic() -> Module:
    from transformers import ResNetBackbone, ResNetConfig  # noqa: PLC0415

    config = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage1", "stage2", "stage3"],
    )  # fmt: skip
    return ResNetBackbone(config)


def _convnext() -> Module:
    from transformers import ConvNextBackbone, ConvNextConfig  # noqa: PLC0415

    return ConvNextBackbone(
        ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 2, 1], out_features=["stage2", "stage4"])
    )


def _convnextv2() -> Module:
    from transformers import ConvNextV2Config, ConvNextV2ForImageClassification  # noqa: PLC0415

    config = ConvNextV2Config(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 2, 1], num_labels=5)
    return ConvNextV2ForImageClassification(config)


def _mobilenet_v1() -> Module:
    from transformers import MobileNetV1Config, MobileNetV1Model  # noqa: PLC0415

    return MobileNetV1Model(MobileNetV1Config(depth_multiplier=0.25), add_pooling_layer=False)


def _mobilenet_v2() -> Module:
    from transformers import MobileNetV2Config, MobileNetV2Model  # noqa: PLC0415

    return MobileNetV2Model(MobileNetV2Config(depth_multiplier=0.25), add_pooling_layer=False)


def _mobilevit() -> Module:
    from transformers import MobileViTConfig, MobileViTModel  # noqa: PLC0415

    config = MobileViTConfig(
        image_size=64,
        hidden_sizes=[8, 12, 16],
        neck_hidden_sizes=[4, 8, 8, 12, 12, 16, 32],
        num_attention_heads=2,
    )
    return MobileViTModel(config)


def _regnet() -> Module:
    from transformers import RegNetConfig, RegNetModel  # noqa: PLC0415

    config = RegNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 16, 24], depths=[1, 1, 1, 1], groups_width=4, layer_type="x"
    )
    return RegNetModel(config)


def _efficientnet() -> Module:
    from transformers import EfficientNetConfig, EfficientNetModel  # noqa: PLC0415

    config = EfficientNetConfig(
        width_coefficient=0.25, depth_coefficient=0.4, image_size=64, hidden_dim=320, depth_divisor=4
    )
    return EfficientNetModel(config)


def _segformer() -> Module:
    from transformers import SegformerConfig, SegformerForSemanticSegmentation  # noqa: PLC0415

    config = SegformerConfig(
        hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=8, num_labels=3,
    )  # fmt: skip
    return SegformerForSemanticSegmentation(config)


def _vit() -> Module:
    from transformers import ViTConfig, ViTForImageClassification  # noqa: PLC0415

    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=64,
        num_labels=5,
    )
    return ViTForImageClassification(config)


def _clip() -> Module:
    from transformers import CLIPVisionConfig, CLIPVisionModel  # noqa: PLC0415

    config = CLIPVisionConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=64,
        patch_size=16,
    )
    return CLIPVisionModel(config)


def _swin() -> Module:
    from transformers import SwinBackbone, SwinConfig  # noqa: PLC0415

    config = SwinConfig(
        image_size=64, patch_size=2, embed_dim=8, depths=[2, 2], num_heads=[1, 2], window_size=4,
        out_features=["stage1", "stage2"],
    )  # fmt: skip
    return SwinBackbone(config)


def _upernet() -> Module:
    from transformers import ConvNextConfig, UperNetConfig, UperNetForSemanticSegmentation  # noqa: PLC0415

    backbone = ConvNextConfig(
        hidden_sizes=[8, 8, 16, 16],
        depths=[1, 1, 1, 1],
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = UperNetConfig(
        backbone_config=backbone, hidden_size=8, num_labels=3, auxiliary_channels=8, auxiliary_in_channels=16,
        pool_scales=[1, 2],
    )  # fmt: skip
    return UperNetForSemanticSegmentation(config)


def _detr() -> Module:
    from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig  # noqa: PLC0415

    backbone = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 16, 24], depths=[1, 1, 1, 1], out_features=["stage4"]
    )
    config = DetrConfig(
        use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, backbone_config=backbone,
        d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=16, decoder_ffn_dim=16, num_queries=5,
    )  # fmt: skip
    return DetrForObjectDetection(config)


ARCHITECTURES: dict[str, Architecture] = {
    "ResNet": Architecture(_resnet),
    "ResNet, basic blocks": Architecture(_resnet_basic, (1, 3, 96, 70)),
    "ConvNeXt": Architecture(_convnext, (1, 3, 96, 64)),
    "ConvNeXtV2": Architecture(_convnextv2),
    "MobileNetV1": Architecture(_mobilenet_v1, (1, 3, 97, 64)),
    "MobileNetV2": Architecture(_mobilenet_v2, (1, 3, 97, 64)),
    "MobileViT": Architecture(_mobilevit),
    "RegNet": Architecture(_regnet),
    "EfficientNet": Architecture(_efficientnet),
    "SegFormer": Architecture(_segformer),
    "ViT": Architecture(_vit),
    "CLIP vision": Architecture(_clip),
    "Swin": Architecture(_swin),
    "UperNet": Architecture(_upernet),
    "DETR": Architecture(_detr),
}
