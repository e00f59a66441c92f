"""Answers to the tasks of lesson 4."""

import copy
import math
import random
import statistics

import numpy as np
import torch
from exercise_answers import right, wrong
from scipy import stats
from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold
from torch import nn
from torch.nn import functional as F

from course_lib.data import PhotoAugmentation
from course_lib.models import SimpleCNN


@right("04.1")
def by_matrix(logits, labels):
    right = (logits.argmax(dim=1) == labels).float()
    classes = F.one_hot(labels, logits.shape[1]).float()
    return (right @ classes) / classes.sum(dim=0)


@right("04.1")
def as_list(logits, labels):
    right = logits.argmax(dim=1) == labels
    return [right[labels == label].float().mean().item() for label in range(logits.shape[1])]


@right("04.1")
def as_array(logits, labels):
    return np.array(as_list(logits, labels))


@wrong("04.1", "maximum of each row")
def over_the_batch(logits, labels):
    right = (logits.argmax(dim=0) == labels).float()
    return torch.stack([right[labels == label].mean() for label in range(logits.shape[1])])


@wrong("04.1", "for no images use nan")
def zero_for_none(logits, labels):
    right = (logits.argmax(dim=1) == labels).float()
    count = labels.bincount(minlength=logits.shape[1])
    return labels.bincount(right, minlength=logits.shape[1]) / count.clamp(min=1)


@wrong("04.1", "have a column, too")
def present_classes(logits, labels):
    right = (logits.argmax(dim=1) == labels).float()
    return torch.stack([right[labels == label].mean() for label in labels.unique()])


@wrong("04.1", "precision")
def of_those_called_so(logits, labels):
    called = logits.argmax(dim=1)
    return torch.stack([(labels[called == c] == c).float().mean() for c in range(logits.shape[1])])


@wrong("04.1", "number of all images")
def of_all_images(logits, labels):
    called = logits.argmax(dim=1)
    classes = range(logits.shape[1])
    return torch.stack([((called == c) & (labels == c)).float().mean() for c in classes])


@wrong("04.1", "over all classes together")
def overall(logits, labels):
    return (logits.argmax(dim=1) == labels).float().mean()


@right("04.2")
class WithFunctions(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, padding="same", bias=False)
        self.conv2 = nn.Conv2d(32, 64, 3, padding="same", bias=False)
        self.conv3 = nn.Conv2d(64, 128, 3, padding="same", bias=False)
        self.bn1, self.bn2, self.bn3 = nn.BatchNorm2d(32), nn.BatchNorm2d(64), nn.BatchNorm2d(128)
        self.fc2 = nn.Linear(512, 10)
        self.fc1 = nn.Linear(2048, 512)

    def forward(self, x):
        x = 2 * x - 1
        x = F.relu(F.max_pool2d(self.bn1(self.conv1(x)), 2))
        x = F.relu(F.max_pool2d(self.bn2(self.conv2(x)), 2))
        x = F.relu(F.max_pool2d(self.bn3(self.conv3(x)), 2))
        x = F.dropout(F.relu(self.fc1(x.flatten(1))), 0.5, training=self.training)
        return self.fc2(x)


@right("04.2")
class TheCourses(SimpleCNN):
    def __init__(self):
        super().__init__(batch_norm=True)


class Blocks(nn.Module):
    """The network in parts that a mistake may replace."""

    bias = False
    drop = nn.Dropout(0.5)

    def __init__(self):
        super().__init__()
        widths = ((3, 32), (32, 64), (64, 128))
        self.blocks = nn.ModuleList(self.block(*ends) for ends in widths)
        self.fc1, self.fc2 = nn.Linear(2048, 512), nn.Linear(512, 10)
        self.dropout = nn.Dropout(0.5)

    def block(self, before, after):
        conv = nn.Conv2d(before, after, 3, padding=1, bias=self.bias)
        return nn.Sequential(conv, *self.rest(after))

    def rest(self, after):
        return nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x.flatten(start_dim=1))

    def head(self, x):
        return self.fc2(self.dropout(F.relu(self.fc1(x))))


