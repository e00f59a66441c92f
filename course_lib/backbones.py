"""The backbones that `transfer_model` builds: one entry each, which the command reads before torch is imported."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

OFFLINE = "tf_efficientnet_lite0"
"""The backbone whose weights are installed with the course."""


class Backbone(NamedTuple):
    """A network with ImageNet's weights: torchvision's of that name, or timm's for `OFFLINE`."""

    family: Literal["densenet", "inception", "lite", "mobile", "resnet"]
    """How `models.transfer` takes it apart into stages and a head."""
    centered: bool = False
    """Whether it learned from pixels in -1..1; else from such as ImageNet's mean and standard deviation make."""
    arguments: Mapping[str, Any] = {}
    """Of torchvision's builder, besides the weights."""


BACKBONES = {
    OFFLINE: Backbone("lite", centered=True),
    "mobilenet_v3_small": Backbone("mobile"),
    "efficientnet_b0": Backbone("mobile"),
    "resnet18": Backbone("resnet"),
    "resnet50": Backbone("resnet"),
    "densenet121": Backbone("densenet"),
    # torchvision's turns ImageNet's numbers into -1..1 inside of the network. Its own first weights take half a minute.
    "inception_v3": Backbone("inception", centered=True, arguments={"init_weights": False}),
}
