"""Answers to the tasks of lesson 6."""

import copy
import math

import torch
from exercise_answers import right, wrong
from torch import nn
from torch.nn import functional as F

from course_lib import explain
from course_lib.runtime import evaluation_mode


@right("06.1")
def map_by_map(heat):
    scaled = []
    for one in heat:
        span = one.max() - one.min()
        scaled.append((one - one.min()) / span if span > 0 else torch.zeros_like(one))
    return torch.stack(scaled)


@right("06.1")
def with_a_small_number_added(heat):
    flat = heat.flatten(1)
    low, high = flat.min(dim=1).values[:, None, None], flat.max(dim=1).values[:, None, None]
    return (heat - low) / (high - low + 1e-8)


@wrong("06.1", "0 divided by 0 is nan")
def flat_becomes_nan(heat):
    low, high = heat.amin((1, 2), keepdim=True), heat.amax((1, 2), keepdim=True)
    return (heat - low) / (high - low)


@wrong("06.1", "whole batch shares")
def over_the_batch(heat):
    return (heat - heat.min()) / (heat.max() - heat.min())


@wrong("06.1", "Each row was scaled alone")
def over_the_last_axis(heat):
    low = heat.min(dim=-1, keepdim=True).values
    return (heat - low) / (heat.max(dim=-1, keepdim=True).values - low)


@wrong("06.1", "taken away first")
def divides_by_the_highest(heat):
    return heat / heat.amax((1, 2), keepdim=True).clamp(min=1e-12)


@wrong("06.1", "cut off instead of moved")
def cuts_off_below_0(heat):
    return F.relu(heat) / heat.amax((1, 2), keepdim=True).clamp(min=1e-12)


@wrong("06.1", "write into the caller's tensor")
def works_in_place(heat):
    heat -= heat.amin((1, 2), keepdim=True)
    heat /= heat.amax((1, 2), keepdim=True).clamp(min=1e-12)
    return heat


@right("06.2")
def map_by_map_too(heat, masks):
    scores = torch.zeros(len(heat))
    for place, (one, mask) in enumerate(zip(heat, masks, strict=True)):
        if one.max() > one.min():
            scores[place] = mask[one == one.max()].float().mean()
    return scores


@wrong("06.2", "only the first of several")
def the_first_one_wins(heat, masks):
    flat = heat.flatten(1)
    hit = masks.flatten(1).gather(1, flat.argmax(dim=1, keepdim=True))[:, 0].float()
    return hit * (flat.amax(1) > flat.amin(1))


@wrong("06.2", "full score")
def any_of_them_counts(heat, masks):
    hottest = heat == heat.amax((1, 2), keepdim=True)
    return (hottest & masks).flatten(1).any(dim=1).float()


@wrong("06.2", "Flat maps")
def forgets_flat_maps(heat, masks):
    hottest = (heat == heat.amax((1, 2), keepdim=True)).float()
    return (hottest * masks).sum((1, 2)) / hottest.sum((1, 2))


@wrong("06.2", "sought in all maps")
def one_peak_for_all(heat, masks):
    hottest = (heat == heat.max()).float()
    return (hottest * masks).sum((1, 2)) / hottest.sum((1, 2))


@wrong("06.2", "fraction of heat inside")
def energy(heat, masks):
    return (heat * masks).sum((1, 2)) / heat.sum((1, 2))


@wrong("06.2", "not of those in the mask")
def divides_by_the_mask(heat, masks):
    hottest = heat == heat.amax((1, 2), keepdim=True)
    return (hottest & masks).sum((1, 2)) / masks.sum((1, 2))


@wrong("06.2", "one for each map")
def mean_of_all(heat, masks):
    return map_by_map_too(heat, masks).mean()


@right("06.3")
def with_evaluation_mode(model, images, layer):
    kept = {}

    def keep(module, inputs, output):
        kept["maps"] = output.detach().clone()

    hook = layer.register_forward_hook(keep)
    try:
        with evaluation_mode(model), torch.inference_mode(False), torch.no_grad():
            model(images)
    finally:
        hook.remove()
    return kept["maps"]


def maps_with(model, images, layer, keep, evaluate=True, restore=True, remove=True):
    """The maps, with something left out."""
    kept, before = [], model.training
    hook = layer.register_forward_hook(lambda _, inputs, output: kept.append(keep(inputs, output)))
    if evaluate:
        model.eval()
    try:
        model(images)
    finally:
        if remove:
            hook.remove()
        if restore:
            model.train(before)
    return kept[0]