@wrong("04.2", "any bias with the mean")
class KeepsTheBias(Blocks):
    bias = True


@wrong("04.2", "of its own")
class WithoutNorm(Blocks):
    def rest(self, after):
        return nn.ReLU(), nn.MaxPool2d(2)


@wrong("04.2", "plain list")
class InAList(Blocks):
    def __init__(self):
        nn.Module.__init__(self)
        self.blocks = [self.block(*ends) for ends in ((3, 32), (32, 64), (64, 128))]
        self.layers = [nn.Linear(2048, 512), nn.Linear(512, 10)]

    def head(self, x):
        return self.layers[1](F.dropout(F.relu(self.layers[0](x)), training=self.training))


@wrong("04.2", "Here ReLU comes first")
class NormAfterReLU(Blocks):
    def rest(self, after):
        return nn.ReLU(), nn.BatchNorm2d(after), nn.MaxPool2d(2)


@wrong("04.2", "does not replace it")
class WithoutReLU(Blocks):
    def rest(self, after):
        return nn.BatchNorm2d(after), nn.MaxPool2d(2)


@wrong("04.2", "not its maximum")
class PoolsByMean(Blocks):
    def rest(self, after):
        return nn.BatchNorm2d(after), nn.ReLU(), nn.AvgPool2d(2)


@wrong("04.2", "pool before you normalize")
class PoolsFirst(Blocks):
    def rest(self, after):
        return nn.MaxPool2d(2), nn.BatchNorm2d(after), nn.ReLU()


@wrong("04.2", "never called")
class NormsUnused(Blocks):
    def forward(self, x):
        for block in self.blocks:
            x = F.max_pool2d(F.relu(block[0](x)), 2)
        return self.head(x.flatten(start_dim=1))


@wrong("04.2", "track running")
class NormOfTheBatch(Blocks):
    def rest(self, after):
        return nn.BatchNorm2d(after, track_running_stats=False), nn.ReLU(), nn.MaxPool2d(2)


@wrong("04.2", "Tell `F.dropout`")
class DropsAlways(Blocks):
    def head(self, x):
        return self.fc2(F.dropout(F.relu(self.fc1(x)), 0.5))


@wrong("04.2", "Dropout is missing")
class WithoutDropout(Blocks):
    def head(self, x):
        return self.fc2(F.relu(self.fc1(x)))


@wrong("04.2", "nn.Dropout(0.5)")
class DropsLittle(Blocks):
    def head(self, x):
        return self.fc2(F.dropout(F.relu(self.fc1(x)), 0.2, training=self.training))


@wrong("04.2", "after its ReLU")
class DropsEarly(Blocks):
    def head(self, x):
        return self.fc2(F.relu(self.fc1(self.dropout(x))))


@wrong("04.2", "before the last layer")
class DropsLogits(Blocks):
    def head(self, x):
        return self.dropout(self.fc2(F.relu(self.fc1(x))))


@wrong("04.2", "between the dense layers")
class LinearHead(Blocks):
    def head(self, x):
        return self.fc2(self.dropout(self.fc1(x)))


@wrong("04.2", "Leave softmax out")
class Probabilities(Blocks):
    def head(self, x):
        return super().head(x).softmax(dim=1)


@wrong("04.2", "maps of 4x4")
class ForgetsPadding(Blocks):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(128 * 2 * 2, 512)


@right("04.3")
def as_the_course_does(images, shift=4):
    return PhotoAugmentation(shift=shift)(images)


@right("04.3")
def image_by_image(images, shift=4):
    height, width = images.shape[2:]
    changed = []
    for image in F.pad(images, [shift] * 4, mode="reflect"):
        top, left = torch.randint(2 * shift + 1, (2,)).tolist()
        window = image[:, top : top + height, left : left + width]
        changed.append(window.flip(2) if torch.rand(()) < 0.5 else window)
    return torch.stack(changed)


