"""The register of attention modules: a name, how to build one, where it goes by default."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from recyclenet.errors import UsageError, look_up, nearest

_TRIAL_CHANNELS = 5040
Placement = Literal["features", "blocks"]
Factory = Callable[..., nn.Module]


@dataclass(frozen=True, slots=True)
class Attention:
    """One registered attention module.

    Attributes:
        name: what users call it.
        build: called with `channels` and the options; its module keeps `(N, C, H, W)`.
        placement: "features" (once, after the feature extractor) or "blocks" (in every block).
        summary: one line for listings.
    """

    name: str
    build: Factory
    placement: Placement
    summary: str

    @property
    def options(self) -> dict[str, Any]:
        """Return the settable options and their defaults."""
        parameters = list(inspect.signature(self.build).parameters.values())[1:]
        return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}

    def check(self, options: Mapping[str, Any]) -> None:
        """Build the module without memory, for a width that most numbers divide.

        Raises:
            UsageError: an option is unknown or its value fits no map.
        """
        with torch.device("meta"):
            self(_TRIAL_CHANNELS, options)

    def __call__(self, channels: int, options: Mapping[str, Any]) -> nn.Module:
        """Build the module for a map of `channels` channels.

        Raises:
            UsageError: an option is unknown or its value does not fit.
        """
        known = self.options
        for option, value in options.items():
            if option not in known:
                hint = nearest(option, known)
                raise UsageError(f"attention {self.name!r} has no option {option!r}: {hint}")
            kinds = (int, float) if type(known[option]) is float else type(known[option])
            if not isinstance(value, kinds) or (kinds is int and isinstance(value, bool)):
                raise UsageError(
                    f"option {option!r} of attention {self.name!r} is like {known[option]!r}, "
                    f"not {value!r}"
                )
        try:
            return self.build(channels, **options)
        except (ValueError, TypeError, AssertionError, RuntimeError) as error:
            reason = str(error) or "a value does not fit"
            raise UsageError(f"attention {self.name!r}: {reason}") from error


_REGISTER: dict[str, Attention] = {}


def register_attention(
    name: str, *, placement: Placement = "blocks"
) -> Callable[[Factory], Factory]:
    """Make a class or function known as an attention module.

    It is called as `build(channels, **options)` and returns a module that maps `(N, C, H, W)` to
    the same shape. The first line of its docstring is shown in listings.

    >>> @register_attention("halve", placement="features")
    ... class Halve(nn.Module):
    ...     "Halve everything."
    ...     def __init__(self, channels: int) -> None:
    ...         super().__init__()
    ...     def forward(self, x):
    ...         return x / 2

    Raises:
        UsageError: the name is taken, or cannot be part of a model's name.
    """
    if name in _REGISTER:
        raise UsageError(f"an attention module named {name!r} is registered already")
    if not name.replace("_", "").replace("-", "").isalnum():
        raise UsageError(f"an attention module's name is letters, digits, - and _, not {name!r}")

    def register(build: Factory) -> Factory:
        summary = (inspect.getdoc(build) or name).splitlines()[0]
        _REGISTER[name] = Attention(name, build, placement, summary)
        return build

    return register


def find_attention(name: str) -> Attention:
    """Return a registered attention module.

    Raises:
        UsageError: there is none of that name.
    """
    return look_up(name, _REGISTER, "attention")


def attention_names() -> tuple[str, ...]:
    """Return all registered names, sorted."""
    return tuple(sorted(_REGISTER))
