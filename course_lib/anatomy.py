"""What a layer does to a shape, worked out by formula and traced through a network."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.runtime import evaluation_mode
from course_lib.tables import Table


def conv_output_size(size: int, kernel: int, *, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Pixels along one side after a convolution or pooling layer.

    All arguments are in pixels; padding is added on both sides.

    Raises:
        ValueError: the kernel does not fit into the padded input, or an argument makes no sense.

    Source: PyTorch documentation, `torch.nn.Conv2d`, "Shape".

    >>> conv_output_size(224, 7, stride=2, padding=3)
    112
    """
    if min(size, kernel, stride, dilation) < 1 or padding < 0:
        raise ValueError(
            f"size={size}, kernel={kernel}, stride={stride}, dilation={dilation} must be at least 1 and "
            f"padding={padding} at least 0; correct the one that is not."
        )
    padded = size + 2 * padding
    reach = dilation * (kernel - 1) + 1
    if reach > padded:
        raise ValueError(
            f"kernel={kernel} with dilation={dilation} covers {reach} pixels, but the padded input is only {padded} "
            "wide; increase padding or use a smaller kernel."
        )
    return (padded - reach) // stride + 1


class ReceptiveField(NamedTuple):
    """What one output pixel sees of the input, along one side, in input pixels."""

    size: int
    stride: int
    """How far apart neighboring output pixels look."""


def receptive_field(*layers: nn.Module) -> ReceptiveField:
    """Receptive field of a chain of layers, such as the children of an `nn.Sequential`.

    Raises:
        ValueError: a layer whose reach is not known, or one that looks further along one side than along the other.

    Source: Dumoulin and Visin 2016, "A guide to convolution arithmetic for deep learning".

    >>> receptive_field(nn.Conv2d(1, 8, 3), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3))
    ReceptiveField(size=8, stride=2)
    """
    size, step = 1, 1
    for layer in layers:
        if isinstance(layer, nn.Sequential):
            inner = receptive_field(*layer)
            size, step = size + (inner.size - 1) * step, step * inner.stride
        elif isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            kernel = _one_side(layer, "kernel_size")
            dilation = _one_side(layer, "dilation") if hasattr(layer, "dilation") else 1
            size += dilation * (kernel - 1) * step
            step *= _one_side(layer, "stride")
        elif not isinstance(layer, _POINTWISE):
            raise ValueError(
                f"the reach of a {type(layer).__name__} is not known; give the convolution, pooling and pointwise "
                "layers before it."
            )
    return ReceptiveField(size, step)


_POINTWISE = (nn.ReLU, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.BatchNorm2d, nn.Dropout, nn.Dropout2d, nn.Identity)


def _one_side(layer: nn.Module, attribute: str) -> int:
    value = getattr(layer, attribute)
    height, width = value if isinstance(value, tuple) else (value, value)
    if height != width:
        raise ValueError(f"{layer} has {attribute}={value}; receptive_field needs the same along both sides.")
    return int(height)


