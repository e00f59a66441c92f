"""Answers to the tasks of lesson 5."""

import copy
import math
import statistics

import torch
from exercise_answers import right, wrong
from torch import nn

from course_lib.runtime import evaluation_mode


@right("05.1")
def with_torch(model):
    sizes = torch.tensor([[p.numel(), p.numel() * p.requires_grad] for p in model.parameters()]).sum(dim=0)
    return sizes[1] / sizes[0]


@wrong("05.1", "fraction that is frozen")
def frozen_instead(model):
    return 1 - with_torch(model).item()


@wrong("05.1", "Tensors were counted")
def counts_tensors(model):
    learning = [p.requires_grad for p in model.parameters()]
    return sum(learning) / len(learning)


@wrong("05.1", "first side only")
def takes_len(model):
    return sum(len(p) for p in model.parameters() if p.requires_grad) / sum(len(p) for p in model.parameters())


@wrong("05.1", "also holds batch-norm statistics")
def counts_state_dict(model):
    learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return learning / sum(t.numel() for t in model.state_dict().values())


@wrong("05.1", "as if they learned")
def forgets_requires_grad(model):
    count = sum(p.numel() for p in model.parameters())
    return count / count


@wrong("05.1", "in percent")
def percent(model):
    return 100 * with_torch(model).item()


