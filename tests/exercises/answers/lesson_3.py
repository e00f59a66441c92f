"""Answers to the tasks of lesson 3."""

import copy
import math
import time
from pathlib import Path

import numpy as np
import torch
from exercise_answers import right, wrong
from PIL import Image, ImageOps
from sklearn.metrics import roc_curve
from torch import nn
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as V

# 03.1


@right("03.1")
def one_class_after_the_other(labels, num_classes):
    weights = torch.zeros(num_classes)
    for k in range(num_classes):
        weights[k] = 1 / ((labels == k).float().mean() * num_classes)
    return weights


@wrong("03.1", "the rarest must weigh most")
def shares(labels, num_classes):
    return torch.bincount(labels, minlength=num_classes) / len(labels)


@wrong("03.1", "not scaled yet")
def one_over_count(labels, num_classes):
    return 1 / torch.bincount(labels)


@wrong("03.1", "the number of classes, not 1")
def forgets_the_number_of_classes(labels, num_classes):
    return len(labels) / torch.bincount(labels)


@wrong("03.1", "The most common class has weight 1")
def commonest_is_one(labels, num_classes):
    counts = torch.bincount(labels)
    return counts.max() / counts


@wrong("03.1", "sum to 1 over the classes")
def sums_to_one(labels, num_classes):
    weights = 1 / torch.bincount(labels)
    return weights / weights.sum()


@wrong("03.1", "mean over the classes is 1")
def mean_over_classes(labels, num_classes):
    weights = 1 / torch.bincount(labels).float()
    return weights / weights.mean()


@wrong("03.1", "That is a list")
def gives_a_list(labels, num_classes):
    return [len(labels) / num_classes / count for count in torch.bincount(labels).tolist()]


@wrong("03.1", "`.float()`")
def in_double_precision(labels, num_classes):
    return one_class_after_the_other(labels, num_classes).double()


@wrong("03.1", "NumPy array")
def in_numpy(labels, num_classes):
    return len(labels) / (num_classes * np.bincount(labels.numpy()))


@wrong("03.1", "one weight for each image")
def for_each_image(labels, num_classes):
    return (len(labels) / (num_classes * torch.bincount(labels)))[labels]


# 03.2


@right("03.2")
def clips_by_hand(model, optimizer, images, labels, max_norm):
    model.zero_grad()
    return clears_too_late(model, optimizer, images, labels, max_norm)


@wrong("03.2", "clear before `backward()`")
def clears_too_late(model, optimizer, images, labels, max_norm):
    loss = nn.CrossEntropyLoss()(model(images), labels)
    loss.backward()
    length = math.sqrt(sum(p.grad.square().sum().item() for p in model.parameters()))
    if length > max_norm:
        for p in model.parameters():
            p.grad.mul_(max_norm / length)
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


@wrong("03.2", "makes a plain number of a tensor")
def returns_a_detached_tensor(*given):
    return torch.tensor(clips_by_hand(*given))


@wrong("03.2", "has no `eval()`")
def evaluates_in_a_step(model, *given):
    return clips_by_hand(model.eval(), *given)


def _stepper(*, clear=True, early=False, clip=None, late=False):
    def step(model, optimizer, images, labels, max_norm):
        if clear:
            optimizer.zero_grad()
        if early:
            nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        if clip:
            clip(model.parameters(), max_norm)
        optimizer.step()
        if late:
            nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        return loss.item()

    return step


@wrong("03.2", "`zero_grad()` is missing")
def never_clears(*given):
    return _stepper(clear=False, clip=nn.utils.clip_grad_norm_)(*given)


@wrong("03.2", "clip after `backward()` and before")
def clips_after_the_step(*given):
    return _stepper(late=True)(*given)


@wrong("03.2", "each number alone")
def clips_values(*given):
    return _stepper(clip=nn.utils.clip_grad_value_)(*given)


@wrong("03.2", "clipped for itself")
def clips_each_parameter(*given):
    return _stepper(clip=lambda ps, norm: [nn.utils.clip_grad_norm_(p, norm) for p in ps])(*given)


@wrong("03.2", "stretched to that length")
def always_scales(model, optimizer, images, labels, max_norm):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    length = torch.cat([p.grad.flatten() for p in model.parameters()]).norm()
    for p in model.parameters():
        p.grad *= max_norm / length
    optimizer.step()
    return loss.item()