def windows(images, shift, *, mode="reflect", tops=None, lefts=None, mirrored=None, axis=2):
    height, width = images.shape[2:]
    count = len(images)
    tops = torch.randint(2 * shift + 1, (count,)) if tops is None else tops
    lefts = torch.randint(2 * shift + 1, (count,)) if lefts is None else lefts
    mirrored = torch.rand(count) < 0.5 if mirrored is None else mirrored.expand(count)
    changed = []
    places = zip(F.pad(images, [shift] * 4, mode=mode), tops, lefts, mirrored, strict=True)
    for image, top, left, mirror in places:
        window = image[:, top : top + height, left : left + width]
        changed.append(window.flip(axis) if mirror else window)
    return torch.stack(changed)


@wrong("04.3", "which to mirror")
def every_second_mirrored(images, shift=4):
    return windows(images, shift, mirrored=torch.arange(len(images)) % 2 == 0)


@wrong("04.3", "torch.rand")
def draws_from_python(images, shift=4):
    count = len(images)
    tops, lefts = (torch.tensor([random.randint(0, 2 * shift) for _ in range(count)]) for _ in range(2))
    mirrored = torch.tensor([random.random() < 0.5 for _ in range(count)])
    return windows(images, shift, tops=tops, lefts=lefts, mirrored=mirrored)


@wrong("04.3", "black")
def with_zeros(images, shift=4):
    return windows(images, shift, mode="constant")


@wrong("04.3", "wraps around")
def rolls(images, shift=4):
    changed = []
    for image in images:
        moves = torch.randint(-shift, shift + 1, (2,)).tolist()
        image = image.roll(moves, dims=(1, 2))
        changed.append(image.flip(2) if torch.rand(()) < 0.5 else image)
    return torch.stack(changed)


@wrong("04.3", "repeats the last pixel")
def repeats_the_border(images, shift=4):
    return windows(images, shift, mode="replicate")


@wrong("04.3", "upside down")
def on_its_head(images, shift=4):
    return windows(images, shift, axis=1)


@wrong("04.3", "channels of an image move apart")
def channel_by_channel(images, shift=4):
    return windows(images.flatten(0, 1)[:, None], shift).view_as(images)


@wrong("04.3", "need one shift")
def row_by_row(images, shift=4):
    count, _, height, _ = images.shape
    padded = F.pad(images, [shift] * 4, mode="reflect")
    rows = torch.arange(height) + torch.randint(2 * shift + 1, (count, height))
    return torch.stack([image[:, some, shift:-shift] for image, some in zip(padded, rows, strict=True)])


@wrong("04.3", "Write into a copy")
def in_place(images, shift=4):
    images[:] = windows(images, shift)
    return images


@wrong("04.3", "Set no seed")
def seeded(images, shift=4):
    torch.manual_seed(0)
    return windows(images, shift)


@wrong("04.3", "Draw N shifts")
def one_shift_for_all(images, shift=4):
    top, left = torch.randint(2 * shift + 1, (2, 1))
    return windows(images, shift, tops=top.expand(len(images)), lefts=left.expand(len(images)))


@wrong("04.3", "along their last axis")
def never_mirrors(images, shift=4):
    return windows(images, shift, mirrored=torch.tensor(False))


@wrong("04.3", "One draw decides")
def mirrors_the_batch(images, shift=4):
    return windows(images, shift, mirrored=torch.rand(()) < 0.5)


@wrong("04.3", "a draw each")
def same_both_ways(images, shift=4):
    places = torch.randint(2 * shift + 1, (len(images),))
    return windows(images, shift, tops=places, lefts=places)


@wrong("04.3", "the other axis")
def sideways_only(images, shift=4):
    return windows(images, shift, tops=torch.full((len(images),), shift))


@wrong("04.3", "one way only")
def one_way(images, shift=4):
    tops, lefts = torch.randint(shift + 1, (2, len(images)))
    return windows(images, shift, tops=tops, lefts=lefts)


@wrong("04.3", "upper end")
def never_the_last(images, shift=4):
    tops, lefts = torch.randint(2 * shift, (2, len(images)))
    return windows(images, shift, tops=tops, lefts=lefts)


