"""Checks of options that several attention modules share."""

from __future__ import annotations


def reduced(channels: int, reduction: int) -> int:
    """Return the width of a bottleneck: `channels // reduction`, at least 1.

    Raises:
        ValueError: the reduction is below 1 or above the number of channels.
    """
    if reduction < 1:
        raise ValueError(f"reduction must be 1 or more, not {reduction}")
    if reduction > channels:
        raise ValueError(f"reduction must be at most {channels}, the channels, not {reduction}")
    return channels // reduction


def check_odd(kernel_size: int) -> None:
    """Check that a kernel size is odd, so that padding keeps the shape.

    Raises:
        ValueError: the size is even or below 1.
    """
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be odd and positive, not {kernel_size}")
