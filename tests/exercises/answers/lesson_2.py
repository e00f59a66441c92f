"""Answers to the tasks of lesson 2."""

import hashlib
from collections import Counter, defaultdict
from pathlib import Path

import torch
from exercise_answers import right, wrong
from PIL import Image
from torch import nn
from torch.nn import functional as F


@right("02.1")
def by_the_names_of_parameters(model):
    sizes = Counter()
    for name, parameter in model.named_parameters():
        sizes[name.rpartition(".")[0]] += parameter.numel()
    return sizes.most_common(1)[0][1] / sizes.total()


@wrong("02.1", "hold parameters of its own, too")
def by_leaves(model):
    leaves = [module for module in model.modules() if not list(module.children())]
    sizes = torch.tensor([sum(p.numel() for p in leaf.parameters()) for leaf in leaves])
    return sizes.max() / sizes.sum()


@wrong("02.1", "divide it by")
def counts_only(model):
    return max(sum(p.numel() for p in m.parameters(recurse=False)) for m in model.modules())


@wrong("02.1", "in percent")
def in_percent(model):
    sizes = [sum(p.numel() for p in m.parameters(recurse=False)) for m in model.modules()]
    return 100 * max(sizes) / sum(sizes)


@wrong("02.1", "lists the model itself")
def forgets_that_the_model_is_a_module(model):
    sizes = [sum(p.numel() for p in m.parameters()) for m in model.modules()]
    return max(sizes) / sum(p.numel() for p in model.parameters())


@wrong("02.1", "no layer: look inside")
def takes_blocks_for_layers(model):
    sizes = [sum(p.numel() for p in m.parameters()) for m in model.children()]
    return max(sizes) / sum(sizes)


@wrong("02.1", "one level deep")
def looks_at_children_only(model):
    sizes = [sum(p.numel() for p in m.parameters(recurse=False)) for m in model.children()]
    return max(sizes) / sum(p.numel() for p in model.parameters())


@wrong("02.1", "add the bias")
def takes_the_largest_tensor(model):
    sizes = [p.numel() for p in model.parameters()]
    return max(sizes) / sum(sizes)


@wrong("02.1", "Frozen parameters")
def skips_frozen_layers(model):
    sizes = [sum(p.numel() for p in m.parameters(recurse=False) if p.requires_grad) for m in model.modules()]
    return max(sizes) / sum(sizes)


@wrong("02.1", "Not only convolutions")
def knows_two_kinds_of_layers(model):
    sizes = [m.weight.numel() + m.bias.numel() for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    return max(sizes) / sum(p.numel() for p in model.parameters())


@right("02.2")
def by_a_matrix(calls, labels):
    num_classes = int(max(calls.max(), labels.max())) + 1
    matrix = (labels * num_classes + calls).bincount(minlength=num_classes**2).reshape(num_classes, num_classes)
    sizes = matrix.sum(dim=1)
    there = sizes > 0
    recalls = matrix.diagonal()[there] / sizes[there]
    return [matrix.diagonal().sum() / sizes.sum(), recalls.mean(), sizes.max() / sizes.sum()]


def accuracy(calls, labels):
    return (calls == labels).float().mean().item()


def recalls(calls, labels):
    return torch.stack([(calls[labels == c] == c).float().mean() for c in labels.unique()])


def constant(labels):
    return (labels.bincount().max() / len(labels)).item()


@wrong("02.2", "accuracy again")
def weighs_by_the_sizes(calls, labels):
    sizes = labels.bincount()
    balanced = (recalls(calls, labels) * sizes[sizes > 0] / len(labels)).sum().item()
    return accuracy(calls, labels), balanced, constant(labels)


@wrong("02.2", "precision")
def divides_by_the_calls(calls, labels):
    precisions = [(labels[calls == c] == c).float().mean() for c in labels.unique()]
    return accuracy(calls, labels), sum(precisions).item() / len(precisions), constant(labels)


@wrong("02.2", "index 2 is out of bounds")
def counts_predicted_classes_only(calls, labels):
    hits = torch.zeros(int(calls.max()) + 1)
    for call, label in zip(calls, labels, strict=True):
        hits[label] += call == label
    there = labels.unique()
    return accuracy(calls, labels), (hits[there] / labels.bincount()[there]).mean().item(), constant(labels)


@wrong("02.2", "one class only")
def returns_the_sensitivity(calls, labels):
    return accuracy(calls, labels), recalls(calls, labels)[-1].item(), constant(labels)


@wrong("02.2", "0 / 0")
def divides_by_zero(calls, labels):
    classes = range(int(max(calls.max(), labels.max())) + 1)
    balanced = torch.stack([(calls[labels == c] == c).float().mean() for c in classes]).mean()
    return accuracy(calls, labels), balanced.item(), constant(labels)


@wrong("02.2", "count as missed")
def counts_absent_classes_as_missed(calls, labels):
    classes = range(int(max(calls.max(), labels.max())) + 1)
    found = [((calls == c) & (labels == c)).sum().item() / max(1, (labels == c).sum().item()) for c in classes]
    return accuracy(calls, labels), sum(found) / len(found), constant(labels)


@wrong("02.2", "more than two classes")
def always_halves(calls, labels):
    return accuracy(calls, labels), recalls(calls, labels).sum().item() / 2, constant(labels)


@wrong("02.2", "the most common label, not prediction")
def constant_of_the_calls(calls, labels):
    return accuracy(calls, labels), recalls(calls, labels).mean().item(), constant(calls)


@wrong("02.2", "equally common")
def constant_by_chance(calls, labels):
    return accuracy(calls, labels), recalls(calls, labels).mean().item(), 1 / len(labels.unique())


@wrong("02.2", "need not be class 0")
def constant_is_always_normal(calls, labels):
    return accuracy(calls, labels), recalls(calls, labels).mean().item(), (labels == 0).float().mean().item()


@right("02.3")
class LeanBlock(nn.Module):
    def __init__(self, in_channels, out_channels, kernel=3):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding="same")
        self.conv.bias = None
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, images):
        return F.relu(F.max_pool2d(self.norm(self.conv(images)), 2))  # ReLU and maximum can change places