@wrong("04.3", "Half of them")
def mirrors_too_few(images, shift=4):
    return windows(images, shift, mirrored=torch.rand(len(images)) < 0.1)


@wrong("04.3", "Cut windows")
def stays_padded(images, shift=4):
    return F.pad(images, [shift] * 4, mode="reflect")


@right("04.4")
@torch.no_grad()
def parameters_and_buffers(average, model, decay):
    for mean, new in zip(average.parameters(), model.parameters(), strict=True):
        mean.lerp_(new, 1 - decay)
    for mean, new in zip(average.buffers(), model.buffers(), strict=True):
        mean.copy_(decay * mean + (1 - decay) * new if mean.is_floating_point() else new)


@right("04.4")
def loads_a_state(average, model, decay):
    new, old = copy.deepcopy(model.state_dict()), average.state_dict()
    for name, tensor in new.items():
        if tensor.dtype == torch.float32:
            new[name] = decay * old[name] + (1 - decay) * tensor
    average.load_state_dict(new)


def average_states(average, model, decay, *, skip=(), copied=("num_batches_tracked",), exchange=False):
    for (name, mean), new in zip(average.state_dict().items(), model.state_dict().values(), strict=True):
        if name.endswith(skip):
            continue
        share = 1 - decay if exchange else decay
        mean.copy_(new if name.endswith(copied) else share * mean + (1 - share) * new)


@wrong("04.4", "Nothing was written")
def binds_a_name(average, model, decay):
    for mean, new in zip(average.parameters(), model.parameters(), strict=True):
        mean = decay * mean + (1 - decay) * new


@wrong("04.4", "copy of the model")
def copies(average, model, decay):
    average.load_state_dict(model.state_dict())


@wrong("04.4", "belongs to the old mean")
def exchanges(average, model, decay):
    average_states(average, model, decay, exchange=True)


@wrong("04.4", "Only parameters were averaged")
@torch.no_grad()
def parameters_only(average, model, decay):
    for mean, new in zip(average.parameters(), model.parameters(), strict=True):
        mean.lerp_(new, 1 - decay)


@wrong("04.4", "average them like the weights")
@torch.no_grad()
def copies_buffers(average, model, decay):
    parameters_only(average, model, decay)
    for mean, new in zip(average.buffers(), model.buffers(), strict=True):
        mean.copy_(new)


@wrong("04.4", "left out: copy them")
def leaves_counters(average, model, decay):
    average_states(average, model, decay, skip=("num_batches_tracked",))


@wrong("04.4", "not averaged but copied")
def averages_counters(average, model, decay):
    average_states(average, model, decay, copied=("nothing",))


@wrong("04.4", "Copy buffers of whole numbers")
def lerps_everything(average, model, decay):
    for name, mean in average.state_dict().items():
        mean.mul_(decay).add_((1 - decay) * model.state_dict()[name])


@wrong("04.4", "torch.no_grad()")
def with_gradient(average, model, decay):
    for mean, new in zip(average.parameters(), model.parameters(), strict=True):
        mean.mul_(decay).add_(new, alpha=1 - decay)


@wrong("04.4", "Training goes on with it")
def writes_into_the_model(average, model, decay):
    average_states(average, model, decay)
    model.load_state_dict(average.state_dict())


@right("04.5")
def by_scipy(plain, changed):
    test = stats.ttest_rel(changed, plain)
    mean = np.mean(np.array(changed) - np.array(plain))
    return mean, mean / test.statistic, test.pvalue < 0.05


@right("04.5")
def by_hand(plain, changed):
    differences = [after - before for before, after in zip(plain, changed, strict=True)]
    mean = sum(differences) / len(differences)
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    low, high = stats.t.interval(0.95, len(differences) - 1, loc=mean, scale=error)
    return [torch.tensor(mean), torch.tensor(error), not low <= 0 <= high]


def told(mean, error, count, quantile=0.975, used=1):
    return mean, error, bool(abs(mean) > stats.t.ppf(quantile, count - used) * error)