@wrong("06.3", "`clone()` does not")
def detached_alone(model, images, layer):
    return maps_with(model, images, layer, lambda inputs, output: output.detach())


@wrong("06.3", "came into the layer")
def keeps_inputs(model, images, layer):
    return maps_with(model, images, layer, lambda inputs, output: inputs[0].detach().clone())


@wrong("06.3", "still part of its graph")
def keeps_the_graph(model, images, layer):
    return maps_with(model, images, layer, lambda inputs, output: output.clone())


@wrong("06.3", "asked in training mode")
def forgets_eval(model, images, layer):
    return maps_with(model, images, layer, lambda inputs, output: output.detach().clone(), evaluate=False)


@wrong("06.3", "after the call the mode")
def stays_in_eval(model, images, layer):
    return maps_with(model, images, layer, lambda inputs, output: output.detach().clone(), restore=False)


@wrong("06.3", "after the call the number of hooks")
def leaves_the_hook(model, images, layer):
    return maps_with(model, images, layer, lambda inputs, output: output.detach().clone(), remove=False)


@wrong("06.3", "after the model had failed the number of hooks")
def without_finally(model, images, layer):
    kept, before = [], model.training
    hook = layer.register_forward_hook(lambda _, inputs, output: kept.append(output.clone()))
    with torch.no_grad():
        model.eval()(images)
    hook.remove()
    model.train(before)
    return kept[0]


@wrong("06.3", "after the model had failed the mode")
def mode_outside_finally(model, images, layer):
    kept, before = [], model.training
    hook = layer.register_forward_hook(lambda _, inputs, output: kept.append(output.clone()))
    try:
        with torch.no_grad():
            model.eval()(images)
    finally:
        hook.remove()
    model.train(before)
    return kept[0]


@wrong("06.3", "`finally` does not")
def hides_the_error(model, images, layer):
    try:
        return with_evaluation_mode(model, images, layer)
    except RuntimeError:
        return None


@wrong("06.3", "return its element")
def returns_the_list(model, images, layer):
    return [with_evaluation_mode(model, images, layer)]


@right("06.4")
def image_by_image(model, images, targets):
    maps = []
    for image, target in zip(images, targets.tolist(), strict=True):
        pixels = image.detach()[None].clone().requires_grad_(True)
        (slope,) = torch.autograd.grad(model(pixels)[0, target], pixels)
        maps.append(slope.abs().max(dim=1).values[0])
    return torch.stack(maps)


@right("06.4")
def backward_in_a_copy(model, images, targets):
    pixels = images.detach().clone().requires_grad_()
    copy.deepcopy(model)(pixels)[range(len(targets)), targets].sum().backward()
    return pixels.grad.abs().amax(dim=1)


def slopes(model, images, score):
    pixels = images.detach().clone().requires_grad_()
    return torch.autograd.grad(score(model(pixels)), pixels)[0]


@wrong("06.4", "gradients in the parameters")
def backward(model, images, targets):
    pixels = images.clone().requires_grad_()
    model(pixels)[range(len(targets)), targets].sum().backward()
    return pixels.grad.abs().amax(dim=1)


@wrong("06.4", "training stands still")
def freezes_the_parameters(model, images, targets):
    pixels = images.clone().requires_grad_()
    model.requires_grad_(False)(pixels)[range(len(targets)), targets].sum().backward()
    return pixels.grad.abs().amax(dim=1)


@wrong("06.4", "the images had changed")
def marks_the_images(model, images, targets):
    images.requires_grad_()
    (slope,) = torch.autograd.grad(model(images)[range(len(targets)), targets].sum(), images)
    return slope.abs().amax(dim=1)


@wrong("06.4", "takes all targets for each image")
def all_targets_for_each(model, images, targets):
    return slopes(model, images, lambda logits: logits[:, targets].sum()).abs().amax(dim=1)


@wrong("06.4", "The logits of all classes")
def sums_all_logits(model, images, targets):
    return slopes(model, images, lambda logits: logits.sum()).abs().amax(dim=1)


@wrong("06.4", "most probable class")
def asks_the_best_class(model, images, targets):
    return slopes(model, images, lambda logits: logits.max(dim=1).values.sum()).abs().amax(dim=1)


@wrong("06.4", "not of a logit")
def of_the_probability(model, images, targets):
    count = range(len(targets))
    return slopes(model, images, lambda logits: logits.softmax(1)[count, targets].sum()).abs().amax(dim=1)


