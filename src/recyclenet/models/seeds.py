"""Model names of the networks in the source documents, each with a one-line description."""

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
    "resnet101@recyclenet": "RecycleNet: 101 layers",
    "resnet152@recyclenet": "RecycleNet: 152 layers",
    "resnet18@recyclenet:channel=false": "RecycleNet: spatial gate only",
    "resnet18@recyclenet:combine=max": "RecycleNet: gates combined by maximum",
    "resnet18@recyclenet:combine=mul": "RecycleNet: gates combined by product",
    "efficientnetv2_rw_t": "efficient models: EfficientNetV2, the baseline",
    "efficientnetv2_rw_t+eca": "efficient models: ECA in place of SE",
    "efficientnetv2_rw_t+eca+fused_eca": "efficient models: ECA in all blocks",
    "efficientnetv2_rw_t+eca+fused_eca+leaky_relu": (
        "efficient models: ECA in all blocks, LeakyReLU"
    ),
    "efficientnetv2_rw_t+glu": "efficient models: a gated linear unit in place of SE",
    "efficientnetv2_rw_t@recyclenet": "efficient models: attention after the features",
    "mobilevit_s": "efficient models: MobileViT, the baseline",
    "mobilevit_s+inverted_residuals": "efficient models: MobileViT without self-attention",
    "mobilevit_s+local_5x5": "efficient models: MobileViT with a 5x5 local convolution",
    "pyramidnet101_a360": "efficient models: PyramidNet, trained with ASAM",
    "swin_tiny_patch4_window7_224": "efficient models: Swin",
}
