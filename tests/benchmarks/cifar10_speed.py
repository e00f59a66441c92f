"""Where does the time of a training step on CIFAR-10 go, and how near is it to what the processor can do?

Prints, on random images: images a second of `fit`; the multiply-adds of its network as a share of what convolutions and
matrix products alone reach here in the same number format; the parts of a step; and batches made in memory against
torchvision's `DataLoader` with two workers and the same augmentation.

    python tests/benchmarks/cifar10_speed.py [ROUNDS]
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterable

import torch
from PIL import Image
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from course_lib.data import Batches, ImageSet, PhotoAugmentation
from course_lib.runs import Recipe
from course_lib.runtime import Precision, keep_freed_memory, pick_device
from course_lib.training import fit

NUM_IMAGES = 5000
PARTS = {  # what torch calls the work of a step
    "convolutions": ("convolution", "mkldnn_convolution", "cudnn"),
    "batch norm": ("batch_norm",),
    "activations": ("silu", "gelu", "relu"),
    "pooling": ("max_pool", "amax"),
    "augmentation and batches": ("gather", "index", "randperm", "where"),
    "optimizer": ("aten::mm", "lerp", "_fused_adamw", "linalg_vector_norm", "aten::norm"),
    "copies and casts": ("copy_", "fill_", "zero_"),
}


def median_seconds(work: Callable[[], object], rounds: int) -> float:
    work()
    found = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return statistics.median(found)


def random_photos() -> ImageSet:
    images = torch.randint(0, 256, (NUM_IMAGES, 3, 32, 32), dtype=torch.uint8)
    names = tuple(map(str, range(NUM_IMAGES)))
    return ImageSet(images, torch.arange(NUM_IMAGES) % 10, tuple("0123456789"), names, "random", "none")


def convolutions_alone(model: nn.Module, batch_size: int, precision: Precision, rounds: int) -> tuple[float, float]:
    """Multiply-adds and seconds of all convolutions, forward and backward, for one batch, each by itself."""
    inputs: list[tuple[nn.Conv2d, Tensor]] = []
    hooks = [
        module.register_forward_pre_hook(lambda module, given: inputs.append((module, given[0])))
        for module in model.modules()
        if isinstance(module, nn.Conv2d)
    ]
    with torch.no_grad():
        model(torch.rand(batch_size, 3, 32, 32))
    for hook in hooks:
        hook.remove()
    multiply_adds, seconds = 0.0, 0.0
    for number, (conv, images) in enumerate(inputs):
        images = images.to(dtype=precision.dtype, memory_format=torch.channels_last).requires_grad_(number > 0)
        alone = nn.Conv2d(conv.in_channels, conv.out_channels, 3, padding=1, bias=False)
        alone = alone.to(dtype=precision.dtype, memory_format=torch.channels_last)
        gradient = torch.ones_like(alone(images))
        passes = 3 if number > 0 else 2  # forward, to the weights, and to the images but for the first layer
        multiply_adds += passes * gradient.numel() * conv.in_channels * 9
        seconds += median_seconds(lambda: alone(images).backward(gradient), rounds)  # noqa: B023  # called at once
    return multiply_adds, seconds


def matrix_rate(precision: Precision, rounds: int) -> float:
    """Multiply-adds a second of one large matrix product."""
    left, right = (torch.rand(4096, 1024, dtype=precision.dtype), torch.rand(1024, 1024, dtype=precision.dtype))
    return left.numel() * 1024 / median_seconds(lambda: left @ right, 5 * rounds)


def parts_of_a_step(train: Callable[[], object]) -> dict[str, float]:
    """Share of the processor's time in each part."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        train()
    shares = dict.fromkeys([*PARTS, "everything else"], 0.0)
    for event in profiled.key_averages():
        part = next((part for part, names in PARTS.items() if any(name in event.key for name in names)), None)
        shares[part or "everything else"] += event.self_cpu_time_total
    return {part: share / sum(shares.values()) for part, share in shares.items()}


class Photos(Dataset[tuple[Tensor, int]]):
    """As torchvision's CIFAR10: one image at a time, as a PIL image, through transforms."""

    def __init__(self, images: ImageSet) -> None:
        self.pixels = images.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4, padding_mode="reflect"),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), 0


def images_a_second(batches: Iterable[object], rounds: int) -> float:
    return NUM_IMAGES / median_seconds(lambda: [None for _ in batches], rounds)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    keep_freed_memory()
    device, photos = pick_device("cpu"), random_photos()
    recipe = Recipe.for_task("cifar10", preset="fast", epochs=1)
    best = Precision.best(device)
    network = f"{recipe.network} {recipe.network_arguments}"
    print(f"{network}, batches of {recipe.batch_size}, {torch.get_num_threads()} threads")
    for dtype in dict.fromkeys([best.dtype, None]):
        precision, formatted = Precision("cpu", dtype), Precision("cpu", dtype or torch.float32)
        model = recipe.build(10)
        batches = Batches(photos, recipe.batch_size, shuffle=True, augment=recipe.augment())
        val = Batches(photos.subset([0]), 1)

        def train(model=model, batches=batches, val=val, precision=precision) -> None:
            fit(model, batches, val, epochs=1, precision=precision, **recipe.training_arguments())

        seconds = median_seconds(train, rounds) / NUM_IMAGES  # of each image
        multiply_adds, alone = (
            of / recipe.batch_size for of in convolutions_alone(model, recipe.batch_size, formatted, rounds)
        )
        rate = matrix_rate(formatted, rounds)
        million = multiply_adds / 1e6
        print(f"\n{precision.name}: fit {1 / seconds:,.0f} images/s; {million:.0f} million multiply-adds an image")
        for name, bound in (("a matrix product", multiply_adds / rate), ("its convolutions", alone)):
            print(
                f"  at the rate of {name}, {multiply_adds / bound / 1e9:,.0f} billion multiply-adds/s, it would be "
                f"{1 / bound:,.0f} images/s; fit reaches {bound / seconds:.0%} of that"
            )
        for part, share in parts_of_a_step(train).items():
            print(f"  {part:26} {share:5.1%} of the step")

    augment = PhotoAugmentation(shift=4)
    memory = images_a_second(Batches(photos, 256, shuffle=True, augment=augment), rounds)
    workers = {"num_workers": 2, "persistent_workers": True, "multiprocessing_context": "fork"}
    loader = images_a_second(DataLoader(Photos(photos), batch_size=256, shuffle=True, **workers), rounds)
    print(
        f"\nbatches of 256, cropped and flipped: in memory {memory:,.0f} images/s, DataLoader with 2 workers "
        f"{loader:,.0f} images/s, {memory / loader:.1f} times"
    )


if __name__ == "__main__":
    main()