@wrong("06.4", "absolute values first")
def forgets_the_sign(model, images, targets):
    return slopes(model, images, lambda logits: logits.gather(1, targets[:, None]).sum()).amax(dim=1)


@wrong("06.4", "the mean over the channels")
def mean_of_the_channels(model, images, targets):
    return slopes(model, images, lambda logits: logits.gather(1, targets[:, None]).sum()).abs().mean(dim=1)


@right("06.5")
def one_image_at_a_time(model, images, targets, layer):
    kept = []
    hook = layer.register_forward_hook(lambda module, inputs, output: kept.append(output))
    with evaluation_mode(model):
        try:
            chosen = [model(image[None])[0, target] for image, target in zip(images, targets, strict=True)]
        finally:
            hook.remove()
    heat = []
    for maps, logit in zip(kept, chosen, strict=True):
        (slope,) = torch.autograd.grad(logit, maps)
        heat.append(torch.einsum("k,khw->hw", slope[0].mean((1, 2)), maps[0]).clamp(min=0))
    return F.interpolate(torch.stack(heat).detach()[:, None], images.shape[-2:], mode="bilinear").squeeze(1)


def cam_with(model, images, targets, layer, weigh=None, score=None, finish=None, large="bilinear"):
    """Grad-CAM, with something done otherwise."""
    kept = []
    hook = layer.register_forward_hook(lambda module, inputs, output: kept.append(output))
    with evaluation_mode(model):
        try:
            logits = model(images)
        finally:
            hook.remove()
    score = score or (lambda logits: logits.gather(1, targets[:, None]).sum())
    (slope,) = torch.autograd.grad(score(logits), kept[0])
    weigh = weigh or (lambda maps, slope: (slope.mean((2, 3), keepdim=True) * maps).sum(1).relu())
    heat = F.interpolate(weigh(kept[0], slope).detach()[:, None], images.shape[2:], mode=large)[:, 0]
    return finish(heat) if finish else heat


@right("06.5")
def backward_hooks_without_backward(model, images, targets, layer):
    kept, slopes = [], []
    hooks = [
        layer.register_forward_hook(lambda module, inputs, output: kept.append(output)),
        layer.register_full_backward_hook(lambda module, given, output: slopes.append(output[0])),
    ]
    try:
        with evaluation_mode(model):
            pixels = images.clone().requires_grad_()
            chosen = model(pixels)[torch.arange(len(images)), targets].sum()
            torch.autograd.grad(chosen, pixels)
    finally:
        for hook in hooks:
            hook.remove()
    weights = slopes[0].mean((-2, -1))
    heat = torch.einsum("nk,nkhw->nhw", weights, kept[0].detach()).relu()
    return nn.Upsample(tuple(images.shape[2:]), mode="bilinear")(heat[:, None])[:, 0]


@wrong("06.5", "Negative heat")
def without_relu(model, images, targets, layer):
    def weigh(maps, slope):
        return (slope.mean((2, 3), keepdim=True) * maps).sum(1)

    return cam_with(model, images, targets, layer, weigh)


@wrong("06.5", "align_corners")
def corners_on_corners(model, images, targets, layer):
    heat = explain.grad_cam(model, images, targets, layer=layer, enlarge=False)
    return F.interpolate(heat[:, None], images.shape[2:], mode="bilinear", align_corners=True)[:, 0]


@wrong("06.5", "before enlarging")
def relu_last(model, images, targets, layer):
    def weigh(maps, slope):
        return (slope.mean((2, 3), keepdim=True) * maps).sum(1)

    return cam_with(model, images, targets, layer, weigh, finish=F.relu)


@wrong("06.5", "average them")
def place_by_place(model, images, targets, layer):
    return cam_with(model, images, targets, layer, lambda maps, slope: (slope * maps).sum(1).relu())


@wrong("06.5", "were summed, not averaged")
def sums_gradients(model, images, targets, layer):
    def weigh(maps, slope):
        return (slope.sum((2, 3), keepdim=True) * maps).sum(1).relu()

    return cam_with(model, images, targets, layer, weigh)


@wrong("06.5", "were averaged, not summed")
def mean_of_maps(model, images, targets, layer):
    def weigh(maps, slope):
        return (slope.mean((2, 3), keepdim=True) * maps).mean(1).relu()

    return cam_with(model, images, targets, layer, weigh)


