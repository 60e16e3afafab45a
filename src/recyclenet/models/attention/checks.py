"""What several attention modules ask of their options."""

from __future__ import annotations


def reduced(channels: int, reduction: int) -> int:
    """Return the width of a bottleneck: `channels // reduction`, at least 1.

    Raises:
        ValueError: the reduction is below 1, or more than there are channels.
    """
    if reduction < 1:
        raise ValueError(f"reduction must be 1 or more, not {reduction}")
    if reduction > channels:
        raise ValueError(f"reduction {reduction} is more than the {channels} channels of a map")
    return channels // reduction


def check_odd(kernel_size: int) -> None:
    """Refuse a kernel that has no middle.

    Raises:
        ValueError: the size is even, or below 1.
    """
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be odd, not {kernel_size}")
