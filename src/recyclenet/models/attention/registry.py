"""The registry of attention modules: name, factory and default placement."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from recyclenet.errors import UsageError, look_up, nearest

_TRIAL_CHANNELS = 5040  # a multiple of 1 to 10, so that common group counts divide it
Placement = Literal["features", "blocks"]
Factory = Callable[..., nn.Module]


@dataclass(frozen=True, slots=True)
class Attention:
    """One registered attention module.

    Attributes:
        name: the name in configurations and model names.
        build: called with `channels` and the options; returns a module that keeps `(N, C, H, W)`.
        placement: default: "features" (once, after the features) or "blocks" (in every block).
        summary: one line for listings.
    """

    name: str
    build: Factory
    placement: Placement
    summary: str

    @property
    def options(self) -> dict[str, Any]:
        """The options and their defaults."""
        parameters = list(inspect.signature(self.build).parameters.values())[1:]
        return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}

    def check(self, options: Mapping[str, Any]) -> None:
        """Check the options by building the module on the meta device, which allocates no memory.

        Raises:
            UsageError: an option is unknown or its value is never valid.
        """
        with torch.device("meta"):
            self(_TRIAL_CHANNELS, options)

    def __call__(self, channels: int, options: Mapping[str, Any]) -> nn.Module:
        """Build the module for feature maps of `channels` channels.

        Raises:
            UsageError: an option is unknown or its value does not fit.
        """
        known = self.options
        for option, value in options.items():
            if option not in known:
                hint = nearest(option, known)
                raise UsageError(f"attention {self.name!r} has no option {option!r}: {hint}")
            types = (int, float) if type(known[option]) is float else type(known[option])
            if not isinstance(value, types) or (types is int and isinstance(value, bool)):
                raise UsageError(
                    f"option {option!r} of attention {self.name!r} must be of type "
                    f"{type(known[option]).__name__}, such as {known[option]!r}, not {value!r}"
                )
        try:
            return self.build(channels, **options)
        except (ValueError, TypeError, AssertionError, RuntimeError) as error:
            reason = str(error) or "an option is invalid"
            raise UsageError(f"attention {self.name!r}: {reason}") from error


_REGISTRY: dict[str, Attention] = {}


def register_attention(
    name: str, *, placement: Placement = "blocks"
) -> Callable[[Factory], Factory]:
    """Register a class or function as an attention module.

    `build(channels, **options)` must return a module that maps `(N, C, H, W)` to the same shape.
    Listings show the first line of its docstring.

    >>> @register_attention("halve", placement="features")
    ... class Halve(nn.Module):
    ...     "Halve every value."
    ...     def __init__(self, channels: int) -> None:
    ...         super().__init__()
    ...     def forward(self, x):
    ...         return x / 2

    Raises:
        UsageError: the name is taken, or cannot be part of a model name.
    """
    if name in _REGISTRY:
        raise UsageError(f"an attention module {name!r} is already registered; use another name")
    if not name.replace("_", "").replace("-", "").isalnum():
        raise UsageError(f"an attention name may contain letters, digits, - and _, not {name!r}")

    def register(build: Factory) -> Factory:
        summary = (inspect.getdoc(build) or name).splitlines()[0]
        _REGISTRY[name] = Attention(name, build, placement, summary)
        return build

    return register


def find_attention(name: str) -> Attention:
    """Return a registered attention module.

    Raises:
        UsageError: the name is unknown.
    """
    return look_up(name, _REGISTRY, "attention")


def attention_names() -> tuple[str, ...]:
    """Return all registered names, sorted."""
    return tuple(sorted(_REGISTRY))