@wrong("03.2", "applies softmax itself")
def softmax_first(model, optimizer, images, labels, max_norm):
    optimizer.zero_grad()
    loss = F.cross_entropy(torch.softmax(model(images), dim=1), labels)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return loss.item()


@wrong("03.2", "the sum over the batch")
def sums_the_loss(model, optimizer, images, labels, max_norm):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(images), labels, reduction="sum")
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return loss.item()


@wrong("03.2", "the loss after the step")
def measures_again(model, optimizer, images, labels, max_norm):
    _stepper(clip=nn.utils.clip_grad_norm_)(model, optimizer, images, labels, max_norm)
    return F.cross_entropy(model(images), labels).item()


@wrong("03.2", "Is `optimizer.step()`")
def forgets_to_step(model, optimizer, images, labels, max_norm):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    return loss.item()


@wrong("03.2", "cleared between")
def clears_before_the_step(model, optimizer, images, labels, max_norm):
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.zero_grad()
    optimizer.step()
    return loss.item()


@wrong("03.2", "kept fill the memory")
def returns_the_graph(model, optimizer, images, labels, max_norm):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return loss


@wrong("03.2", "end with `return`")
def returns_nothing(model, optimizer, images, labels, max_norm):
    print(_stepper(clip=nn.utils.clip_grad_norm_)(model, optimizer, images, labels, max_norm))


# 03.3


@right("03.3")
@torch.inference_mode()
def all_logits_first(model, batches):
    modes = {module: module.training for module in model.modules()}
    model.eval()
    logits, labels = (torch.cat(some) for some in zip(*[(model(x), y) for x, y in batches], strict=True))
    for module, mode in modes.items():
        module.training = mode
    return [F.cross_entropy(logits, labels), (logits.argmax(1) == labels).float().mean()]


def _judged(model, batches, *, means_of="", scale=1):
    """The loop that most people write, with a mistake in its sums."""
    loss = accuracy = seen = 0
    with torch.no_grad():
        for images, labels in batches:
            logits = model(images)
            right = (logits.argmax(dim=1) == labels).float()
            loss += F.cross_entropy(logits, labels) * (1 if "loss" in means_of else len(labels))
            accuracy += right.mean() if "accuracy" in means_of else right.sum()
            seen += len(labels)
    loss /= len(batches) if "loss" in means_of else seen
    accuracy /= len(batches) if "accuracy" in means_of else seen
    return loss.item(), scale * accuracy.item()


def _in_eval(model, batches, **mistake):
    before = model.training
    model.eval()
    found = _judged(model, batches, **mistake)
    model.train(before)
    return found


@wrong("03.3", "in both numbers")
def mean_of_means(model, batches):
    return _in_eval(model, batches, means_of="loss and accuracy")


@wrong("03.3", "weigh the loss of each")
def mean_of_losses(model, batches):
    return _in_eval(model, batches, means_of="loss")


@wrong("03.3", "count the right answers")
def mean_of_accuracies(model, batches):
    return _in_eval(model, batches, means_of="accuracy")


@wrong("03.3", "not in percent")
def percent(model, batches):
    return _in_eval(model, batches, scale=100)


@wrong("03.3", "The loss comes first")
def exchanged(model, batches):
    return _in_eval(model, batches)[::-1]


@wrong("03.3", "sum up `loss * len(labels)`")
def means_over_images(model, batches):
    loss, accuracy = _in_eval(model, batches, means_of="loss")
    return loss * len(batches) / sum(len(labels) for _, labels in batches), accuracy


@wrong("03.3", "divided by the number of batches")
def sum_over_batches(model, batches):
    loss, accuracy = _in_eval(model, batches)
    return loss * sum(len(labels) for _, labels in batches) / len(batches), accuracy


@wrong("03.3", "applies softmax itself")
def softmax_before_the_loss(model, batches):
    before = model.training
    found = _judged(nn.Sequential(model, nn.Softmax(dim=1)).eval(), batches)
    model.train(before)
    return found


@wrong("03.3", "call `model.eval()` before")
def forgets_eval(model, batches):
    return _judged(model, batches)


@wrong("03.3", "`eval()` changes layers only")
def forgets_no_grad(model, batches):
    before = model.training
    model.eval()
    pairs = [(model(images), labels) for images, labels in batches]
    logits, labels = (torch.cat(some) for some in zip(*pairs, strict=True))
    model.train(before)
    return F.cross_entropy(logits, labels).item(), (logits.argmax(dim=1) == labels).float().mean().item()