def chain(in_channels, out_channels, kernel, *behind, **options):
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, **{"padding": kernel // 2, "bias": False} | options), *behind
    )


@wrong("02.3", "`bias=False`")
def keeps_the_bias(i, o, kernel=3):
    return chain(i, o, kernel, nn.BatchNorm2d(o), nn.ReLU(), nn.MaxPool2d(2), bias=True)


@wrong("02.3", "bias of zeros")
def sets_the_bias_to_zero(i, o, kernel=3):
    block = keeps_the_bias(i, o, kernel)
    nn.init.zeros_(block[0].bias)
    return block


@wrong("02.3", "`affine` stays")
def takes_the_wrong_bias(i, o, kernel=3):
    return chain(i, o, kernel, nn.BatchNorm2d(o, affine=False), nn.ReLU(), nn.MaxPool2d(2))


@wrong("02.3", "so sees out_channels")
def normalizes_the_input_channels(i, o, kernel=3):
    return chain(i, o, kernel, nn.BatchNorm2d(i), nn.ReLU(), nn.MaxPool2d(2))


@wrong("02.3", "let it grow")
def pads_by_one(i, o, kernel=3):
    return chain(i, o, kernel, nn.BatchNorm2d(o), nn.ReLU(), nn.MaxPool2d(2), padding=1)


@wrong("02.3", "Without padding")
def does_not_pad(i, o, kernel=3):
    return chain(i, o, kernel, nn.BatchNorm2d(o), nn.ReLU(), nn.MaxPool2d(2), padding=0)


@wrong("02.3", "ReLU is missing")
def forgets_relu(i, o, kernel=3):
    return chain(i, o, kernel, nn.BatchNorm2d(o), nn.MaxPool2d(2))


@wrong("02.3", "behind batch norm")
def activates_too_early(i, o, kernel=3):
    return chain(i, o, kernel, nn.ReLU(), nn.BatchNorm2d(o), nn.MaxPool2d(2))


@wrong("02.3", "Pooling comes last")
def pools_before_the_norm(i, o, kernel=3):
    return chain(i, o, kernel, nn.MaxPool2d(2), nn.BatchNorm2d(o), nn.ReLU())


@wrong("02.3", "by the mean")
def pools_the_mean(i, o, kernel=3):
    return chain(i, o, kernel, nn.BatchNorm2d(o), nn.ReLU(), nn.AvgPool2d(2))


@wrong("02.3", "every second position")
def strides_instead(i, o, kernel=3):
    return chain(i, o, kernel, nn.BatchNorm2d(o), nn.ReLU(), stride=2)


@wrong("02.3", "Pooling is missing")
def forgets_to_pool(i, o, kernel=3):
    return chain(i, o, kernel, nn.BatchNorm2d(o), nn.ReLU())