@wrong("05.1", "That is a number of parameters")
def number(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@wrong("05.1", "not of the frozen ones")
def divides_by_the_frozen(model):
    share = with_torch(model).item()
    return share / (1 - share)


@wrong("05.1", "drops what is behind the point")
def whole_division(model):
    parameters = list(model.parameters())
    return sum(p.numel() for p in parameters if p.requires_grad) // sum(p.numel() for p in parameters)


def stem_with(conv, weight=None, bias=True, biased=False, **other):
    """The new layer, with something else in it."""
    kept = {name: getattr(conv, name) for name in ("stride", "padding", "dilation", "padding_mode")}
    gray = nn.Conv2d(1, conv.out_channels, conv.kernel_size, bias=biased or conv.bias is not None, **{**kept, **other})
    gray.weight = nn.Parameter(conv.weight.detach().sum(1, True) if weight is None else weight.detach())
    if bias and conv.bias is not None and gray.bias is not None:
        gray.bias = nn.Parameter(conv.bias.detach().clone())
    return gray


@right("05.2")
def a_changed_copy(conv):
    gray = copy.deepcopy(conv)
    gray.in_channels = 1
    gray.weight = nn.Parameter(sum(conv.weight.detach().split(1, dim=1)))
    return gray


@wrong("05.2", "averaged")
def averages(conv):
    return stem_with(conv, conv.weight.mean(1, keepdim=True))


@wrong("05.2", "taken alone")
def red_alone(conv):
    return stem_with(conv, conv.weight[:, :1].clone())


@wrong("05.2", "Brightness to the eye")
def weighs_like_the_eye(conv):
    shares = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    return stem_with(conv, (conv.weight * shares).sum(1, keepdim=True))


@wrong("05.2", "keep its random ones")
def random_weights(conv):
    return stem_with(conv, torch.randn(conv.out_channels, 1, *conv.kernel_size))


@wrong("05.2", "Hand over `conv.stride`")
def forgets_stride(conv):
    return stem_with(conv, stride=1)


@wrong("05.2", "Hand over `conv.padding`")
def one_padding_for_both(conv):
    return stem_with(conv, padding=0)


@wrong("05.2", "Hand over `conv.dilation`")
def forgets_dilation(conv):
    return stem_with(conv, dilation=1)


@wrong("05.2", "Hand over `conv.padding_mode`")
def forgets_padding_mode(conv):
    return stem_with(conv, padding_mode="zeros")


@wrong("05.2", "says whether")
def always_a_bias(conv):
    return stem_with(conv, biased=True)


@wrong("05.2", "bias is not that of the old")
def random_bias(conv):
    return stem_with(conv, bias=False)


@wrong("05.2", "asks for no gradient")
def cannot_be_trained(conv):
    gray = stem_with(conv)
    gray.weight = nn.Parameter(gray.weight.detach(), requires_grad=False)
    return gray


@wrong("05.2", "same tensor")
def shares_the_bias(conv):
    gray = stem_with(conv)
    gray.bias = conv.bias
    return gray


@wrong("05.2", "that was given in was changed")
def changes_the_original(conv):
    conv.in_channels = 1
    conv.weight = nn.Parameter(conv.weight.detach().sum(1, keepdim=True))
    return conv


@wrong("05.2", "otherwise: set this")
def forgets_in_channels(conv):
    gray = copy.deepcopy(conv)
    gray.weight = nn.Parameter(conv.weight.detach().sum(1, keepdim=True))
    return gray


@wrong("05.2", "keeps the axis")
def loses_an_axis(conv):
    return stem_with(conv, conv.weight.sum(1))


class Asleep(nn.Module):
    """Sleeps like the page's, with a forward pass of its own."""

    def __init__(self, inside, forward=None):
        super().__init__()
        self.inside, self.ask = inside.eval(), forward or inside

    def train(self, mode=True):
        self.training = mode
        return self

    def forward(self, images):
        return self.ask(images)


@right("05.3")
def train_is_replaced(backbone):
    for parameter in backbone.parameters():
        parameter.requires_grad = False
    backbone.eval()
    backbone.train = lambda mode=True: backbone
    return backbone


@right("05.3")
def asleep_before_each_pass(backbone):
    backbone.requires_grad_(False)
    backbone.register_forward_pre_hook(lambda part, images: part.eval() and None)
    return backbone


@wrong("05.3", "statistics move in training mode")
def only_requires_grad(backbone):
    return backbone.requires_grad_(False)


@wrong("05.3", "lasts until the next")
def only_eval(backbone):
    return backbone.requires_grad_(False).eval()


@wrong("05.3", "all weights as they were")
def only_sleeps(backbone):
    return Asleep(backbone)


@wrong("05.3", "passes through")
def no_grad_in_forward(backbone):
    return Asleep(backbone.requires_grad_(False), torch.no_grad()(backbone.forward))


@wrong("05.3", "dropout is awake")
def only_batch_norm_sleeps(backbone):
    backbone.requires_grad_(False)
    for part in backbone.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval()
            part.train = lambda mode=True, part=part: part
    return backbone


@wrong("05.3", "batch at hand")
def no_statistics_kept(backbone):
    backbone.requires_grad_(False)
    for part in backbone.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.track_running_stats = False
            part.forward = lambda x, part=part: nn.functional.batch_norm(x, None, None, part.weight, part.bias, True)
        if isinstance(part, nn.Dropout):
            part.p = 0
    return backbone


@right("05.3")
def a_frozen_copy(backbone):
    return train_is_replaced(copy.deepcopy(backbone))


@wrong("05.3", "The means stand still")
def momentum_0(backbone):
    for part in backbone.requires_grad_(False).modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 0
    return backbone


@wrong("05.3", "end with `return`")
def returns_nothing(backbone):
    train_is_replaced(backbone)


def groups_with(stages, rate, decay, *, counts=bool, keep=None, order=reversed, add_empty=False, once=True):
    """Groups, with something done otherwise."""
    groups, taken = [], set()
    keep = keep or (lambda stage, p: p.requires_grad)
    for stage in order(stages):
        learning = [p for p in stage.parameters() if keep(stage, p) and (not once or id(p) not in taken)]
        taken.update(map(id, learning))
        if learning or add_empty:
            groups.append({"params": learning, "lr": rate})
        if counts(list(stage.parameters())):
            rate = rate * decay
    return groups


@right("05.4")
def one_group_for_each_parameter(stages, rate, decay=0.7):
    with_some = [stage for stage in stages if any(True for _ in stage.parameters())]
    rates, of = {}, {}
    for depth, stage in enumerate(with_some[::-1]):
        for p in stage.parameters():
            of[id(p)] = p
            rates.setdefault(id(p), rate * decay**depth)
    return [{"params": p, "lr": rates[key]} for key, p in of.items() if p.requires_grad]


@right("05.4")
def a_tuple_of_groups(stages, rate, decay=0.7):
    return tuple(groups_with(stages, rate, decay))


@wrong("05.4", "by these names")
def other_names(stages, rate, decay):
    return [{"params": g["params"], "rate": g["lr"]} for g in groups_with(stages, rate, decay)]


@wrong("05.4", "pooling, is no step")
def pooling_is_a_step(stages, rate, decay):
    return groups_with(stages, rate, decay, counts=lambda p: True)


@wrong("05.4", "frozen stage is a step")
def frozen_is_no_step(stages, rate, decay):
    return groups_with(stages, rate, decay, counts=lambda own: any(p.requires_grad for p in own))


@wrong("05.4", "first stage got `rate`")
def begins_at_the_front(stages, rate, decay):
    return groups_with(stages, rate, decay, order=list)


@wrong("05.4", "grow toward")
def divides(stages, rate, decay):
    return groups_with(stages, rate, 1 / decay)


@wrong("05.4", "begins with `rate` itself")
def shrinks_first(stages, rate, decay):
    return groups_with(stages, rate * decay, decay)


@wrong("05.4", "All have one rate")
def forgets_decay(stages, rate, decay):
    return groups_with(stages, rate, 1)


@wrong("05.4", "no such group")
def empty_groups(stages, rate, decay):
    return groups_with(stages, rate, decay, add_empty=True)


@wrong("05.4", "is there twice")
def shared_twice(stages, rate, decay):
    return groups_with(stages, rate, decay, once=False)


@wrong("05.4", "no frozen parameter")
def by_stage(stages, rate, decay):
    return groups_with(stages, rate, decay, keep=lambda stage, p: any(q.requires_grad for q in stage.parameters()))


@wrong("05.4", "is missing")
def whole_stages_only(stages, rate, decay):
    return groups_with(stages, rate, decay, keep=lambda stage, p: all(q.requires_grad for q in stage.parameters()))


@wrong("05.4", "last of its stages")
def shared_belongs_to_the_first(stages, rate, decay):
    groups, taken = [], set()
    depth = sum(any(True for _ in stage.parameters()) for stage in stages)
    for stage in stages:
        own = [p for p in stage.parameters() if p.requires_grad and id(p) not in taken]
        depth -= any(True for _ in stage.parameters())
        taken.update(map(id, own))
        if own:
            groups.append({"params": own, "lr": rate * decay**depth})
    return groups


@wrong("05.4", "works in place")
def turns_the_callers_list(stages, rate, decay):
    stages.reverse()
    return groups_with(stages, rate, decay, order=list)


def features_with(backbone, batches, mean=lambda maps: maps.mean((2, 3)), grad=False, modes_of=None):
    """Features and labels in evaluation mode, with something done otherwise."""
    features, labels = [], []
    with evaluation_mode(modes_of or backbone), torch.set_grad_enabled(grad):
        for images, batch_labels in batches:
            features.append(mean(backbone(images)))
            labels.append(batch_labels)
    return torch.cat(features), torch.cat(labels)


@right("05.5")
def pooled_by_torch(backbone, batches):
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    pairs = list(batches)
    with evaluation_mode(backbone), torch.inference_mode():
        features = [pool(backbone(images)) for images, _ in pairs]
    return [torch.cat(features).clone(), torch.cat([labels for _, labels in pairs])]


@right("05.5")
def past_the_hooks(backbone, batches):
    return features_with(backbone.forward, batches, modes_of=backbone)


@wrong("05.5", "labels came first")
def labels_first(backbone, batches):
    return features_with(backbone, batches)[::-1]


@wrong("05.5", "asked in training mode")
def never_evaluates(backbone, batches):
    with torch.no_grad():
        pairs = [(backbone(images).mean((2, 3)), labels) for images, labels in batches]
    return tuple(torch.cat(part) for part in zip(*pairs, strict=True))


@wrong("05.5", "set that back")
def stays_in_evaluation_mode(backbone, batches):
    backbone.eval()
    return features_with(backbone, batches)


@wrong("05.5", "wakes all parts")
def wakes_all(backbone, batches):
    found = features_with(backbone, batches)
    backbone.train()
    return found


@wrong("05.5", "still part of a graph")
def keeps_the_graph(backbone, batches):
    return features_with(backbone, batches, grad=True)


@wrong("05.5", "ends by itself")
def switches_gradients_off(backbone, batches):
    torch.set_grad_enabled(False)
    return features_with(backbone, batches)


@wrong("05.5", "second pass belong")
def labels_by_a_second_pass(backbone, batches):
    return features_with(backbone, batches)[0], torch.cat([labels for _, labels in batches])


@wrong("05.5", "All at once")
def all_at_once(backbone, batches):
    images, labels = (torch.cat(part) for part in zip(*batches, strict=True))
    return features_with(backbone, [(images, labels)])


@wrong("05.5", "last batch is missing")
def drops_the_last(backbone, batches):
    pairs = list(batches)
    features, labels = features_with(backbone, pairs)
    return features[: -len(pairs[-1][1])], labels[: -len(pairs[-1][1])]


@wrong("05.5", "Those are the maps")
def maps_themselves(backbone, batches):
    return features_with(backbone, batches, mean=lambda maps: maps)


@wrong("05.5", "were flattened")
def flattens(backbone, batches):
    return features_with(backbone, batches, mean=lambda maps: maps.flatten(1))


@wrong("05.5", "largest number of each map")
def largest(backbone, batches):
    return features_with(backbone, batches, mean=lambda maps: maps.amax((2, 3)))


@wrong("05.5", "Return both")
def features_alone(backbone, batches):
    return features_with(backbone, batches)[0]


@wrong("05.5", "Two axes of length 1")
def adaptive_pooling_alone(backbone, batches):
    return features_with(backbone, batches, mean=nn.AdaptiveAvgPool2d(1))


def needed_with(pretrained, scratch, counts, seeds, *, spread=None, gain=None, enough=None, calls=1):
    """The four results, with something done otherwise."""
    spread = spread or (lambda v: statistics.stdev(v) if len(v) > 1 else None)
    both = [
        {n: [train(n, s) for s in seeds for _ in range(calls)][::calls] for n in counts}
        for train in (pretrained, scratch)
    ]
    first, second = ({n: (statistics.fmean(v), spread(v)) for n, v in table.items()} for table in both)
    gains = {n: [a - b for a, b in zip(both[0][n], both[1][n], strict=True)] for n in counts}
    found = {n: (statistics.fmean(v), spread(v)) for n, v in gains.items()}
    if gain and len(seeds) > 1:
        found = {n: gain(*found[n], first[n][1], second[n][1]) for n in counts}
    enough = enough or (lambda n: first[n][0] >= second[max(counts)][0])
    needed = min((n for n in counts if enough(n)), default=None)
    return {"pretrained": first, "scratch": second, "gain": found, "needed": needed}


@right("05.6")
def by_tensors(pretrained, scratch, counts, seeds):
    tables = [torch.tensor([[train(n, s) for s in seeds] for n in counts]).double() for train in (pretrained, scratch)]

    def rows(table):
        spreads = table.std(dim=1).tolist() if len(seeds) > 1 else [None] * len(counts)
        return dict(zip(counts, zip(table.mean(dim=1).tolist(), spreads, strict=True), strict=True))

    first, second = tables
    target = rows(second)[max(counts)][0]
    reached = [n for n, (mean, _) in sorted(rows(first).items()) if mean >= target]
    found = {"needed": reached[0] if reached else None, "gain": rows(first - second)}
    return {**found, "scratch": rows(second), "pretrained": rows(first)}


@wrong("05.6", "not by one less")
def divides_by_all_seeds(*given):
    return needed_with(*given, spread=lambda v: statistics.pstdev(v) if len(v) > 1 else None)


@wrong("05.6", "That is the range")
def range_of_scores(*given):
    return needed_with(*given, spread=lambda v: max(v) - min(v) if len(v) > 1 else None)


@wrong("05.6", "That is the variance")
def variance(*given):
    return needed_with(*given, spread=lambda v: statistics.variance(v) if len(v) > 1 else None)


@wrong("05.6", "error of the mean")
def standard_error(*given):
    return needed_with(*given, spread=lambda v: statistics.stdev(v) / len(v) ** 0.5 if len(v) > 1 else None)


@wrong("05.6", "0 would say that it is small")
def no_spread_is_0(*given):
    return needed_with(*given, spread=lambda v: statistics.stdev(v) if len(v) > 1 else 0.0)


@wrong("05.6", "nothing is known")
def no_spread_is_nan(*given):
    return needed_with(*given, spread=lambda v: statistics.stdev(v) if len(v) > 1 else math.nan)


@wrong("05.6", "Seeds come in pairs")
def gain_of_independent_draws(*given):
    return needed_with(*given, gain=lambda mean, spread, a, b: (mean, math.hypot(a, b)))


@wrong("05.6", "no difference of spreads")
def spreads_subtracted(*given):
    return needed_with(*given, gain=lambda mean, spread, a, b: (mean, a - b))


@wrong("05.6", "The sign")
def scratch_minus_pretrained(*given):
    return needed_with(*given, gain=lambda mean, spread, a, b: (-mean, spread))


@wrong("05.6", "keep what it returned")
def trains_twice(*given):
    return needed_with(*given, calls=2)


@wrong("05.6", "easier images")
def other_seeds_for_the_other(pretrained, scratch, counts, seeds):
    return needed_with(pretrained, lambda n, seed: scratch(n, seed + 1), counts, seeds)


@wrong("05.6", "`sorted`, not `sort`")
def sorts_the_callers(pretrained, scratch, counts, seeds):
    counts.sort()
    return needed_with(pretrained, scratch, counts, seeds)


def with_needed(choose):
    """An answer that is right but for what it says is needed."""

    def answer(pretrained, scratch, counts, seeds):
        found = needed_with(pretrained, scratch, counts, seeds)
        means = [{n: mean for n, (mean, _) in found[name].items()} for name in ("pretrained", "scratch")]
        return {**found, "needed": choose(*means, counts)}

    return answer


@wrong("05.6", "first in `counts`")
def first_in_order(*given):
    return with_needed(lambda a, b, counts: next((n for n in counts if a[n] >= b[max(counts)]), None))(*given)


@wrong("05.6", "best mean of `scratch`")
def beats_the_best(*given):
    return with_needed(lambda a, b, counts: min((n for n in counts if a[n] >= max(b.values())), default=None))(*given)


@wrong("05.6", "The last in `counts`")
def last_is_largest(*given):
    return with_needed(lambda a, b, counts: min((n for n in counts if a[n] >= b[counts[-1]]), default=None))(*given)


@wrong("05.6", "compared at the same n")
def same_n(*given):
    return with_needed(lambda a, b, counts: min((n for n in counts if a[n] >= b[n]), default=None))(*given)


@wrong("05.6", "As good is enough")
def has_to_be_better(*given):
    return with_needed(lambda a, b, counts: min((n for n in counts if a[n] > b[max(counts)]), default=None))(*given)


@wrong("05.6", "largest number that is enough")
def largest_that_is_enough(*given):
    return with_needed(lambda a, b, counts: max((n for n in counts if a[n] >= b[max(counts)]), default=None))(*given)


@wrong("05.6", "Which of the two")
def scratch_has_to_reach_pretrained(*given):
    return with_needed(lambda a, b, counts: min((n for n in counts if b[n] >= a[max(counts)]), default=None))(*given)


@wrong("05.6", "say so")
def never_is_the_largest(*given):
    return with_needed(lambda a, b, counts: min((n for n in counts if a[n] >= b[max(counts)]), default=max(counts)))(
        *given
    )


@wrong("05.6", "luckiest seed")
def one_seed_is_enough(pretrained, scratch, counts, seeds):
    scores = {n: [pretrained(n, s) for s in seeds] for n in counts}
    kept = lambda n, seed: scores[n][seeds.index(seed)]  # noqa: E731
    found = needed_with(kept, scratch, counts, seeds)
    target = found["scratch"][max(counts)][0]
    return {**found, "needed": min((n for n in counts if max(scores[n]) >= target), default=None)}


@wrong("05.6", "Return a dictionary")
def a_tuple(*given):
    return tuple(needed_with(*given).values())
