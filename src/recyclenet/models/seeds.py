"""The networks of the source documents, by model name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SeedModel:
    """One network of a source document.

    Attributes:
        name: its model name.
        summary: what it is there.
    """

    name: str
    summary: str


def _resnets() -> tuple[SeedModel, ...]:
    kinds = {
        "": "the baseline",
        "@se": "squeeze-and-excitation in every block",
        "@cbam": "CBAM in every block",
        "@recyclenet": "RecycleNet's attention after the features",
    }
    return tuple(
        SeedModel(f"resnet{depth}{kind}", f"RecycleNet: {summary}")
        for kind, summary in kinds.items()
        for depth in (18, 34, 50)
    )


SEED_MODELS = (
    *_resnets(),
    SeedModel("resnet101@recyclenet", "RecycleNet: a deeper one"),
    SeedModel("resnet152@recyclenet", "RecycleNet: the deepest one"),
    SeedModel("resnet18@recyclenet:channel=false", "RecycleNet: the spatial gate alone"),
    SeedModel("resnet18@recyclenet:combine=max", "RecycleNet: gates combined by maximum"),
    SeedModel("resnet18@recyclenet:combine=mul", "RecycleNet: gates combined by product"),
    SeedModel("efficientnetv2_rw_t", "efficient models: EfficientNetV2, the baseline"),
    SeedModel("efficientnetv2_rw_t+eca", "efficient models: SE becomes ECA"),
    SeedModel("efficientnetv2_rw_t+eca+fused_eca", "efficient models: ECA in all blocks"),
    SeedModel(
        "efficientnetv2_rw_t+eca+fused_eca+leaky_relu",
        "efficient models: ECA in all blocks, LeakyReLU",
    ),
    SeedModel("efficientnetv2_rw_t+glu", "efficient models: SE becomes a gated linear unit"),
    SeedModel("efficientnetv2_rw_t@recyclenet", "efficient models: attention after the features"),
    SeedModel("mobilevit_s", "efficient models: MobileViT, the baseline"),
    SeedModel("mobilevit_s+inverted_residuals", "efficient models: no self-attention"),
    SeedModel("mobilevit_s+local_5x5", "efficient models: a 5x5 local convolution"),
    SeedModel("pyramidnet101_a360", "efficient models: PyramidNet, trained with ASAM"),
    SeedModel("swin_tiny_patch4_window7_224", "efficient models: Swin"),
)