class LayerTrace(NamedTuple):
    """One layer of a network as an input passed through it."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class ShapeTrace:
    """Every layer in the order in which it ran; as text, and on a page, a table.

    `multiply_adds` counts those of convolutions and dense layers, which are nearly all, without the biases. Each
    is 2 of the floating-point operations that `course_lib.flops` counts for whole steps, backward pass included.
    """

    input_shape: tuple[int, ...]
    layers: tuple[LayerTrace, ...]

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        return sum(layer.multiply_adds for layer in self.layers)

    def table(self) -> Table:
        """A row for each layer, and one for all of them."""
        counted = [
            *(
                (f"{layer.name}: {layer.kind}", layer.output_shape, layer.parameters, layer.multiply_adds)
                for layer in self.layers
            ),
            ("total", (), self.parameters, self.multiply_adds),
        ]
        rows = [(name, str(shape or ""), f"{parameters:,}", f"{adds:,}") for name, shape, parameters, adds in counted]
        columns = ("layer", "output shape", "parameters", "multiply-adds")
        return Table(f"Layer by layer, for an input of {self.input_shape}", columns, rows)

    def __str__(self) -> str:
        return str(self.table())

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return self.table()._repr_mimebundle_()


def trace_shapes(model: nn.Module, input_shape: Sequence[int]) -> ShapeTrace:
    """Pass zeros through `model` and note each layer's output shape, parameters and multiply-adds.

    Layers are the modules without children, and those that hold parameters of their own. A layer that runs twice is
    listed twice, its parameters once; one whose parameters others use is listed last, without a shape. The mode of the
    model and its batch-norm statistics stay as they were.

    Args:
        model: on any device.
        input_shape: with the batch dimension, such as (1, 1, 256, 256).
    """
    rows: list[LayerTrace] = []
    seen: set[nn.Parameter] = set()

    def note(name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        new = [parameter for parameter in module.parameters(recurse=False) if parameter not in seen]
        seen.update(new)
        multiply_adds = 0
        if not isinstance(output, Tensor):
            pass
        elif isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            multiply_adds = output.numel() * module.weight[0].numel()
        elif isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d):
            multiply_adds = inputs[0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            multiply_adds = output.numel() * module.in_features
        parameters = sum(parameter.numel() for parameter in new)
        shape = tuple(output.shape) if isinstance(output, Tensor) else ()
        rows.append(LayerTrace(name, type(module).__name__, shape, parameters, multiply_adds))

    handles = [
        module.register_forward_hook(
            lambda module, inputs, output, name=name: note(name, module, inputs, output)  # type: ignore[misc]  # default binds the name now
        )
        for name, module in model.named_modules()
        if not list(module.children()) or list(module.parameters(recurse=False))
    ]
    try:
        first = next(model.parameters(), torch.zeros(()))
        with evaluation_mode(model), torch.no_grad():
            model(torch.zeros(*input_shape, device=first.device, dtype=first.dtype))
    finally:
        for handle in handles:
            handle.remove()
    for name, module in model.named_modules():
        if any(parameter not in seen for parameter in module.parameters(recurse=False)):
            note(name, module, (), None)
    return ShapeTrace(tuple(input_shape), tuple(rows))


def count_parameters(model: nn.Module, *, trainable_only: bool = False) -> int:
    """Number of parameters: all of them, or with `trainable_only` those that are not frozen.

    >>> count_parameters(nn.Conv2d(1, 32, 3))
    320
    """
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trainable_only)


def kept_megabytes(model: nn.Module, images: Tensor) -> float:
    """Megabytes (10^6 bytes) that the forward pass keeps for the backward pass: activations, without the parameters.

    Each piece of memory counts once. The model runs in the mode that it is in.

    >>> kept_megabytes(nn.Linear(1000, 10), torch.zeros(250, 1000))
    1.0
    """
    parameter_addresses, kept_bytes = {parameter.data_ptr() for parameter in model.parameters()}, {}

    def note(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in parameter_addresses:
            kept_bytes[tensor.data_ptr()] = tensor.nbytes
        return tensor.detach()  # the same memory, without its history

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model(images)
    return sum(kept_bytes.values()) / 1e6


def conv2d_by_hand(image: Tensor, kernel: Tensor, *, stride: int = 1, padding: int = 0) -> Tensor:
    """Two-dimensional cross-correlation (what deep learning calls convolution) as plain loops.

    Args:
        image: float (H, W).
        kernel: float (kernel height, kernel width).
        stride: steps between positions of the kernel, in pixels.
        padding: zeros added on each side, in pixels.

    Returns:
        float (H', W'), with H' and W' as `conv_output_size` says.

    Source: PyTorch documentation, `torch.nn.functional.conv2d`, which gives the same numbers.

    >>> conv2d_by_hand(torch.ones(3, 3), torch.ones(2, 2))
    tensor([[4., 4.],
            [4., 4.]])
    """
    padded = F.pad(image, (padding,) * 4)
    height = conv_output_size(image.shape[0], kernel.shape[0], stride=stride, padding=padding)
    width = conv_output_size(image.shape[1], kernel.shape[1], stride=stride, padding=padding)
    output = image.new_zeros(height, width)
    for row in range(height):
        for column in range(width):
            top, left = row * stride, column * stride
            window = padded[top : top + kernel.shape[0], left : left + kernel.shape[1]]
            output[row, column] = (window * kernel).sum()
    return output
