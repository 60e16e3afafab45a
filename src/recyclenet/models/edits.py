"""Named edits that change a timm backbone as the source documents' architectures do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from timm.models._efficientnet_blocks import EdgeResidual
from torch import nn

from recyclenet.errors import UsageError, look_up
from recyclenet.models.attention import find_attention
from recyclenet.models.mobilevit import add_local_5x5, replace_self_attention
from recyclenet.models.slots import Slot, attention_slots


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit.

    Attributes:
        apply: takes `(model, image_size)`, edits the model in place, returns the number of changes.
        needs: what the model must contain.
        summary: one line for listings.
    """

    apply: Callable[[nn.Module, int], int]
    needs: str
    summary: str


def _fill(choose: Callable[[Slot], bool], attention: str) -> Callable[[nn.Module, int], int]:
    def apply(model: nn.Module, image_size: int) -> int:
        chosen = [slot for slot in attention_slots(model, image_size) if choose(slot)]
        for slot in chosen:
            slot.fill(lambda channels: find_attention(attention)(channels, {}))
        return len(chosen)

    return apply


def _in_fused(slot: Slot) -> bool:
    return isinstance(slot.block, EdgeResidual)


def _leaky_relu(model: nn.Module, image_size: int) -> int:
    activations = [
        (parent, name)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.SiLU)
    ]
    for parent, name in activations:
        setattr(parent, name, nn.LeakyReLU(inplace=True))
    return len(activations)


EDITS = {
    "eca": Edit(
        _fill(lambda slot: slot.has_squeeze, "eca"),
        "squeeze-and-excitation in its blocks",
        "replaces squeeze-and-excitation with ECA",
    ),
    "fused_eca": Edit(
        _fill(_in_fused, "eca"),
        "Fused-MBConv blocks",
        "adds ECA to every Fused-MBConv block",
    ),
    "glu": Edit(
        _fill(lambda slot: slot.has_squeeze, "glu"),
        "squeeze-and-excitation in its blocks",
        "replaces squeeze-and-excitation with a gated linear unit",
    ),
    "leaky_relu": Edit(
        _leaky_relu, "SiLU activations", "replaces SiLU with LeakyReLU (slope 0.01)"
    ),
    "inverted_residuals": Edit(
        lambda model, _: replace_self_attention(model),
        "MobileViT blocks",
        "replaces MobileViT's self-attention with stacked inverted residuals",
    ),
    "local_5x5": Edit(
        lambda model, _: add_local_5x5(model),
        "MobileViT blocks",
        "adds a 5x5 convolution to MobileViT's local representation",
    ),
}


def find_edit(name: str) -> Edit:
    """Return the edit of that name.

    Raises:
        UsageError: the name is unknown.
    """
    return look_up(name, EDITS, "edit")


def apply_edit(model: nn.Module, name: str, image_size: int) -> None:
    """Apply an edit to a network in place.

    Args:
        model: a timm network.
        name: one of `EDITS`.
        image_size: side of the input images, pixels.

    Raises:
        UsageError: the edit is unknown or does not apply to this network.
    """
    edit = find_edit(name)
    if not edit.apply(model, image_size):
        raise UsageError(
            f"edit {name!r} needs {edit.needs}; this network has none: choose another backbone"
        )
