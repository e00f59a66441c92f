"""What an answer does when something is taken away, and what a map says it should do: both in log-odds.

The same image without a thing, all else equal, is its *counterfactual*. The simulator makes it
(`simulate_radiographs(..., leave_out=...)`); the fall of the answer from the one to the other is the truth about the
thing, for this network. A map is right about it if its values in the region sum to that fall.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.explain.attribution import class_logits, explaining, gradient_of, outputs_of
from course_lib.explain.features import layer_name, only_maps
from course_lib.runtime import evaluation_mode


class LogOdds(nn.Module):
    """A network of two classes that answers with one number an image, log(p / (1 - p)) of class 1.

    Each method of `explain` takes it in the place of the network, and then explains the whole answer: target 1.

    >>> LogOdds(nn.Flatten())(torch.tensor([[1.0, 3.0]]))
    tensor([2.])
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) to log-odds (N,)."""
        logits = class_logits(self.model(images), len(images))
        if logits.shape[1] != 2:
            raise ValueError(
                f"log-odds need the logits of two classes, the network returns {logits.shape[1]}; wrap it in a module "
                "that returns the two to be compared."
            )
        return logits[:, 1] - logits[:, 0]


def effect(model: nn.Module, images: Tensor, without: Tensor) -> Tensor:
    """How far the log-odds fall when images are replaced by the same ones without something, (N,).

    Args:
        model: takes images, returns the logits of two classes.
        images: float (N, C, H, W).
        without: the same images, without.

    Raises:
        ValueError: images of different shapes, or a network of more classes.
    """
    if images.shape != without.shape:
        raise ValueError(
            f"without {tuple(without.shape)} must be the images {tuple(images.shape)} again, less something; make it "
            "from them, or by simulate_radiographs with the same arguments and leave_out."
        )
    log_odds = LogOdds(model)
    with evaluation_mode(model), torch.no_grad():
        pairs = zip(images.split(100), without.split(100), strict=True)
        return torch.cat([log_odds(batch) - log_odds(batch_without) for batch, batch_without in pairs]).float()


def gradient_times_change(model: nn.Module, images: Tensor, without: Tensor) -> Tensor:
    """What each pixel's change would do to the log-odds if a network were a straight line, (N, H, W).

    Exact for a linear network; with black images as `without` it is called gradient times input.

    Args:
        model: takes images, returns the logits of two classes.
        images, without: see `effect`.
    """
    with explaining(model):
        inputs = images.detach().clone().requires_grad_()
        (gradients,) = torch.autograd.grad(LogOdds(model)(inputs).sum(), inputs)
    return (gradients * (images - without)).sum(dim=1).float()


def activation_times_gradient(model: nn.Module, images: Tensor, *, layer: nn.Module) -> Tensor:
    """What each position of a layer's maps adds to the log-odds, spread evenly over its pixels, (N, H, W).

    Where only means and one dense layer follow, the whole map sums to the log-odds, less the bias: it is the class
    activation map, with its sign and in the network's own unit.

    Args:
        model: takes images, returns the logits of two classes.
        images: float (N, C, H, W), whose sides are multiples of the maps'.
        layer: see `grad_cam`.

    Raises:
        ValueError: a layer that does not give maps, or that the answer does not use.

    Source: Zhou et al. 2016, "Learning deep features for discriminative localization".
    """
    name = layer_name(model, layer)
    with explaining(model):
        outputs, log_odds = outputs_of(layer, lambda: LogOdds(model)(images.detach().clone().requires_grad_()))
        maps = only_maps(outputs, name, images)
        gradients = gradient_of(log_odds, maps, name)
    parts = (gradients * maps).sum(dim=1, keepdim=True).detach().float()
    spread = F.interpolate(parts, images.shape[2:])
    return spread.squeeze(1) * parts[0].numel() / spread[0].numel()


def inside(maps: Tensor, regions: Tensor) -> Tensor:
    """What maps say a region is worth: the sum of their values in it, (N,).

    Args:
        maps: (N, H, W), in log-odds.
        regions: bool (N, H, W) or (N, 1, H, W).

    >>> inside(torch.tensor([[[0.5, 2.0], [-1.0, 9.0]]]), torch.tensor([[[True, True], [True, False]]]))
    tensor([1.5000])
    """
    return (maps.flatten(start_dim=1) * regions.flatten(start_dim=1)).sum(dim=1)