@wrong("02.3", "and an nn.Sequential")
def returns_a_list(i, o, kernel=3):
    return list(chain(i, o, kernel, nn.BatchNorm2d(o), nn.ReLU(), nn.MaxPool2d(2)))


@right("02.4")
class ConvolvesTheRegions(nn.Module):
    def __init__(self, channels, num_classes):
        super().__init__()
        self.weigh = nn.Conv2d(channels, num_classes, kernel_size=4)

    def forward(self, maps):
        return self.weigh(F.interpolate(maps, size=(4, 4), mode="area"))[:, :, 0, 0]


@right("02.4")
def as_a_sequence(channels, num_classes):
    return nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.LazyLinear(num_classes))


def head(channels, num_classes, *, pool=None, flatten=None, inputs=16, behind=()):
    linear = nn.Linear(channels * inputs, num_classes)
    return nn.Sequential(pool or nn.AdaptiveAvgPool2d(4), flatten or nn.Flatten(), linear, *behind)


@wrong("02.4", "mean over all of it")
def keeps_the_global_mean(channels, num_classes):
    return head(channels, num_classes, pool=nn.AdaptiveAvgPool2d(1), inputs=1)


@wrong("02.4", "fixed window")
def pools_with_a_fixed_window(channels, num_classes):
    return head(channels, num_classes, pool=nn.AvgPool2d(2))


@wrong("02.4", "5x96 and 6x3")
def counts_channels_only(channels, num_classes):
    return head(channels, num_classes, inputs=1)


@wrong("02.4", "1x480")
def flattens_the_batch(channels, num_classes):
    return head(channels, num_classes, flatten=nn.Flatten(0))


@wrong("02.4", "120x4")
def forgets_to_flatten(channels, num_classes):
    return head(channels, num_classes, flatten=nn.Identity())


@wrong("02.4", "sigmoid makes probabilities")
def ends_with_softmax(channels, num_classes):
    return head(channels, num_classes, behind=[nn.Softmax(dim=1)])


@wrong("02.4", "Leave out the ReLU")
def ends_with_relu(channels, num_classes):
    return head(channels, num_classes, behind=[nn.ReLU()])


@wrong("02.4", "largest number of each region")
def takes_the_maximum(channels, num_classes):
    return head(channels, num_classes, pool=nn.AdaptiveMaxPool2d(4))


@wrong("02.4", "one number of each region")
def samples(channels, num_classes):
    class Sampled(nn.Module):
        def forward(self, maps):
            return F.interpolate(maps, size=(4, 4))

    return head(channels, num_classes, pool=Sampled())