@wrong("04.5", "lists as unrelated")
def unpaired(plain, changed):
    error = math.sqrt((statistics.variance(plain) + statistics.variance(changed)) / len(plain))
    return told(np.mean(changed) - np.mean(plain), error, len(plain))


@wrong("04.5", "ddof=1")
def deviation_of_numpy(plain, changed):
    differences = np.array(changed) - np.array(plain)
    return told(differences.mean(), differences.std() / len(plain) ** 0.5, len(plain))


@wrong("04.5", "for their mean")
def deviation_alone(plain, changed):
    differences = torch.tensor(changed) - torch.tensor(plain)
    return told(differences.mean().item(), differences.std().item(), len(plain))


@wrong("04.5", "not by n.")
def without_the_root(plain, changed):
    differences = torch.tensor(changed) - torch.tensor(plain)
    return told(differences.mean().item(), differences.std().item() / len(plain), len(plain))


@wrong("04.5", "few, take the quantile")
def normal_interval(plain, changed):
    mean, error, _ = by_hand(plain, changed)
    return mean, error, bool(abs(mean) > 1.96 * error)


@wrong("04.5", "beyond each")
def one_sided(plain, changed):
    mean, error, _ = by_hand(plain, changed)
    return told(mean.item(), error.item(), len(plain), quantile=0.95)


@wrong("04.5", "n - 1 are left")
def degrees_n(plain, changed):
    mean, error, _ = by_hand(plain, changed)
    return told(mean.item(), error.item(), len(plain), used=0)


@wrong("04.5", "The sign is")
def turned_around(plain, changed):
    return by_scipy(changed, plain)[0], by_scipy(plain, changed)[1], by_scipy(plain, changed)[2]


@wrong("04.5", "does harm")
def only_gains(plain, changed):
    mean, error, sure = by_hand(plain, changed)
    return mean, error, sure and mean.item() > 0


@right("04.6")
def by_folds(labels, scenes, val_fraction=0.2, seed=0):
    cut = StratifiedGroupKFold(10, shuffle=True, random_state=seed).split(labels, labels, scenes)
    folds = [fold for _, fold in cut]
    number = round(10 * val_fraction)
    return np.concatenate(folds[number:]), torch.tensor(np.concatenate(folds[:number]))


def sides(scenes, in_val):
    val = [index for index, scene in enumerate(scenes) if scene in in_val]
    return [index for index, scene in enumerate(scenes) if scene not in in_val], val


@right("04.6")
def class_by_class(labels, scenes, val_fraction=0.2, seed=0):
    """Scenes by their most frequent class, each class filled up to its share."""
    draw, in_val = np.random.default_rng(seed), set()
    shown = {scene: [] for scene in sorted(set(scenes))}
    for label, scene in zip(labels, scenes, strict=True):
        shown[scene].append(label)
    for label in sorted(set(labels)):
        wanted = val_fraction * labels.count(label)
        wanted -= sum(shown[scene].count(label) for scene in in_val)
        of_class = [scene for scene in shown if statistics.mode(shown[scene]) == label]
        for scene in draw.permutation(of_class).tolist():
            if shown[scene].count(label) <= wanted + 1:
                in_val.add(scene)
                wanted -= shown[scene].count(label)
    return sides(scenes, in_val)


@wrong("04.6", "You divide pictures")
def picture_by_picture(labels, scenes, val_fraction=0.2, seed=0):
    order = list(range(len(labels)))
    random.Random(seed).shuffle(order)
    number = round(val_fraction * len(labels))
    return order[number:], order[:number]


@wrong("04.6", "torn apart")
def one_class_after_the_other(labels, scenes, val_fraction=0.2, seed=0):
    draw, val = random.Random(seed), []
    for label in sorted(set(labels)):
        of_class = sorted({scene for scene, shows in zip(scenes, labels, strict=True) if shows == label})
        draw.shuffle(of_class)
        chosen = set(of_class[: round(val_fraction * len(of_class))])
        val += [i for i in range(len(labels)) if labels[i] == label and scenes[i] in chosen]
    return [i for i in range(len(labels)) if i not in val], val


