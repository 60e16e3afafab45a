"""Changes to a named network, each one a switch: what seed architectures do to their bases."""

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
    """One change.

    Attributes:
        apply: changes a network `(model, image_size)` in place and returns in how many places.
        needs: what the network must have.
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
    places = [
        (parent, name)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.SiLU)
    ]
    for parent, name in places:
        setattr(parent, name, nn.LeakyReLU(inplace=True))
    return len(places)


EDITS = {
    "eca": Edit(
        _fill(lambda slot: slot.has_squeeze, "eca"),
        "squeeze-and-excitation in its blocks",
        "squeeze-and-excitation becomes ECA",
    ),
    "fused_eca": Edit(
        _fill(_in_fused, "eca"),
        "Fused-MBConv blocks",
        "ECA in every Fused-MBConv block",
    ),
    "glu": Edit(
        _fill(lambda slot: slot.has_squeeze, "glu"),
        "squeeze-and-excitation in its blocks",
        "squeeze-and-excitation becomes a gated linear unit",
    ),
    "leaky_relu": Edit(_leaky_relu, "SiLU activations", "SiLU becomes LeakyReLU (slope 0.01)"),
    "inverted_residuals": Edit(
        lambda model, _: replace_self_attention(model),
        "MobileViT blocks",
        "MobileViT's self-attention becomes stacked inverted residuals",
    ),
    "local_5x5": Edit(
        lambda model, _: add_local_5x5(model),
        "MobileViT blocks",
        "a 5x5 convolution more in MobileViT's local representation",
    ),
}


def find_edit(name: str) -> Edit:
    """Return an edit.

    Raises:
        UsageError: there is none of that name.
    """
    return look_up(name, EDITS, "edit")


def apply_edit(model: nn.Module, name: str, image_size: int) -> None:
    """Change a network in place.

    Args:
        model: a timm network.
        name: one of `EDITS`.
        image_size: side of a picture the network takes, pixels.

    Raises:
        UsageError: there is no such edit, or nothing in this network for it to change.
    """
    edit = find_edit(name)
    if not edit.apply(model, image_size):
        raise UsageError(f"edit {name!r} needs {edit.needs}; this network has none")
