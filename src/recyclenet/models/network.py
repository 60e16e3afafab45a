"""Build a network from its configuration and load its initial weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import group_parameters
from torch import nn

from recyclenet.errors import ModelFileError, UsageError, nearest
from recyclenet.models import pyramidnet  # noqa: F401 - registers its networks with timm
from recyclenet.models.attention import find_attention
from recyclenet.models.branches import BranchedBackbone
from recyclenet.models.config import ModelConfig
from recyclenet.models.edits import apply_edit
from recyclenet.models.slots import attention_slots
from recyclenet.models.tracing import run_blank
from recyclenet.models.weights import imagenet_weights, local_weights


@dataclass(frozen=True, slots=True)
class WeightsReport:
    """Which of a network's tensors have loaded weights and which are new, by name.

    Attributes:
        source: origin of the weights: "imagenet", "none" or a path.
        kept: tensors loaded from the source.
        fresh: newly initialised tensors.
        dropped: loaded tensors that edits or attention removed.
    """

    source: str
    kept: tuple[str, ...]
    fresh: tuple[str, ...]
    dropped: tuple[str, ...]

    def __str__(self) -> str:
        text = f"{len(self.kept)} tensors from {self.source}, {len(self.fresh)} new"
        return f"{text}, {len(self.dropped)} dropped" if self.dropped else text


class Network(nn.Module):
    """A backbone, optional attention over its features, and the backbone's head.

    Args:
        backbone: a timm network.
        attention: maps the features `(N, C, H, W)` to the same shape.

    Attributes:
        report: which tensors have loaded weights; set by `create_model`.
    """

    report = WeightsReport("none", (), (), ())

    def __init__(self, backbone: nn.Module, attention: nn.Module) -> None:
        super().__init__()
        self.backbone: Any = backbone
        self.attention = attention

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Return logits `(N, K)` for images `(N, 3, H, W)`, both float32."""
        logits: torch.Tensor = self.backbone.forward_head(self.feature_maps(batch))
        return logits

    def with_features(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits `(N, K)` and the input of the head's last layer, `(N, D)`, float32."""
        maps = self.feature_maps(batch)
        return self.backbone.forward_head(maps), self.backbone.forward_head(maps, pre_logits=True)

    @property
    def head_names(self) -> tuple[str, ...]:
        """The module names of the head."""
        return tuple(f"backbone.{name}" for name in _head_names(self.backbone))

    def pre_logits(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the input of the head's last layer, `(N, D)`, for images `(N, 3, H, W)`."""
        out: torch.Tensor = self.backbone.forward_head(self.feature_maps(batch), pre_logits=True)
        return out

    def feature_maps(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the input of the head, after attention."""
        features: torch.Tensor = self.attention(self.backbone.forward_features(batch))
        return features


class _ChannelsLast(nn.Module):
    """Adapts attention to a backbone whose features are `(N, H, W, C)`."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return a feature map of the same shape as `x`."""
        out: torch.Tensor = self.attention(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return out


def create_model(config: ModelConfig | str, num_classes: int) -> Network:
    """Build a network with a new head.

    The weights are loaded before edits and attention change the backbone, so only a tensor that
    such a change replaces is lost. The network's `report` lists kept, new and dropped tensors.

    Args:
        config: the configuration, or a model name such as "resnet18@recyclenet".
        num_classes: K, the number of logits.

    Returns:
        A network that maps `(N, 3, H, W)` float32 to logits `(N, K)` float32.

    Raises:
        UsageError: a name is unknown, a change does not fit, or the weights are unavailable.
        ModelFileError: the weights do not fit the backbone.
    """
    if isinstance(config, str):
        config = ModelConfig.from_name(config)
    if num_classes < 2:
        raise UsageError(f"num_classes must be 2 or more, not {num_classes}")
    backbone = _create_backbone(config, num_classes)
    if config.weights == "imagenet":
        load_backbone(backbone, imagenet_weights(config.backbone, backbone), config.backbone)
    elif config.weights != "none":
        load_backbone(backbone, local_weights(Path(config.weights)), config.weights)

    head = tuple(f"{name}." for name in _head_names(backbone))
    base = {} if config.weights == "none" else backbone.state_dict(keep_vars=True)
    loaded = {id(t): name for name, t in base.items() if not name.startswith(head)}
    for edit in config.edits:
        apply_edit(backbone, edit, config.image_size)
    attention = _insert_attention(backbone, config)
    model = Network(backbone, attention)
    model.report = _report(model, config.weights, loaded)
    if config.branches > 1:
        _branch(model, config)
    _initialise(model, config)
    return model


def _branch(model: Network, config: ModelConfig) -> None:
    """Replace the backbone with a branched one; each branch gets its own head."""
    groups = _backbone_groups(model.backbone)
    _check_freeze(groups, config.freeze_groups)
    branched = BranchedBackbone(
        model.backbone, groups, config.freeze_groups, config.branches, config.image_size
    )
    model.backbone = branched
    for name in model.head_names:
        head: Any = model.get_submodule(name)
        head.reset_parameters()
    kept = {name.removeprefix("backbone.") for name in model.report.kept}
    names = [name for name in model.state_dict() if name.startswith("backbone.")]
    known = {name for name in names if branched.origin(name.removeprefix("backbone.")) in kept}
    model.report = replace(
        model.report,
        kept=tuple(name for name in model.state_dict() if name in known),
        fresh=tuple(name for name in model.state_dict() if name not in known),
    )


def _report(model: Network, source: str, loaded: dict[int, str]) -> WeightsReport:
    """Compare a finished network's tensors with the loaded ones, by identity."""
    own = {name: id(tensor) for name, tensor in model.state_dict(keep_vars=True).items()}
    return WeightsReport(
        source=source,
        kept=tuple(name for name, key in own.items() if key in loaded),
        fresh=tuple(name for name, key in own.items() if key not in loaded),
        dropped=tuple(name for key, name in loaded.items() if key not in own.values()),
    )


def _create_backbone(config: ModelConfig, num_classes: int) -> nn.Module:
    name = config.backbone
    if not timm.is_model(name):
        raise UsageError(f"unknown backbone {name!r}: {nearest(name, timm.list_models())}")
    try:
        options = _size_option(name, config.image_size)
        backbone: nn.Module = timm.create_model(
            name, num_classes=num_classes, drop_rate=config.drop_rate, **options
        )
    except RuntimeError as error:  # timm raises it for an unknown ".tag"
        tags = timm.list_pretrained(f"{name.split('.')[0]}.*")
        raise UsageError(f"backbone {name!r}: {error} {nearest(name, tags)}") from error
    except (AssertionError, ValueError) as error:
        raise UsageError(
            f"backbone {name!r} does not accept images of {config.image_size} px: {error}; "
            f"choose another size"
        ) from error
    return backbone


def _size_option(backbone: str, image_size: int) -> dict[str, Any]:
    """Return timm's option for the image size; some transformers are built for one size."""
    known = timm.models.get_pretrained_cfg(backbone)
    fixed = known is not None and known.fixed_input_size and known.input_size[1] != image_size
    return {"img_size": image_size} if fixed else {}


def _insert_attention(backbone: Any, config: ModelConfig) -> nn.Module:
    """Insert attention into the blocks, or return the module that follows the features."""
    chosen = config.attention
    if chosen is None:
        return nn.Identity()
    build = find_attention(chosen.name)
    if chosen.placement == "blocks":
        slots = attention_slots(backbone, config.image_size)
        if not slots:
            raise UsageError(
                f"the blocks of {config.backbone!r} have no slot for attention; "
                f"set placement = 'features' to put it after the features"
            )
        for slot in slots:
            slot.fill(lambda channels: build(channels, chosen.options))
        return nn.Identity()
    channels = backbone.num_features
    shape = run_blank(backbone, config.image_size, backbone.forward_features).shape
    if len(shape) == 4 and shape[1] == channels:
        return build(channels, chosen.options)
    if len(shape) == 4 and shape[3] == channels:
        return _ChannelsLast(build(channels, chosen.options))
    raise UsageError(
        f"attention {chosen.name!r} needs a feature map of {channels} channels; the features of "
        f"{config.backbone!r} have shape {'x'.join(map(str, shape[1:]))}; use another backbone "
        f"or model.attention = 'none'"
    )


def _initialise(model: Network, config: ModelConfig) -> None:
    """Initialise the new layers as configured."""
    fresh = set(model.report.fresh)
    for name, module in model.named_modules():
        is_head = name.startswith(model.head_names)
        if f"{name}.weight" not in fresh:
            continue
        if config.init == "he" and isinstance(module, (nn.Conv1d, nn.Conv2d)):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
        elif is_head and config.head_init == "xavier":
            nn.init.xavier_uniform_(module.weight)
        elif config.init == "he" and isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def load_backbone(backbone: nn.Module, weights: dict[str, torch.Tensor], source: str) -> None:
    """Load all tensors except the head's from `weights` into a timm network.

    Raises:
        ModelFileError: a tensor is missing, unknown or has the wrong shape.
    """
    own = backbone.state_dict()
    head = tuple(f"{name}." for name in _head_names(backbone))
    found = {name: tensor for name, tensor in weights.items() if not name.startswith(head)}
    expected = {name for name in own if not name.startswith(head)}
    wrong = sorted(
        (expected ^ found.keys())
        | {name for name in expected & found.keys() if own[name].shape != found[name].shape}
    )
    if wrong:
        raise ModelFileError(
            f"the weights {source} do not fit the backbone: {len(wrong)} tensors are missing, "
            f"unknown or have the wrong shape, first {wrong[0]}; the backbone has {len(expected)}"
        )
    backbone.load_state_dict(found, strict=False)


def _head_names(backbone: nn.Module) -> tuple[str, ...]:
    """Return the module names of the head, as timm declares them."""
    declared = getattr(backbone, "default_cfg", {}).get("classifier", ())
    return (declared,) if isinstance(declared, str) else tuple(declared)


def layer_groups(model: Network) -> dict[str, int]:
    """Map each parameter to its layer group, numbered from 0 (the stem) up to the head.

    The groups are timm's coarse ones: the stem, then one group per stage. Attention after the
    features belongs to the last group.
    """
    found = {f"backbone.{name}": group for name, group in _backbone_groups(model.backbone).items()}
    last = max(found.values())
    return {name: found.get(name, last) for name, _ in model.named_parameters()}


def freeze_first(model: Network, num_groups: int) -> list[nn.Module]:
    """Freeze the loaded weights of the first layer groups and unfreeze all other parameters.

    Args:
        model: a network.
        num_groups: number of `layer_groups` to freeze; 0 for none.

    Returns:
        The modules without trainable parameters. Keep them in evaluation mode during training, so
        that batch normalisation does not update their statistics.

    Raises:
        UsageError: there are fewer groups, or only the head would stay trainable.
    """
    groups = layer_groups(model)
    _check_freeze(groups, num_groups)
    # New tensors in a frozen group stay trainable, unless all are new: then the group is frozen.
    fresh = set(model.report.fresh) if model.report.kept else set()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(groups[name] >= num_groups or name in fresh)
    return [
        module
        for module in model.modules()
        if (own := list(module.parameters())) and not any(p.requires_grad for p in own)
    ]


def _backbone_groups(backbone: Any) -> dict[str, int]:
    groups = group_parameters(backbone, backbone.group_matcher(coarse=True))
    return {name: int(group) for group, names in groups.items() for name in names}


def _check_freeze(groups: dict[str, int], num_groups: int) -> None:
    most = max(groups.values()) - 1
    if num_groups > max(most, 0):
        raise UsageError(
            f"model.freeze_groups must be 0 to {most} for this network, not {num_groups}"
        )
