"""Answers to the tasks of lesson 1."""

import torch
from exercise_answers import right, wrong
from torch import Tensor, nn
from torch.nn import functional as F


@right("01.1")
def half_of_what_is_lost(kernel, dilation=1):
    span = dilation * (kernel - 1) + 1
    return int((span - 1) / 2)


@wrong("01.1", "both sides")
def pads_twice(kernel, dilation=1):
    return dilation * (kernel - 1)


@wrong("01.1", "Dilation spreads")
def forgets_dilation(kernel, dilation=1):
    return kernel // 2


@wrong("01.1", "one too many")
def one_too_many(kernel, dilation=1):
    return dilation * (kernel // 2) + 1


@wrong("01.1", "not dilation * kernel")
def wrong_span(kernel, dilation=1):
    return dilation * kernel // 2


@wrong("01.1", "`return`")
def prints_it(kernel, dilation=1):
    print(dilation * (kernel - 1) // 2)


@wrong("01.1", "divide with `//`")
def divides_with_a_slash(kernel, dilation=1):
    return dilation * (kernel - 1) / 2


@wrong("01.1", "the defaults in the page's first line")
def another_dilation_unless_told(kernel, dilation=2):
    return dilation * (kernel - 1) // 2


@right("01.2")
def by_unfolding(image: Tensor, window: int) -> Tensor:
    return image.unfold(0, window, window).unfold(1, window, window).amax(dim=(2, 3))


@wrong("01.2", "mean of each window")
def means(image, window):
    return image.unfold(0, window, window).unfold(1, window, window).mean(dim=(2, 3))


@wrong("01.2", "overlap")
def overlapping(image, window):
    return by_unfolding(image.unfold(0, window, 1).unfold(1, window, 1).amax(dim=(2, 3)), 1)


@wrong("01.2", "does not fit whole")
def counts_the_rest(image, window):
    rows = [strip.split(window, dim=1) for strip in image.split(window)]
    return torch.stack([torch.stack([part.max() for part in row]) for row in rows])


@wrong("01.2", "only what fits whole")
def goes_past_the_end(image, window):
    pooled = torch.empty(image.shape[0] // window, image.shape[1] // window)
    for row in range(0, image.shape[0], window):
        for column in range(0, image.shape[1], window):
            pooled[row // window, column // window] = image[row : row + window, column : column + window].max()
    return pooled


@wrong("01.2", "without `torch.nn`")
def by_pytorch(image, window):
    return F.max_pool2d(image[None], window)[0]


@wrong("01.2", "NumPy array")
def in_numpy(image, window):
    return by_unfolding(image, window).numpy()


@wrong("01.2", "write into the caller's tensor")
def blackens_what_it_was_given(image, window):
    pooled = by_unfolding(image, window)
    image[:] = 0
    return pooled


@wrong("01.2", "-100.0")
def begins_at_minus_a_hundred(image, window):
    return by_unfolding(image, window).clamp(min=-100)


@wrong("01.2", "begins at 0")
def begins_at_zero(image, window):
    height, width = (side // window for side in image.shape)
    pooled = torch.zeros(height, width)
    for row in range(height * window):
        for column in range(width * window):
            place = row // window, column // window
            pooled[place] = max(pooled[place], image[row, column])
    return pooled


def _linear(weight, bias):
    merged = nn.Linear(weight.shape[1], weight.shape[0])
    merged.load_state_dict({"weight": weight.detach(), "bias": bias.detach()})
    return merged


@right("01.3")
def by_asking_the_layers(first, second):
    with torch.no_grad():
        bias = second(first(torch.zeros(first.in_features)))
        weight = (second(first(torch.eye(first.in_features))) - bias).T
    merged = nn.Linear(first.in_features, second.out_features)
    merged.weight, merged.bias = nn.Parameter(weight), nn.Parameter(bias)
    return merged


@right("01.3")
def through_data(first, second):
    merged = nn.Linear(first.in_features, second.out_features)
    merged.weight.data = second.weight @ first.weight
    merged.bias.data = first.bias @ second.weight.T + second.bias
    return merged


@wrong("01.3", "first bias is lost")
def keeps_second_bias_only(first, second):
    return _linear(second.weight @ first.weight, second.bias)


@wrong("01.3", "second bias is missing")
def keeps_first_bias_only(first, second):
    return _linear(second.weight @ first.weight, second.weight @ first.bias)


@wrong("01.3", "The biases are missing")
def without_biases(first, second):
    merged = nn.Linear(first.in_features, second.out_features, bias=False)
    merged.weight = nn.Parameter(second.weight @ first.weight)
    return merged


@wrong("01.3", "added unchanged")
def adds_biases(first, second):
    return _linear(second.weight @ first.weight, (first.bias[: len(second.bias)] + second.bias))


@wrong("01.3", "acts last stands left")
def exchanged(first, second):
    return _linear(first.weight @ second.weight, second.weight @ first.bias + second.bias)


@wrong("01.3", "entry by entry")
def entry_by_entry(first, second):
    return _linear(first.weight * second.weight, second.weight @ first.bias + second.bias)


@wrong("01.3", "do not transpose")
def transposed(first, second):
    return _linear((second.weight @ first.weight).T, second.weight @ first.bias + second.bias)


@wrong("01.3", "its weight was not set")
def nothing_set(first, second):
    return nn.Linear(first.in_features, second.out_features)


@wrong("01.3", "its bias was not set")
def only_weight_set(first, second):
    merged = nn.Linear(first.in_features, second.out_features)
    merged.weight.data = second.weight @ first.weight
    return merged


@wrong("01.3", "still two layers")
def in_a_row(first, second):
    return nn.Sequential(first, second)


@wrong("01.3", "Make a new `nn.Linear`")
def bare_tensors(first, second):
    return second.weight @ first.weight, second.weight @ first.bias + second.bias


@wrong("01.3", "they may be in use")
def into_the_second(first, second):
    with torch.no_grad():
        second.bias += second.weight @ first.bias
        second.weight = nn.Parameter(second.weight @ first.weight)
    return second


@wrong("01.3", "number of inputs first")
def sizes_swapped(first, second):
    merged = nn.Linear(second.out_features, first.in_features)
    merged.weight.data = second.weight @ first.weight
    merged.bias.data = second.weight @ first.bias + second.bias
    return merged


@wrong("01.3", "under `torch.no_grad()`")
def with_gradients(first, second):
    merged = nn.Linear(first.in_features, second.out_features)
    merged.weight.copy_(second.weight @ first.weight)
    merged.bias.copy_(second.weight @ first.bias + second.bias)
    return merged


@wrong("01.3", "wrap the tensor in one")
def bare_tensor_for_a_weight(first, second):
    merged = nn.Linear(first.in_features, second.out_features)
    merged.weight = second.weight.detach() @ first.weight.detach()
    return merged


def _rows(*weights):
    return torch.tensor(weights)[:, None].repeat(1, len(weights)) / len(weights)


def _by_size(size, middle, others):
    rows = [float(others)] * size
    rows[size // 2] = float(middle)
    return _rows(*rows)


@right("01.4")
def neighbors_only(size):
    rows = torch.zeros(size)
    rows[size // 2 - 1 : size // 2 + 2] = torch.tensor([-0.5, 1, -0.5])
    return rows[:, None].repeat(1, size) / size


@right("01.4")
def strongest_in_the_middle(size):
    along = torch.hann_window(size + 2, periodic=False, dtype=torch.float64)[1:-1]
    across = torch.full((size,), -1 / (size - 1), dtype=torch.float64)
    across[size // 2] = 1
    return torch.outer(across, along / along.sum()) if size > 3 else _by_size(3, 1, -0.5)


@wrong("01.4", "add up to 0.")
def ones_in_the_middle(size):
    return _by_size(size, 1, 0)


@wrong("01.4", "vertical lines.")
def vertical_lines(size):
    return _by_size(size, 1, -1 / (size - 1)).T


@wrong("01.4", "above *and* below")
def an_edge(size):
    rows = [-1.0] * (size // 2) + [0.0] + [1.0] * (size // 2)
    return _rows(*rows)


@wrong("01.4", "dark lines")
def dark_lines(size):
    return -_by_size(size, 1, -1 / (size - 1))


@wrong("01.4", "by itself")
def a_dot(size):
    kernel = -torch.ones(size, size)
    kernel[size // 2, size // 2] = size**2 - 1
    return kernel / (size**2 - size)


@wrong("01.4", "above and below alike")
def one_sided(size):
    rows = [0.0] * size
    rows[size // 2 - 1 : size // 2 + 1] = -1.0, 1.0
    return _rows(*rows)


@wrong("01.4", "Only the middle row")
def thick_lines(size):
    rows = [-1.0] * size
    rows[size // 2 - 1 : size // 2 + 2] = [1.0, 1.0, 1.0] if size > 3 else [-0.5, 1.0, -0.5]
    rows[0] = rows[-1] = -(sum(rows[1:-1])) / 2
    return _rows(*rows)


@wrong("01.4", "A line is long")
def one_column(size):
    kernel = torch.zeros(size, size)
    kernel[:, size // 2] = -1 / (size - 1)
    kernel[size // 2, size // 2] = 1
    return kernel


@wrong("01.4", "scale it")
def whole_numbers(size):
    kernel = -torch.ones(size, size, dtype=torch.int64)
    kernel[size // 2] = size - 1
    return kernel


@wrong("01.4", "The size is an argument")
def always_five(size):
    return _by_size(5, 1, -0.25)


@wrong("01.4", "Return a tensor")
def as_lists(size):
    return _by_size(size, 1, -1 / (size - 1)).tolist()


@wrong("01.4", "NumPy array")
def as_an_array(size):
    return _by_size(size, 1, -1 / (size - 1)).numpy()


@wrong("01.4", "divided by 0")
def nothing_but_nan(size):
    return torch.zeros(size, size) / 0


@wrong("01.4", "bare table")
def ready_for_conv2d(size):
    return _by_size(size, 1, -1 / (size - 1))[None, None]


@right("01.5")
def by_size_and_step(output, layers):
    size, step, start = 1, 1, 0
    for kernel, stride, padding in layers:
        start -= padding * step
        size += (kernel - 1) * step
        step *= stride
    return [start + output * step, start + output * step + size - 1]


@right("01.5")
def by_recursion(output, layers):
    if not layers:
        return output, output
    kernel, stride, padding = layers[-1]
    start = output * stride - padding
    return by_recursion(start, layers[:-1])[0], by_recursion(start + kernel - 1, layers[:-1])[1]


@wrong("01.5", "4, 5 and 6, not 7")
def one_too_far(output, layers):
    first = last = output
    for kernel, stride, padding in reversed(layers):
        first, last = first * stride - padding, last * stride - padding + kernel
    return first, last


@wrong("01.5", "Padding is left out")
def no_padding(output, layers):
    return by_recursion(output, [(kernel, stride, 0) for kernel, stride, _ in layers])


@wrong("01.5", "lies in the padding: subtract")
def adds_padding(output, layers):
    return by_recursion(output, [(kernel, stride, -padding) for kernel, stride, padding in layers])


@wrong("01.5", "Stride is left out")
def no_stride(output, layers):
    return by_recursion(output, [(kernel, 1, padding) for kernel, _, padding in layers])


@wrong("01.5", "the last pixel as well")
def padding_at_the_front_only(output, layers):
    first = last = output
    for kernel, stride, padding in reversed(layers):
        first, last = first * stride - padding, last * stride + kernel - 1
    return first, last


@wrong("01.5", "one window is followed")
def one_window(output, layers):
    for kernel, stride, padding in reversed(layers):
        output = output * stride - padding
        last = output + kernel - 1
    return output, last


@wrong("01.5", "multiply first")
def padding_before_stride(output, layers):
    first = last = output
    for kernel, stride, padding in reversed(layers):
        first, last = (first - padding) * stride, (last - padding) * stride + kernel - 1
    return first, last


@wrong("01.5", "belongs to the last")
def forwards(output, layers):
    return by_recursion(output, layers[::-1])


@wrong("01.5", "one behind the last")
def as_a_slice(output, layers):
    first, last = by_recursion(output, layers)
    return first, last + 1


@wrong("01.5", "not which")
def how_many(output, layers):
    first, last = by_recursion(output, layers)
    return last - first + 1


@wrong("01.5", "leaves it alone")
def turns_the_list(output, layers):
    layers.reverse()
    return by_recursion(output, layers[::-1])


@wrong("01.5", "divide with `//`")
def pixels_as_floats(output, layers):
    return tuple(map(float, by_recursion(output, layers)))


@wrong("01.5", "Keep negative numbers")
def stops_at_the_border(output, layers):
    first, last = by_recursion(output, layers)
    return max(first, 0), last


@right("01.6")
def by_unfold(maps, kernels, stride=1, padding=0, dilation=1):
    k, how = kernels.shape[-1], {"stride": stride, "padding": padding, "dilation": dilation}
    windows = F.unfold(maps[:, None], k, **how)  # (channels, k * k, places)
    span = dilation * (k - 1) + 1
    rows = (maps.shape[1] + 2 * padding - span) // stride + 1
    return (windows * kernels.reshape(len(kernels), k * k, 1)).sum(dim=1).reshape(len(maps), rows, -1)


@right("01.6")
def four_loops(maps, kernels, stride=1, padding=0, dilation=1):
    channels, height, width = maps.shape
    k = kernels.shape[1]
    sides = [(side + 2 * padding - dilation * (k - 1) - 1) // stride + 1 for side in (height, width)]
    out = torch.zeros(channels, *sides)
    for row in range(sides[0]):
        for column in range(sides[1]):
            for i in range(k):
                for j in range(k):
                    y = row * stride + i * dilation - padding
                    x = column * stride + j * dilation - padding
                    if 0 <= y < height and 0 <= x < width:
                        out[:, row, column] += maps[:, y, x] * kernels[:, i, j]
    return out


@wrong("01.6", "are turned")
def true_convolution(maps, kernels, stride=1, padding=0, dilation=1):
    return by_unfold(maps, kernels.flip(1, 2), stride, padding, dilation)


@wrong("01.6", "Rows and columns of the kernels")
def transposed_kernels(maps, kernels, stride=1, padding=0, dilation=1):
    return four_loops(maps, kernels.transpose(1, 2), stride, padding, dilation)


@wrong("01.6", "each stays by itself")
def ordinary_filter(maps, kernels, stride=1, padding=0, dilation=1):
    return by_unfold(maps, kernels, stride, padding, dilation).sum(dim=0, keepdim=True)


@wrong("01.6", "Multiply and add up each window yourself")
def one_channel_at_a_time(maps, kernels, stride=1, padding=0, dilation=1):
    how = {"stride": stride, "padding": padding, "dilation": dilation}
    pairs = zip(maps, kernels, strict=True)
    return torch.cat([F.conv2d(image[None], kernel[None, None], **how) for image, kernel in pairs])


@wrong("01.6", "need not be square")
def as_many_columns_as_rows(maps, kernels, stride=1, padding=0, dilation=1):
    found = by_unfold(maps, kernels, stride, padding, dilation)
    return found[:, :, : found.shape[1]]


@wrong("01.6", "the defaults in the page's first line")
def steps_of_two_unless_told(maps, kernels, stride=2, padding=0, dilation=1):
    return by_unfold(maps, kernels, stride, padding, dilation)


@wrong("01.6", "given the first kernel")
def first_kernel_for_all(maps, kernels, stride=1, padding=0, dilation=1):
    return by_unfold(maps, kernels[0].repeat(len(maps), 1, 1), stride, padding, dilation)


@wrong("01.6", "`stride` is not used")
def stride_forgotten(maps, kernels, stride=1, padding=0, dilation=1):
    return four_loops(maps, kernels, padding=padding, dilation=dilation)


@wrong("01.6", "`padding` is not used")
def padding_forgotten(maps, kernels, stride=1, padding=0, dilation=1):
    return by_unfold(maps, kernels, stride=stride, dilation=dilation)


@wrong("01.6", "`dilation` is not used")
def dilation_forgotten(maps, kernels, stride=1, padding=0, dilation=1):
    return by_unfold(maps, kernels, stride=stride, padding=padding)


@wrong("01.6", "on all four sides")
def pads_once(maps, kernels, stride=1, padding=0, dilation=1):
    return by_unfold(F.pad(maps, (padding, 0, padding, 0)), kernels, stride, 0, dilation)


@wrong("01.6", "last position is left out")
def one_place_less(maps, kernels, stride=1, padding=0, dilation=1):
    return four_loops(maps, kernels, stride, padding, dilation)[:, :-1, :-1]


@wrong("01.6", "mean of the products")
def means_of_products(maps, kernels, stride=1, padding=0, dilation=1):
    return by_unfold(maps, kernels, stride, padding, dilation) / kernels.shape[1] ** 2


def _windows(maps, kernels, stride, padding, dilation, width, step, dim=(1, 2), apart=None):
    padded, span = F.pad(maps, [padding] * 4), dilation * (kernels.shape[1] - 1) + 1
    rows, columns = ((side - span) // stride + 1 for side in padded.shape[1:])
    out, apart = torch.zeros(len(maps), rows, columns), apart or stride
    for row in range(rows):
        for column in range(columns):
            top, left = row * apart, column * apart
            window = padded[:, top : top + (width or span) : step, left : left + (width or span) : step]
            out[:, row, column] = (window * kernels).sum(dim=dim)
    return out


@wrong("01.6", "over two axes only")
def sums_everything(maps, kernels, stride=1, padding=0, dilation=1):
    return _windows(maps, kernels, stride, padding, dilation, None, dilation, dim=(0, 1, 2))


@wrong("01.6", "begin side by side")
def windows_side_by_side(maps, kernels, stride=1, padding=0, dilation=1):
    return _windows(maps, kernels, stride, padding, dilation, None, dilation, apart=1)


@wrong("01.6", "windows are not spread")
def windows_not_spread(maps, kernels, stride=1, padding=0, dilation=1):
    return _windows(maps, kernels, stride, padding, dilation, kernels.shape[1], 1)


@wrong("01.6", "differ in size")
def places_without_dilation(maps, kernels, stride=1, padding=0, dilation=1):
    padded, k = F.pad(maps, [padding] * 4), kernels.shape[1]
    rows, columns = ((side - k) // stride + 1 for side in padded.shape[1:])
    out, span = torch.zeros(len(maps), rows, columns), dilation * (k - 1) + 1
    for row in range(rows):
        for column in range(columns):
            top, left = row * stride, column * stride
            window = padded[:, top : top + span : dilation, left : left + span : dilation]
            out[:, row, column] = (window * kernels).sum(dim=(1, 2))
    return out


@right("01.7")
class OneDirectionAfterTheOther(nn.Module):
    def __init__(self, blur=3):
        super().__init__()
        row = torch.ones(1)
        for _ in range(blur - 1):
            row = F.pad(row, (1, 0)) + F.pad(row, (0, 1))
        self.register_buffer("row", row / row.sum(), persistent=False)
        self.max, self.mirror = nn.MaxPool2d(2, stride=1), nn.ReflectionPad2d(blur // 2)

    def forward(self, images):
        maps, n = self.mirror(self.max(images)), len(self.row)
        maps = (maps.unfold(2, n, 2) * self.row).sum(dim=-1)
        return (maps.unfold(3, n, 2) * self.row).sum(dim=-1)


class _Pool(nn.Module):
    """What the wrong answers vary."""

    mode, before, step, largest = "reflect", 1, 2, staticmethod(F.max_pool2d)

    def __init__(self, blur=3):
        super().__init__()
        self.register_buffer("table", self.weights(blur))

    def weights(self, blur):
        row = OneDirectionAfterTheOther(blur).row
        return row[:, None] * row

    def blur(self, maps, table, stride):
        channels, border = maps.shape[1], len(table) // 2
        padded = F.pad(maps, [border] * 4, mode=self.mode)
        return F.conv2d(padded, table.repeat(channels, 1, 1, 1), stride=stride, groups=channels)

    def forward(self, images):
        return self.blur(self.largest(images, 2, self.before), self.table, self.step)


@right("01.7")
class BlursFirstThenDrops(_Pool):
    def forward(self, images):
        return self.blur(self.largest(images, 2, 1), self.table, 1)[:, :, ::2, ::2]


@right("01.7")
class ChannelsAsImages(_Pool):
    def forward(self, images):
        n, channels, height, width = images.shape
        return (
            super()
            .forward(images.reshape(n * channels, 1, height, width))
            .reshape(n, channels, height // 2, width // 2)
        )


@wrong("01.7", "Zeros darken")
class ZerosAround(_Pool):
    mode = "constant"


@wrong("01.7", "repeat the outermost row")
class RepeatsTheBorder(_Pool):
    mode = "replicate"


@wrong("01.7", "weights are alike")
class Box(_Pool):
    def weights(self, blur):
        return torch.full((blur, blur), 1 / blur**2)


@wrong("01.7", "divide the table by its sum")
class DividesByTheSumOfARow(_Pool):
    def weights(self, blur):
        return super().weights(blur) * 2 ** (blur - 1)


@wrong("01.7", "Nothing is blurred")
class Drops(_Pool):
    def forward(self, images):
        return F.max_pool2d(images, 2, 1)[:, :, ::2, ::2]


@wrong("01.7", "drops samples before the blur")
class PoolsThenBlurs(_Pool):
    before, step = 2, 1


@wrong("01.7", "make 4")
class StepsTwice(_Pool):
    before = 2


@wrong("01.7", "take the maximum first")
class BlursThenPools(_Pool):
    def forward(self, images):
        return F.max_pool2d(self.blur(images, self.table, 1), 2)


@wrong("01.7", "not its maximum")
class Means(_Pool):
    largest = staticmethod(F.avg_pool2d)


@wrong("01.7", "only blurs and steps")
class NoMaximum(_Pool):
    def forward(self, images):
        return self.blur(images, self.table, 2)


@wrong("01.7", "keeps its resolution")
class NoStep(_Pool):
    step = 1


@wrong("01.7", "The channels are added up")
class AddsChannels(_Pool):
    def blur(self, maps, table, stride):
        padded = F.pad(maps, [len(table) // 2] * 4, mode="reflect")
        return F.conv2d(padded, table.expand(1, maps.shape[1], -1, -1), stride=stride)


@wrong("01.7", "the sum of all")
class FullFilters(_Pool):
    def blur(self, maps, table, stride):
        channels, padded = maps.shape[1], F.pad(maps, [len(table) // 2] * 4, mode="reflect")
        return F.conv2d(padded, table.expand(channels, channels, -1, -1), stride=stride)


@wrong("01.7", "whatever `blur` says")
class AlwaysThree(_Pool):
    def weights(self, blur):
        return super().weights(3)


@wrong("01.7", "any number of channels")
class OneChannel(_Pool):
    def blur(self, maps, table, stride):
        padded = F.pad(maps, [len(table) // 2] * 4, mode="reflect")
        return F.conv2d(padded, table[None, None], stride=stride)


@wrong("01.7", "Training would change them")
class AsParameter(_Pool):
    def __init__(self, blur=3):
        nn.Module.__init__(self)
        self.table = nn.Parameter(self.weights(blur))


@wrong("01.7", "register a buffer")
class PlainAttribute(_Pool):
    def __init__(self, blur=3):
        nn.Module.__init__(self)
        self.table = self.weights(blur)


@wrong("01.7", "cuts them off")
class Detached(_Pool):
    def forward(self, images):
        with torch.no_grad():
            return super().forward(images)


@wrong("01.7", "`super().__init__()` is missing")
class ForgetsSuper(_Pool):
    def __init__(self, blur=3):
        self.register_buffer("table", self.weights(blur))


@wrong("01.7", "first line in the `__init__` of a module")
class ForgetsSuperAndTheBuffer(nn.Module):
    def __init__(self, blur=3):
        self.size = blur

    def forward(self, images):
        return _Pool(self.size)(images)


@wrong("01.7", "inherit from `nn.Module`")
class NoModule:
    def __init__(self, blur=3):
        self.blur = blur

    def __call__(self, images):
        return _Pool(self.blur)(images)


@wrong("01.7", "the blur has")
class PadsTheMaximum(_Pool):
    def forward(self, images):
        return self.blur(F.max_pool2d(images, 2, 1, padding=1), self.table, 2)


@wrong("01.7", "border is cut off")
class NoPadding(_Pool):
    def blur(self, maps, table, stride):
        channels = maps.shape[1]
        return F.conv2d(maps, table.expand(channels, 1, -1, -1), stride=stride, groups=channels)


@wrong("01.7", "one table for each channel")
class OneTableForAllGroups(_Pool):
    def blur(self, maps, table, stride):
        padded = F.pad(maps, [len(table) // 2] * 4, mode="reflect")
        return F.conv2d(padded, table[None, None], stride=stride, groups=maps.shape[1])