@wrong("06.5", "over the batch, too")
def weights_of_the_batch(model, images, targets, layer):
    def weigh(maps, slope):
        return torch.einsum("k,nkhw->nhw", slope.mean((0, 2, 3)), maps).relu()

    return cam_with(model, images, targets, layer, weigh)


@wrong("06.5", "ReLU comes after the sum")
def relu_before_the_sum(model, images, targets, layer):
    def weigh(maps, slope):
        return (slope.mean((2, 3), keepdim=True) * maps).relu().sum(1)

    return cam_with(model, images, targets, layer, weigh)


@wrong("06.5", "Do not scale it")
def scales(model, images, targets, layer):
    return cam_with(model, images, targets, layer, finish=lambda heat: heat / heat.amax((1, 2), keepdim=True))


@wrong("06.5", "in blocks")
def blocks(model, images, targets, layer):
    return cam_with(model, images, targets, layer, large="nearest")


@wrong("06.5", "takes all targets")
def all_targets(model, images, targets, layer):
    return cam_with(model, images, targets, layer, score=lambda logits: logits[:, targets].sum())


@wrong("06.5", "most probable class")
def the_best_class(model, images, targets, layer):
    return cam_with(model, images, targets, layer, score=lambda logits: logits.amax(1).sum())


def backward_hooks(model, images, targets, layer):
    """As most tutorials do it."""
    kept, slopes = [], []
    hooks = [
        layer.register_forward_hook(lambda module, inputs, output: kept.append(output.detach())),
        layer.register_full_backward_hook(lambda module, given, output: slopes.append(output[0])),
    ]
    was_training = model.training
    try:
        model.eval()(images).gather(1, targets[:, None]).sum().backward()
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    heat = (slopes[0].mean((2, 3), keepdim=True) * kept[0]).sum(1, keepdim=True).relu()
    return F.interpolate(heat, images.shape[2:], mode="bilinear")[:, 0]


wrong("06.5", "`zero_grad` deletes")(backward_hooks)


@wrong("06.5", "asked in training mode")
def as_in_the_lesson(model, images, targets, layer):
    kept = []
    hook = layer.register_forward_hook(lambda module, inputs, output: kept.append(output))
    try:
        logits = model(images)
    finally:
        hook.remove()
    (slope,) = torch.autograd.grad(logits[range(len(targets)), targets].sum(), kept[0])
    heat = F.relu((slope.mean((2, 3), keepdim=True) * kept[0]).sum(1, keepdim=True))
    return F.interpolate(heat, images.shape[2:], mode="bilinear")[:, 0].detach()


@wrong("06.5", "still part of its graph")
def not_detached(model, images, targets, layer):
    kept = []
    hook = layer.register_forward_hook(lambda module, inputs, output: kept.append(output))
    with evaluation_mode(model):
        logits = model(images)
    hook.remove()
    (slope,) = torch.autograd.grad(logits[range(len(targets)), targets].sum(), kept[0])
    heat = F.relu((slope.mean((2, 3), keepdim=True) * kept[0]).sum(1, keepdim=True))
    return F.interpolate(heat, images.shape[2:], mode="bilinear")[:, 0]


@wrong("06.5", "after the model had failed the number of hooks")
def hook_outside_finally(model, images, targets, layer):
    return not_detached(model, images, targets, layer).detach()


@right("06.6")
def image_after_image(model, healthy, sick, box):
    def sick_called(image):
        logits = model(image[None])[0]
        return bool(logits[1] > logits[0])

    def count(images, donors, shift, label):
        flipped = rightly = 0
        for place, image in enumerate(images):
            if sick_called(image) != label:
                continue
            pasted = image.clone()
            pasted[:, box[0], box[1]] = donors[(place + shift) % len(donors)][:, box[0], box[1]]
            rightly += 1
            flipped += sick_called(pasted) != label
        return flipped, rightly

    with evaluation_mode(model), torch.no_grad():
        first, second = count(healthy, sick, 0, False), count(sick, healthy, 0, True)
        third, fourth = count(healthy, healthy, 1, False), count(sick, sick, 1, True)
    both = third[0] + fourth[0], third[1] + fourth[1]
    return {
        name: flipped / max(rightly, 1)
        for name, (flipped, rightly) in {"control": both, "to_sick": first, "to_healthy": second}.items()
    }


def pasted(images, donors, box, in_place=False):
    changed = images if in_place else images.clone()
    donor = [place % len(donors) for place in range(len(images))]
    changed[:, :, box[0], box[1]] = donors[donor][:, :, box[0], box[1]]
    return changed