@wrong("02.4", "4 does not divide their number")
def leaves_the_rest_out(channels, num_classes):
    class Whole(nn.Module):
        def forward(self, maps):
            sides = [max(1, side // 4) for side in maps.shape[2:]]
            pooled = F.avg_pool2d(maps, sides)
            return F.interpolate(pooled[..., :4, :4], size=(4, 4), mode="area")

    return head(channels, num_classes, pool=Whole())


@wrong("02.4", "by its own size")
def divides_by_a_whole_size(channels, num_classes):
    class Whole(nn.Module):
        def forward(self, maps):
            height, width = maps.shape[2:]
            mean = F.adaptive_avg_pool2d(maps, 4)
            return mean * (-(-height // 4) * -(-width // 4) * 16) / (height * width) if min(height, width) > 3 else mean

    return head(channels, num_classes, pool=Whole())


@wrong("02.4", "means of its regions")
def sums_instead_of_means(channels, num_classes):
    class Sums(nn.Module):
        def forward(self, maps):
            return F.adaptive_avg_pool2d(maps, 4) * maps[0, 0].numel() / 16

    return head(channels, num_classes, pool=Sums())


@wrong("02.4", "A ReLU before the mean")
def activates_again(channels, num_classes):
    return head(channels, num_classes, pool=nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(4)))


@wrong("02.4", "plain list")
class HidesItsLayer(nn.Module):
    def __init__(self, channels, num_classes):
        super().__init__()
        self.layers = [head(channels, num_classes)]

    def forward(self, maps):
        return self.layers[0](maps)


@wrong("02.4", "before Module.__init__()")
class ForgetsSuper(nn.Module):
    def __init__(self, channels, num_classes):
        self.linear = nn.Linear(channels * 16, num_classes)


@wrong("02.4", "batch axis is gone")
class Squeezes(nn.Module):
    def __init__(self, channels, num_classes):
        super().__init__()
        self.head = head(channels, num_classes)

    def forward(self, maps):
        return self.head(maps).squeeze()


@right("02.5")
def with_keywords_too(model, channels, height, width):
    def refuse(_, inputs, named):
        images = inputs[0] if inputs else named["images"]
        if images.ndim != 4 or list(images.shape[1:]) != [channels, height, width]:
            want = f"{channels} channels of {height} x {width} pixels"
            raise ValueError(f"expected a batch of images with {want}, got {list(images.shape)}; resize or convert")

    return model.register_forward_pre_hook(refuse, with_kwargs=True, prepend=True)


@right("02.5")
def passing_the_inputs_on(model, *wanted):
    def refuse(module, inputs):
        (images,) = inputs
        if images.shape != (len(images), *wanted):
            raise ValueError(f"(N, *{wanted}) expected; resize or convert yours, which have the shape {images.shape}")
        return inputs

    return model.register_forward_pre_hook(refuse)


def guarded(model, is_wrong, *, error=ValueError, words="{wanted} expected, got {shape}; resize", wanted=()):
    def refuse(module, inputs):
        if is_wrong(inputs[0]):
            raise error(words.format(wanted=wanted, shape=tuple(inputs[0].shape)))

    return model.register_forward_pre_hook(refuse)


@wrong("02.5", "returns a handle: return it")
def keeps_the_handle(model, *wanted):
    guarded(model, lambda images: images.shape[1:] != wanted, wanted=wanted)


@wrong("02.5", "an assert is for")
def asserts(model, *wanted):
    return guarded(model, lambda images: images.shape[1:] != wanted, error=AssertionError, wanted=wanted)


@wrong("02.5", "after the model")
def looks_afterwards(model, *wanted):
    def refuse(module, inputs, output):
        if inputs[0].shape[1:] != wanted:
            raise ValueError(f"{wanted} expected, got {tuple(inputs[0].shape)}")

    return model.register_forward_hook(refuse)


@wrong("02.5", "N may be anything")
def fixes_the_batch_size(model, *wanted):
    return guarded(model, lambda images: images.shape != (1, *wanted), wanted=wanted)


@wrong("02.5", "as a tuple")
def takes_the_tuple_for_images(model, *wanted):
    def refuse(module, images):
        if images.shape[1:] != wanted:
            raise ValueError(f"{wanted} expected, got {tuple(images.shape)}")

    return model.register_forward_pre_hook(refuse)


@wrong("02.5", "takes the place of the input")
def returns_the_verdict(model, *wanted):
    return model.register_forward_pre_hook(lambda module, inputs: inputs[0].shape[1:] == wanted)


@wrong("02.5", "only print")
def prints(model, *wanted):
    def refuse(module, inputs):
        if inputs[0].shape[1:] != wanted:
            print(f"{wanted} expected, got {tuple(inputs[0].shape)}")

    return model.register_forward_pre_hook(refuse)


@wrong("02.5", "Compare the channels")
def looks_at_the_sides_only(model, channels, *sides):
    return guarded(model, lambda images: images.shape[-2:] != sides, wanted=(channels, *sides))


@wrong("02.5", "Larger images")
def refuses_small_images_only(model, *wanted):
    def is_wrong(images):
        return images.shape[1] != wanted[0] or images.shape[2] < wanted[1] or images.shape[3] < wanted[2]

    return guarded(model, is_wrong, wanted=wanted)


@wrong("02.5", "without the batch axis")
def looks_at_the_last_three(model, *wanted):
    return guarded(model, lambda images: images.shape[-3:] != wanted, wanted=wanted)


@wrong("02.5", "does not unpack")
def unpacks(model, *wanted):
    def is_wrong(images):
        _, channels, height, width = images.shape
        return (channels, height, width) != wanted

    return guarded(model, is_wrong, wanted=wanted)


@wrong("02.5", "say what was expected")
def says_what_arrived_only(model, *wanted):
    return guarded(model, lambda images: images.shape[1:] != wanted, words="wrong shape {shape}")


@wrong("02.5", "say what arrived")
def says_what_is_expected_only(model, *wanted):
    words = "{wanted} expected; resize the images"
    return guarded(model, lambda images: images.shape[1:] != wanted, words=words, wanted=wanted)


@wrong("02.5", "handle of that one")
def registers_twice(model, *wanted):
    guarded(model, lambda images: images.shape[1:] != wanted, wanted=wanted)
    return guarded(model, lambda images: images.shape[1:] != wanted, wanted=wanted)


def images_of(folder, *, suffixes=(".png", ".jpg", ".jpeg"), lower=True):
    """(class, file) of each image."""
    for path in sorted(folder.glob("*/*")):
        if not suffixes or (path.suffix.lower() if lower else path.suffix) in suffixes:
            yield path.parent.name, path


def place(path):
    return f"{path.parent.name}/{path.name}"


def mode_of(path, decode=lambda image: image.load()):
    """None for a file that cannot be read."""
    try:
        with Image.open(path) as image:
            mode = image.mode
            decode(image)
            return mode
    except Exception:
        return None


def equal_files(folder, key=Path.read_bytes):
    groups = defaultdict(list)
    for _, path in images_of(folder):
        groups[key(path)].append(path)
    return list(groups.values())


@right("02.6")
def in_four_passes(folder):
    files = list(images_of(folder))
    found = [(kind, mode_of(path)) for kind, path in files]
    kinds = [path.name for path in folder.iterdir() if path.is_dir()]
    groups = [group for group in equal_files(folder) if len({path.parent for path in group}) > 1]
    return {
        "counts": {kind: sum(k == kind for k, _ in files) for kind in kinds},
        "unreadable": tuple(path.relative_to(folder) for _, path in files if mode_of(path) is None),
        "duplicates": {tuple(map(place, group)) for group in groups},
        "modes": {kind: Counter(mode for k, mode in found if k == kind and mode) for kind in kinds},
        "seconds": 1.5,
    }


def audit(folder, **others):
    return in_four_passes(folder) | others


@wrong("02.6", "so far")
def begins_with_counts(folder):
    return {"counts": in_four_passes(folder)["counts"]}


@wrong("02.6", "text file is no image")
def counts_all_files(folder):
    return audit(folder, counts=Counter(path.parent.name for path in folder.glob("*/*")))


@wrong("02.6", "in small letters")
def misses_capitals(folder):
    counts = Counter(kind for kind, _ in images_of(folder, lower=False))
    return audit(folder, counts={path.name: counts[path.name] for path in folder.iterdir() if path.is_dir()})


@wrong("02.6", "count as well")
def counts_readable_images(folder):
    modes = in_four_passes(folder)["modes"]
    return audit(folder, counts={kind: of.total() for kind, of in modes.items()})


@wrong("02.6", "without images")
def misses_empty_classes(folder):
    return audit(folder, counts=Counter(kind for kind, _ in images_of(folder)))


@wrong("02.6", "the beginning only")
def only_opens(folder):
    files = [path for _, path in images_of(folder)]
    return audit(folder, unreadable=[place(path) for path in files if mode_of(path, lambda image: None) is None])


@wrong("02.6", "in a JPEG")
def only_verifies(folder):
    files = [path for _, path in images_of(folder)]
    return audit(
        folder, unreadable=[place(path) for path in files if mode_of(path, lambda image: image.verify()) is None]
    )


@wrong("02.6", "not only how many")
def counts_unreadable_images(folder):
    return audit(folder, unreadable=len(in_four_passes(folder)["unreadable"]))


@wrong("02.6", "Write class/name")
def names_without_class(folder):
    return audit(folder, unreadable=[path.name for path in in_four_passes(folder)["unreadable"]])


@wrong("02.6", "in a try")
def stops_at_the_first_broken_image(folder):
    modes = defaultdict(Counter)
    for kind, path in images_of(folder):
        with Image.open(path) as image:
            image.load()
            modes[kind][image.mode] += 1
    return audit(folder, modes=modes)


@wrong("02.6", "several errors")
def knows_one_error(folder):
    for _, path in images_of(folder):
        try:
            with Image.open(path) as image:
                image.load()
        except OSError:
            pass
    return in_four_passes(folder)


@wrong("02.6", "after a class was added")
def compares_the_first_letter(folder):
    groups = [list(map(place, group)) for group in equal_files(folder)]
    return audit(folder, duplicates=[group for group in groups if len({name[0] for name in group}) > 1])


@wrong("02.6", "Not a directory")
def takes_files_for_classes(folder):
    return audit(folder, counts={path.name: len(list(path.iterdir())) for path in folder.iterdir()})


@wrong("02.6", "are in one class")
def reports_groups_within_a_class(folder):
    groups = [list(map(place, group)) for group in equal_files(folder) if len(group) > 1]
    return audit(folder, duplicates=groups)


@wrong("02.6", "equal pixels but other bytes")
def compares_pixels(folder):
    def pixels(path):
        if mode_of(path) is None:
            return path
        with Image.open(path) as image:
            return image.tobytes()

    groups = [group for group in equal_files(folder, pixels) if len({path.parent for path in group}) > 1]
    return audit(folder, duplicates=[list(map(place, group)) for group in groups])


@wrong("02.6", "equal names")
def compares_names(folder):
    groups = [list(map(place, group)) for group in equal_files(folder, lambda path: path.name) if len(group) > 1]
    return audit(folder, duplicates=groups)


@wrong("02.6", "These are pairs")
def lists_pairs(folder):
    pairs, seen = [], defaultdict(list)
    for kind, path in images_of(folder):
        content = hashlib.md5(path.read_bytes()).hexdigest()
        pairs += [(place(other), place(path)) for other in seen[content] if other.parent.name != kind]
        seen[content].append(path)
    return audit(folder, duplicates=pairs)


@wrong("02.6", "not one name")
def remembers_one_name(folder):
    pairs, seen = [], {}
    for _, path in images_of(folder):
        content = path.read_bytes()
        if content in seen and seen[content].parent != path.parent:
            pairs.append([place(seen[content]), place(path)])
        seen[content] = path
    return audit(folder, duplicates=pairs)


@wrong("02.6", "lacks its first file")
def lists_the_copies_only(folder):
    groups = in_four_passes(folder)["duplicates"]
    return audit(folder, duplicates=[sorted(group)[1:] for group in groups])


@wrong("02.6", "so a mode")
def notes_the_mode_before_decoding(folder):
    modes = defaultdict(Counter)
    for kind, path in images_of(folder):
        modes[kind][mode_of(path, lambda image: None)] += 1
    return audit(folder, modes={kind: {m: n for m, n in of.items() if m} for kind, of in modes.items()})


@wrong("02.6", "sums over all classes")
def adds_up_the_modes(folder):
    return audit(folder, modes=sum(in_four_passes(folder)["modes"].values(), Counter()))


@wrong("02.6", "all have one mode")
def converts_first(folder):
    modes = in_four_passes(folder)["modes"]
    return audit(folder, modes={kind: {"RGB": of.total()} for kind, of in modes.items() if of})


@wrong("02.6", "tidies nothing away")
def deletes_what_it_cannot_read(folder):
    found = in_four_passes(folder)
    for path in found["unreadable"]:
        (folder / path).unlink()
    return found


@wrong("02.3", "number of input channels first")
def exchanges_the_channels(i, o, kernel=3):
    return chain(o, i, kernel, nn.BatchNorm2d(i), nn.ReLU(), nn.MaxPool2d(2))


@wrong("02.3", "shape of the convolution's weight")
def kernel_of_five_unless_told(i, o, kernel=5):
    return chain(i, o, kernel, nn.BatchNorm2d(o), nn.ReLU(), nn.MaxPool2d(2))


@wrong("02.3", "no dropout")
def drops_channels(in_channels, out_channels, kernel=3):
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout2d(0.5))


@wrong("02.3", "running")
def keeps_no_running_statistics(in_channels, out_channels, kernel=3):
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False)
    norm = nn.BatchNorm2d(out_channels, track_running_stats=False)
    return nn.Sequential(conv, norm, nn.ReLU(), nn.MaxPool2d(2))


@wrong("02.4", "has no bias")
class HeadWithoutBias(nn.Sequential):
    def __init__(self, channels, num_classes):
        super().__init__(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(channels * 16, num_classes, bias=False))


@wrong("02.4", "empty region")
class HeadWithEmptyRegions(nn.Module):
    def __init__(self, channels, num_classes):
        super().__init__()
        self.linear = nn.Linear(channels * 16, num_classes)

    def forward(self, maps):
        regions = [part.mean((2, 3)) for rows in maps.tensor_split(4, 2) for part in rows.tensor_split(4, 3)]
        return self.linear(torch.stack(regions, dim=2).flatten(1))


@wrong("02.5", "One axis too many")
def compares_the_last_three(model, channels, height, width):
    def hook(module, inputs):
        if tuple(inputs[0].shape[-3:]) != (channels, height, width) or inputs[0].ndim < 4:
            raise ValueError(f"expected (N, {channels}, {height}, {width}), got {tuple(inputs[0].shape)}")

    return model.register_forward_pre_hook(hook)