@wrong("04.6", "scenes differ in size")
def counts_scenes(labels, scenes, val_fraction=0.2, seed=0):
    cut = GroupShuffleSplit(1, test_size=val_fraction, random_state=seed)
    return next(cut.split(labels, labels, scenes))


@wrong("04.6", "its classes do not")
def any_scene_until_it_is_full(labels, scenes, val_fraction=0.2, seed=0):
    order, in_val, number = sorted(set(scenes)), set(), 0
    random.Random(seed).shuffle(order)
    for scene in order:
        if number + scenes.count(scene) <= val_fraction * len(labels):
            in_val.add(scene)
            number += scenes.count(scene)
    return sides(scenes, in_val)


@wrong("04.6", "Training comes first")
def validation_first(labels, scenes, val_fraction=0.2, seed=0):
    return class_by_class(labels, scenes, val_fraction, seed)[::-1]


@wrong("04.6", "Draw from `random.Random(seed)`")
def another_each_time(labels, scenes, val_fraction=0.2, seed=0):
    return by_folds(labels, scenes, val_fraction, int(torch.randint(1000, ())))


@wrong("04.6", "What does the seed change")
def ignores_the_seed(labels, scenes, val_fraction=0.2, seed=0):
    return by_folds(labels, scenes, val_fraction, 0)


@wrong("04.6", "What is not for validation")
def drops_the_mixed(labels, scenes, val_fraction=0.2, seed=0):
    shown = {scene: set() for scene in scenes}
    for label, scene in zip(labels, scenes, strict=True):
        shown[scene].add(label)
    train, val = class_by_class(labels, scenes, val_fraction, seed)
    return [i for i in train if len(shown[scenes[i]]) == 1], val


@wrong("04.6", "is it used")
def ignores_the_fraction(labels, scenes, val_fraction=0.2, seed=0):
    return by_folds(labels, scenes, 0.1, seed)


@wrong("04.6", "Sort the scenes first")
def shuffles_a_set(labels, scenes, val_fraction=0.2, seed=0):
    order, in_val, taken = list(set(scenes)), set(), dict.fromkeys(labels, 0)
    random.Random(seed).shuffle(order)
    for scene in order:
        shown = [label for label, other in zip(labels, scenes, strict=True) if other == scene]
        fits = {c: taken[c] + shown.count(c) <= val_fraction * labels.count(c) + 1 for c in shown}
        if all(fits.values()):
            in_val.add(scene)
            taken |= {c: taken[c] + shown.count(c) for c in shown}
    return sides(scenes, in_val)


@wrong("04.6", "is not for training")
def trains_on_all(labels, scenes, val_fraction=0.2, seed=0):
    return range(len(labels)), class_by_class(labels, scenes, val_fraction, seed)[1]


@right("04.6")
def with_numpy(labels, scenes, val_fraction=0.2, seed=0):
    """Of many random choices of scenes, the one that comes closest."""
    draw, labels = np.random.default_rng(seed), np.array(labels)
    names, scene_of = np.unique(scenes, return_inverse=True)
    tries = []
    for _ in range(300):
        inside = (draw.random(len(names)) < val_fraction)[scene_of]
        off = max(abs(inside[labels == c].mean() - val_fraction) for c in np.unique(labels))
        tries.append((off, tuple(np.flatnonzero(inside))))
    val = min(tries)[1]
    return np.setdiff1d(np.arange(len(labels)), val), np.array(val)


@wrong("04.6", "positions in `labels`")
def names_of_scenes(labels, scenes, val_fraction=0.2, seed=0):
    train, val = class_by_class(labels, scenes, val_fraction, seed)
    return {scenes[index] for index in train}, {scenes[index] for index in val}


@wrong("04.6", "[True, True")
def masks(labels, scenes, val_fraction=0.2, seed=0):
    val = class_by_class(labels, scenes, val_fraction, seed)[1]
    return [index not in val for index in range(len(labels))], [index in val for index in range(len(labels))]
