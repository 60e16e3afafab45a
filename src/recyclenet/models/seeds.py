"""The networks of the source documents: what each model name is there."""

from __future__ import annotations

_RESNETS = {
    "": "the baseline",
    "@se": "squeeze-and-excitation in every block",
    "@cbam": "CBAM in every block",
    "@recyclenet": "RecycleNet's attention after the features",
}

SEED_MODELS = {
    **{
        f"resnet{depth}{attention}": f"RecycleNet: {summary}"
        for attention, summary in _RESNETS.items()
        for depth in (18, 34, 50)
    },
    "resnet101@recyclenet": "RecycleNet: a deeper one",
    "resnet152@recyclenet": "RecycleNet: the deepest one",
    "resnet18@recyclenet:channel=false": "RecycleNet: the spatial gate alone",
    "resnet18@recyclenet:combine=max": "RecycleNet: gates combined by maximum",
    "resnet18@recyclenet:combine=mul": "RecycleNet: gates combined by product",
    "efficientnetv2_rw_t": "efficient models: EfficientNetV2, the baseline",
    "efficientnetv2_rw_t+eca": "efficient models: SE becomes ECA",
    "efficientnetv2_rw_t+eca+fused_eca": "efficient models: ECA in all blocks",
    "efficientnetv2_rw_t+eca+fused_eca+leaky_relu": (
        "efficient models: ECA in all blocks, LeakyReLU"
    ),
    "efficientnetv2_rw_t+glu": "efficient models: SE becomes a gated linear unit",
    "efficientnetv2_rw_t@recyclenet": "efficient models: attention after the features",
    "mobilevit_s": "efficient models: MobileViT, the baseline",
    "mobilevit_s+inverted_residuals": "efficient models: no self-attention",
    "mobilevit_s+local_5x5": "efficient models: a 5x5 local convolution",
    "pyramidnet101_a360": "efficient models: PyramidNet, trained with ASAM",
    "swin_tiny_patch4_window7_224": "efficient models: Swin",
}