def shares_with(model, healthy, sick, box, share=None, mean=False, shift=-1, ways=(0, 1)):
    """The test, with something done otherwise."""
    share = share or (lambda rightly, flipped: (flipped[rightly].double().mean().nan_to_num(0)).item())

    def flips(images, donors, label):
        before, after = (model(x).argmax(1) for x in (images, pasted(images, donors, box)))
        return before == label, before != after

    with evaluation_mode(model), torch.no_grad():
        kinds = [flips(images, images.roll(shift, 0), label) for label, images in enumerate((healthy, sick))]
        both = [flips(healthy, sick, 0), flips(sick, healthy, 1)]
    heap = [torch.cat(parts) for parts in zip(*kinds, strict=True)]
    return {
        "to_sick": share(*both[ways[0]]),
        "to_healthy": share(*both[ways[1]]),
        "control": sum(share(*kind) for kind in kinds) / 2 if mean else share(*heap),
    }


@wrong("06.6", "predicted correctly before, not by all")
def divides_by_all(model, healthy, sick, box):
    return shares_with(model, healthy, sick, box, lambda rightly, flipped: (flipped & rightly).double().mean().item())


@wrong("06.6", "leave them out")
def every_change_counts(model, healthy, sick, box):
    return shares_with(model, healthy, sick, box, lambda rightly, flipped: flipped.double().mean().item())


@wrong("06.6", "compare answers")
def looks_afterwards_only(model, healthy, sick, box):
    return shares_with(model, healthy, sick, box, lambda rightly, flipped: (flipped == rightly).double().mean().item())


@wrong("06.6", "That is a count")
def counts(model, healthy, sick, box):
    return shares_with(model, healthy, sick, box, lambda rightly, flipped: int((flipped & rightly).sum()))


@wrong("06.6", "mean of two fractions")
def control_is_a_mean_of_means(model, healthy, sick, box):
    return shares_with(model, healthy, sick, box, mean=True)


@wrong("06.6", "take that of the next image")
def control_with_own_box(model, healthy, sick, box):
    return shares_with(model, healthy, sick, box, shift=0)


@wrong("06.6", "the image before")
def control_with_the_previous(model, healthy, sick, box):
    return shares_with(model, healthy, sick, box, shift=1)


@wrong("06.6", "exchanged")
def ways_exchanged(model, healthy, sick, box):
    return shares_with(model, healthy, sick, box, ways=(1, 0))


@wrong("06.6", "say 0")
def nan_where_none_counts(model, healthy, sick, box):
    return shares_with(model, healthy, sick, box, lambda r, f: f[r].double().mean().item() if r.any() else math.nan)


@wrong("06.6", "the images had changed")
def pastes_into_the_callers_images(model, healthy, sick, box):
    found = shares_with(model, healthy, sick, box)
    pasted(healthy, sick, box, in_place=True)
    return found


@wrong("06.6", "pasted already")
def pastes_one_after_the_other(model, healthy, sick, box):
    found = shares_with(model, healthy, sick, box)
    with evaluation_mode(model), torch.no_grad():
        changed = pasted(healthy, sick, box)
        back = pasted(sick[: len(healthy)], changed, box)
        called = model(sick[: len(healthy)]).argmax(1) == 1
        found["to_healthy"] = (model(back).argmax(1) == 0)[called].double().mean().nan_to_num(0).item()
    return found


@wrong("06.6", "donors run out")
def only_pairs(model, healthy, sick, box):
    found = shares_with(model, healthy, sick, box)
    count = min(len(healthy), len(sick))
    return {**found, "to_healthy": shares_with(model, healthy[:count], sick[:count], box)["to_healthy"]}


@wrong("06.6", "after the call the mode")
def leaves_evaluation_mode(model, healthy, sick, box):
    found = shares_with(model, healthy, sick, box)
    model.eval()
    return found


@wrong("06.6", "asked in training mode")
def never_evaluates(model, healthy, sick, box):
    model(healthy)
    return shares_with(model, healthy, sick, box)


@wrong("06.6", "after the model had failed")
def mode_lost_on_failure(model, healthy, sick, box):
    before = model.training
    model.eval()
    model(healthy)
    model.train(before)
    return shares_with(model, healthy, sick, box)


@wrong("06.6", "sorted(shortcut_test())")
def returns_a_tuple(model, healthy, sick, box):
    return tuple(shares_with(model, healthy, sick, box).values())