@wrong("03.3", "stays in evaluation mode")
def leaves_eval(model, batches):
    model.eval()
    return _judged(model, batches)


@wrong("03.3", "at the end is a guess")
def always_trains_at_the_end(model, batches):
    model.eval()
    found = _judged(model, batches)
    model.train()
    return found


@wrong("03.3", "ends a `no_grad` by itself")
def switches_gradients_off(model, batches):
    torch.set_grad_enabled(False)
    return _in_eval(model, batches)


# 03.4


@right("03.4")
def sums_then_divides(model, images, labels, piece_size):
    for p in model.parameters():
        p.grad = None
    total = 0
    for start in range(0, len(images), piece_size):
        part = slice(start, start + piece_size)
        loss = F.cross_entropy(model(images[part]), labels[part], reduction="sum")
        loss.backward()
        total += loss.item()
    for p in model.parameters():
        p.grad /= len(images)
    return total / len(images)


def _accumulated(model, images, labels, size, *, factor, clear="before", loss_of=F.cross_entropy, drop=False):
    """Pieces, with a mistake in what a piece counts; the loss is right where that does not tell."""
    if clear == "before":
        model.zero_grad()
    total = 0.0
    pieces = list(zip(images.split(size), labels.split(size), strict=True))
    for some, their in pieces[: len(images) // size] if drop else pieces:
        if clear == "each":
            model.zero_grad()
        loss = loss_of(model(some), their)
        (loss * factor(len(some), len(images), len(pieces))).backward()
        total += loss.item() * len(some) / len(images)
    return total


def _share(piece, whole, number):
    return piece / whole


@wrong("03.4", "makes a plain number of a tensor")
def returns_a_tensor(*given):
    return torch.tensor(sums_then_divides(*given))


@wrong("03.4", "earlier batch is still")
def keeps_old_gradients(*given):
    return _accumulated(*given, factor=_share, clear="never")


@wrong("03.4", "not inside it")
def clears_for_each_piece(*given):
    return _accumulated(*given, factor=_share, clear="each")


@wrong("03.4", "and unscaled")
def clears_for_each_piece_unscaled(*given):
    return _accumulated(*given, factor=lambda *_: 1, clear="each")


@wrong("03.4", "were left out")
def drops_the_rest(*given):
    return _accumulated(*given, factor=_share, drop=True)


@wrong("03.4", "`backward()` adds")
def adds_means(*given):
    return _accumulated(*given, factor=lambda *_: 1)


@wrong("03.4", "not by the number of pieces")
def divides_by_the_number_of_pieces(*given):
    return _accumulated(*given, factor=lambda piece, whole, number: 1 / number)


@wrong("03.4", "divided by the piece's length already")
def divides_by_the_piece_size(model, images, labels, piece_size):
    return _accumulated(model, images, labels, piece_size, factor=lambda *_: 1 / piece_size)


@wrong("03.4", "gradient of a sum")
def adds_sums(*given):
    return _accumulated(*given, factor=lambda piece, *_: piece)


@wrong("03.4", "applies softmax itself")
def softmax_in_pieces(*given):
    return _accumulated(*given, factor=_share, loss_of=lambda z, y: F.cross_entropy(z.softmax(1), y))


@wrong("03.4", "Losses that wait")
def one_backward_for_all(model, images, labels, piece_size):
    model.zero_grad()
    pieces = zip(images.split(piece_size), labels.split(piece_size), strict=True)
    loss = sum(F.cross_entropy(model(x), y, reduction="sum") for x, y in pieces) / len(images)
    loss.backward()
    return loss.item()


@wrong("03.4", "cuts a batch")
def whole_batch(model, images, labels, piece_size):
    return _accumulated(model, images, labels, len(images), factor=_share)


@wrong("03.4", "no step")
def steps_too(model, *given):
    total = _accumulated(model, *given, factor=_share)
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    return total


@wrong("03.4", "cleared after the last")
def clears_at_the_end(model, *given):
    total = _accumulated(model, *given, factor=_share)
    model.zero_grad()
    return total


@wrong("03.4", "that of the last piece")
def loss_of_the_last(model, images, labels, piece_size):
    _accumulated(model, images, labels, piece_size, factor=_share)
    with torch.no_grad():
        return F.cross_entropy(model(images.split(piece_size)[-1]), labels.split(piece_size)[-1]).item()


@wrong("03.4", "in the loss, too")
def mean_of_the_pieces_losses(model, images, labels, piece_size):
    _accumulated(model, images, labels, piece_size, factor=_share)
    with torch.no_grad():
        pieces = zip(images.split(piece_size), labels.split(piece_size), strict=True)
        return torch.stack([F.cross_entropy(model(x), y) for x, y in pieces]).mean().item()


@wrong("03.4", "added up without scaling")
def sum_of_the_pieces_losses(model, images, labels, piece_size):
    _accumulated(model, images, labels, piece_size, factor=_share)
    with torch.no_grad():
        pieces = zip(images.split(piece_size), labels.split(piece_size), strict=True)
        return sum(F.cross_entropy(model(x), y).item() for x, y in pieces)


# 03.5


def _cut(scores, labels, sensitivity):
    sick = scores[labels == 1].sort(descending=True).values
    return sick[math.ceil(sensitivity * len(sick)) - 1].item()


@right("03.5")
def kth_of_the_sorted(val_scores, val_labels, test_scores, test_labels, sensitivity):
    cut = _cut(val_scores, val_labels, sensitivity)
    called = test_scores >= cut
    negatives = (~called & (test_labels == 0)).sum()
    return torch.tensor(cut), negatives / (test_labels == 0).sum()


@wrong("03.5", "let validation do it")
def chooses_on_test(vs, vy, ts, ty, sensitivity):
    return kth_of_the_sorted(ts, ty, ts, ty, sensitivity)


@wrong("03.5", "specificity on validation")
def reports_validation(vs, vy, ts, ty, sensitivity):
    return kth_of_the_sorted(vs, vy, vs, vy, sensitivity)


@wrong("03.5", "sensitivity on test")
def reports_sensitivity(vs, vy, ts, ty, sensitivity):
    cut = _cut(vs, vy, sensitivity)
    return cut, (ts[ty == 1] >= cut).float().mean()


@wrong("03.5", "healthy who are predicted sick")
def reports_false_alarms(vs, vy, ts, ty, sensitivity):
    cut = _cut(vs, vy, sensitivity)
    return cut, (ts[ty == 0] >= cut).float().mean()


@wrong("03.5", "Exactly the fraction")
def more_than_asked(vs, vy, ts, ty, sensitivity):
    return kth_of_the_sorted(vs, vy, ts, ty, sensitivity + 1e-4)


@wrong("03.5", "means ill")
def greater_only(vs, vy, ts, ty, sensitivity):
    cut = _cut(vs, vy, sensitivity)
    return cut, 1 - (ts[ty == 0] > cut).float().mean()


@wrong("03.5", "One patient too far")
def place_without_minus_one(vs, vy, ts, ty, sensitivity):
    sick = vs[vy == 1].sort(descending=True).values
    cut = sick[math.ceil(sensitivity * len(sick))]
    return cut, (ts[ty == 0] < cut).float().mean()


@wrong("03.5", "round up")
def rounds_down(vs, vy, ts, ty, sensitivity):
    sick = vs[vy == 1].sort(descending=True).values
    cut = sick[int(sensitivity * len(sick)) - 1]
    return cut, (ts[ty == 0] < cut).float().mean()


@wrong("03.5", "Count with five")
def lower_quantile(vs, vy, ts, ty, sensitivity):
    cut = vs[vy == 1].quantile(1 - sensitivity, interpolation="lower")
    return cut, (ts[ty == 0] < cut).float().mean()


@right("03.5")
def by_a_roc_curve(vs, vy, ts, ty, sensitivity):
    _, found, cuts = roc_curve(vy.numpy(), vs.numpy(), drop_intermediate=False)
    cut = cuts[np.argmax(found >= sensitivity)]
    return float(cut), float(((ts < cut) & (ty == 0)).sum() / (ty == 0).sum())


@wrong("03.5", "A higher threshold")
def first_that_fits(vs, vy, ts, ty, sensitivity):
    for cut in vs.sort().values:
        if (vs[vy == 1] >= cut).float().mean() >= sensitivity:
            return cut, (ts[ty == 0] < cut).float().mean()


@wrong("03.5", "interpolates between two")
def quantile_of_the_sick(vs, vy, ts, ty, sensitivity):
    cut = vs[vy == 1].quantile(1 - sensitivity)
    return cut, (ts[ty == 0] < cut).float().mean()


@wrong("03.5", "not of all patients")
def quantile_of_all(vs, vy, ts, ty, sensitivity):
    cut = vs.quantile(1 - sensitivity)
    return cut, (ts[ty == 0] < cut).float().mean()


@wrong("03.5", "0.5 finds whom it finds")
def one_half(vs, vy, ts, ty, sensitivity):
    return 0.5, (ts[ty == 0] < 0.5).float().mean()


# 03.6


class Stopping:
    """A right answer; the wrong ones below change one method of it."""

    def __init__(self, patience):
        self.patience, self.losses, self.best = patience, [], None

    def better(self, loss):
        return not self.losses or loss < min(self.losses)

    def stop(self, loss, model):
        if self.better(loss):
            self.keep(model)
        self.losses.append(loss)
        return len(self.losses) - 1 - self.losses.index(min(self.losses)) >= self.patience

    def keep(self, model):
        self.best = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    def restore(self, model):
        model.load_state_dict(self.best)


@right("03.6")
class KeepsAList(Stopping):
    pass


@right("03.6")
class WhatNeedNotReturnFalse(Stopping):
    def stop(self, loss, model):
        if super().stop(loss, model):
            return True


@wrong("03.6", "One epoch too early")
class CountsTheBest(Stopping):
    def __init__(self, patience):
        super().__init__(patience - 1)


@wrong("03.6", "One epoch too late")
class WaitsLonger(Stopping):
    def __init__(self, patience):
        super().__init__(patience + 1)


@wrong("03.6", "however large")
class BeginsWithZero(Stopping):
    def better(self, loss):
        return loss < 0


@wrong("03.6", "load that into the model")
class RebindsTheModel(Stopping):
    def keep(self, model):
        self.best = copy.deepcopy(model)

    def restore(self, model):
        model = self.best  # noqa: F841  # that is the mistake


@wrong("03.6", "count of waiting epochs back")
class NeverResets(Stopping):
    waited = 0

    def stop(self, loss, model):
        self.waited += not self.better(loss)
        super().stop(loss, model)
        return self.waited >= self.patience


@wrong("03.6", "equal to the best")
class CountsEqual(Stopping):
    def __init__(self, patience):
        super().__init__(patience)
        self.lowest, self.waited = math.inf, 0

    def stop(self, loss, model):
        self.waited += 1
        if loss <= self.lowest:
            self.lowest, self.waited = loss, 0
            self.keep(model)
        return self.waited >= self.patience


@wrong("03.6", "not with the last one")
class AgainstTheLast(Stopping):
    def __init__(self, patience):
        super().__init__(patience)
        self.last, self.waited = math.inf, 0

    def stop(self, loss, model):
        self.waited = 0 if loss < self.last else self.waited + 1
        if loss < self.last:
            self.keep(model)
        self.last = loss
        return self.waited >= self.patience


@wrong("03.6", "never says stop")
class ReturnsNothing(Stopping):
    def stop(self, loss, model):
        super().stop(loss, model)


@wrong("03.6", "copy the state at each best")
class KeepsTheLivingState(Stopping):
    def keep(self, model):
        self.best = model.state_dict()


@wrong("03.6", "averages were not kept")
class KeepsParametersOnly(Stopping):
    def keep(self, model):
        self.best = copy.deepcopy(list(model.parameters()))

    def restore(self, model):
        for mine, best in zip(model.parameters(), self.best, strict=True):
            mine.data.copy_(best)


# 03.7


class Folder:
    """A right answer with torchvision; the wrong ones change a part of it."""

    def __init__(self, root, *, size, channels=1):
        root = Path(root)
        self.classes = self.order(f.name for f in root.glob("[!.]*") if f.is_dir())
        found = [(path, k) for k, name in enumerate(self.classes) for path in self.listed(root / name)]
        self.paths, self.labels, self.size, self.channels = [p for p, _ in found], [k for _, k in found], size, channels

    order = staticmethod(sorted)

    def listed(self, folder):
        return sorted(folder.glob("[!.]*"))

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        try:
            return self.image(self.paths[index]), self.labels[index]
        except Exception as error:
            raise RuntimeError(f"broken: {self.paths[index].name}") from error

    def image(self, path):
        return V.resize(self.read(path), [self.size, self.size], antialias=True).expand(self.channels, -1, -1)

    def read(self, path):
        """float (1 or channels, height, width)."""
        with Image.open(path) as opened:
            usual = opened if opened.mode == "I;16" else opened.convert("L" if self.channels == 1 else "RGB")
            return V.to_dtype(V.to_image(usual), torch.float32, scale=True)

    def pillow(self, path):
        """As most people read a file."""
        with Image.open(path) as opened:
            return opened.convert("L" if self.channels == 1 else "RGB").resize((self.size, self.size))


@right("03.7")
class ByTorchvision(Folder):
    pass


@right("03.7")
class ByPillow(Folder):
    def image(self, path):
        opened = Image.open(path)
        if opened.mode == "I;16":
            opened = Image.fromarray((np.asarray(opened) // 256).astype("uint8"))
        small = opened.convert("L" if self.channels == 1 else "RGB").resize((self.size, self.size))
        return torch.tensor(np.array(small) / 255).float().view(self.size, self.size, -1).movedim(2, 0)


def _tensor(picture):
    return torch.from_numpy(np.atleast_3d(np.array(picture, dtype=np.float32)) / 255).permute(2, 0, 1)


@wrong("03.7", "All is white")
class ConvertsSixteenBits(Folder):
    def image(self, path):
        return _tensor(self.pillow(path))


@wrong("03.7", "16 bits end at 65535")
class DividesSixteenBitsBy255(Folder):
    def image(self, path):
        with Image.open(path) as opened:
            gray = opened.mode == "I;16"
            small = opened.convert("F" if gray else "L" if self.channels == 1 else "RGB").resize((self.size, self.size))
        return _tensor(small).expand(self.channels, -1, -1)


@wrong("03.7", "8 bits end at 255")
class KeepsBytes(Folder):
    def image(self, path):
        return super().image(path) * 255


@wrong("03.7", "255, not 256")
class DividesBy256(Folder):
    def image(self, path):
        return super().image(path) * 255 / 256


@wrong("03.7", "the defaults in the page's first line")
class ColorUnlessTold(Folder):
    def __init__(self, root, *, size, channels=3):
        super().__init__(root, size=size, channels=channels)


@wrong("03.7", "several errors")
class KnowsOneError(Folder):
    def __getitem__(self, index):
        try:
            return self.image(self.paths[index]), self.labels[index]
        except OSError as error:
            raise ValueError(f"broken: {self.paths[index].name}") from error


@wrong("03.7", "own maximum")
class DividesByTheMaximum(Folder):
    def image(self, path):
        image = super().image(path)
        return image / image.max()


@wrong("03.7", "torch.float32")
class KeepsDoubles(Folder):
    def image(self, path):
        return super().image(path).double()


@wrong("03.7", "is its opacity")
class KeepsOpacity(Folder):
    def image(self, path):
        with Image.open(path) as opened:
            small = opened.resize((self.size, self.size))
        return _tensor(small).expand(-1 if small.mode.startswith("RGB") else 3, -1, -1)


@wrong("03.7", "three equal channels")
class KeepsOneChannel(Folder):
    def image(self, path):
        image = super().image(path)
        return image[:1] if torch.equal(image[0], image[-1]) else image


@wrong("03.7", "must become one channel")
class AlwaysColor(Folder):
    def image(self, path):
        image = super().image(path)
        return image.expand(3, -1, -1) if self.channels == 1 else image


@wrong("03.7", "permute(2, 0, 1)")
class ChannelsLast(Folder):
    def image(self, path):
        return super().image(path).permute(1, 2, 0)


@wrong("03.7", "Red and blue")
class ReadsBGR(Folder):
    def image(self, path):
        return super().image(path).flip(0)


@wrong("03.7", "move no axis")
class Reshapes(Folder):
    def image(self, path):
        return super().image(path).permute(1, 2, 0).reshape(self.channels, self.size, self.size)


@wrong("03.7", "Rows and columns")
class Transposes(Folder):
    def image(self, path):
        return super().image(path).mT


@wrong("03.7", "weighs green most")
class MeanOfColors(Folder):
    def read(self, path):
        with Image.open(path) as opened:
            usual = opened if opened.mode in ("I;16", "L") else opened.convert("RGB")
            image = V.to_dtype(V.to_image(usual), torch.float32, scale=True)
        return image.mean(dim=0, keepdim=True) if self.channels == 1 else image


@wrong("03.7", "do not crop it")
class Crops(Folder):
    def image(self, path):
        cropped = V.center_crop(V.resize(self.read(path), [self.size]), [self.size, self.size])
        return cropped.expand(self.channels, -1, -1)


@wrong("03.7", "do not pad it")
class Pads(Folder):
    def image(self, path):
        with Image.open(path) as opened:
            return _tensor(ImageOps.pad(opened.convert("RGB"), (self.size, self.size)))


@wrong("03.7", "whatever its own")
class OneNumberForTheSize(Folder):
    def image(self, path):
        return V.resize(self.read(path), [self.size]).expand(self.channels, -1, -1)


@wrong("03.7", "Use `torch.from_numpy`")
class ReturnsPictures(Folder):
    def image(self, path):
        return self.pillow(path)


@wrong("03.7", "begins with a dot")
class TakesHiddenFiles(Folder):
    def listed(self, folder):
        return sorted(folder.iterdir())


@wrong("03.7", "take all files")
class OnlyLowerPng(Folder):
    def listed(self, folder):
        return sorted(folder.glob("*.png"))


@wrong("03.7", "sort a class's files")
class UnsortedFiles(Folder):
    def listed(self, folder):
        return super().listed(folder)[::-1]


@wrong("03.7", "order of the disk")
class UnsortedClasses(Folder):
    @staticmethod
    def order(names):
        return sorted(names, key=lambda name: name[::-1])  # as good as any order that a disk may have


@wrong("03.7", "is_dir()")
class FilesAreClasses(Folder):
    def __init__(self, root, *, size, channels=1):
        super().__init__(root, size=size, channels=channels)
        self.classes = sorted(path.name for path in root.glob("[!.]*"))


@wrong("03.7", "not the name")
class NamesForLabels(Folder):
    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        return image, self.classes[label]


@wrong("03.7", "Read a file in `__getitem__`")
class ReadsAllAtOnce(Folder):
    def __init__(self, root, *, size, channels=1):
        super().__init__(root, size=size, channels=channels)
        self.images = [self.image(path) for path in self.paths]

    def __getitem__(self, index):
        return self.images[index], self.labels[index]


@wrong("03.7", "Catch it where")
class NamesNoFile(Folder):
    def __getitem__(self, index):
        return self.image(self.paths[index]), self.labels[index]


@wrong("03.7", "must not pass")
class ZerosForBroken(Folder):
    def __getitem__(self, index):
        try:
            return super().__getitem__(index)
        except RuntimeError:
            return torch.zeros(self.channels, self.size, self.size), self.labels[index]


# 03.8


def seconds_of(parts, steps):
    seconds = dict.fromkeys(parts, 0.0)
    for _ in range(steps):
        for name, part in parts.items():
            started = time.perf_counter()
            part()
            seconds[name] += time.perf_counter() - started
    return seconds


@right("03.8")
def by_a_stopwatch(parts, steps):
    seconds = seconds_of(parts, steps)
    return {name: spent / sum(seconds.values()) for name, spent in seconds.items()}


@wrong("03.8", "divide by the sum of all parts")
def gives_seconds(parts, steps):
    return seconds_of(parts, steps)


@wrong("03.8", "leave out the factor of 100")
def gives_percent(parts, steps):
    return {name: 100 * fraction for name, fraction in by_a_stopwatch(parts, steps).items()}


@wrong("03.8", "Repeat the whole step")
def takes_one_step(parts, steps):
    return by_a_stopwatch(parts, 1)


@wrong("03.8", "the outer one")
def one_part_after_the_other(parts, steps):
    seconds = {name: seconds_of({name: part}, steps)[name] for name, part in parts.items()}
    return {name: spent / sum(seconds.values()) for name, spent in seconds.items()}


@wrong("03.8", "Do all steps count")
def keeps_the_last_step(parts, steps):
    for _ in range(steps):
        table = by_a_stopwatch(parts, 1)
    return table


@wrong("03.8", "booked on the next one")
def books_on_the_next(parts, steps):
    names, found = list(parts), by_a_stopwatch(parts, steps)
    return {name: found[names[place - 1]] for place, name in enumerate(names)}


@wrong("03.8", "around its call")
def measures_nothing(parts, steps):
    by_a_stopwatch(parts, steps)
    return dict.fromkeys(parts, 1 / len(parts)) | {"backward": 1 / len(parts) + 1e-6}


@wrong("03.8", "a fraction per name")
def gives_a_list_of_fractions(parts, steps):
    return list(by_a_stopwatch(parts, steps).values())
