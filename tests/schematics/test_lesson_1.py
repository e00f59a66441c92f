"""What the schematics of lesson 1 say is so: torch computes it from the numbers that are drawn."""

import re
import xml.etree.ElementTree as ET
from collections import Counter

import torch
from torch import nn
from torch.nn import functional as F

from course_lib.plots.colors import BLUE, GRAY, GREEN, ORANGE
from course_lib.schematics import SCHEMATICS


def parts(name: str, kind: str) -> list[ET.Element]:
    return ET.fromstring(SCHEMATICS[name]().svg()).findall(f"{{http://www.w3.org/2000/svg}}{kind}")


def words(name: str) -> list[str]:
    return [(text.text or "").replace("−", "-") for text in parts(name, "text")]


def numbers(name: str) -> list[float]:
    """The texts that are a number and nothing else, in the order of the file: tables row by row."""
    return [float(word) for word in words(name) if re.fullmatch(r"-?[\d.]+", word)]


def table(drawn: list[float], rows: int, columns: int) -> torch.Tensor:
    """The next rows x columns numbers, taken from the list."""
    taken = [drawn.pop(0) for _ in range(rows * columns)]
    return torch.tensor(taken).reshape(1, 1, rows, columns)


def test_the_batch_has_the_shape_that_is_written_below_it() -> None:
    drawn = numbers("pixel-to-tensor")
    picture = table(drawn, 4, 5)
    batch = picture.expand(2, 3, -1, -1)
    assert drawn == list(batch.shape)
    assert f"row 1, column 3: {picture[0, 0, 1, 3]:g}" in words("pixel-to-tensor")
    assert {"H = 4", "W = 5 columns", "C = 3 channels", "N = 2 images"} <= set(words("pixel-to-tensor"))


def test_the_window_gives_the_output_pixel_and_the_sum_is_written_out() -> None:
    drawn = numbers("one-window")
    image, kernel, output = table(drawn, 4, 4), table(drawn, 3, 3), table(drawn, 2, 2)
    assert torch.equal(F.conv2d(image, kernel), output)
    left = image[0, 0, :3, 1:]
    signed = [word.strip("()") for word in words("one-window") if re.fullmatch(r"\(?-?\d+\)?", word)]
    written = torch.tensor([float(word) for word in signed[29:]])
    lines, total = written[:21].reshape(3, 7), written[21]
    assert torch.equal(lines[:, 0:6:2], left)
    assert torch.equal(lines[:, 1:6:2], kernel[0, 0])
    assert torch.equal(lines[:, 6], (left * kernel[0, 0]).sum(1))
    assert total == output[0, 0, 0, 1]


def test_the_numbers_of_predict_1_1_are_not_given_away() -> None:
    drawn = numbers("one-window")
    assert not torch.equal(table(drawn, 4, 4)[0, 0, :3, :3], torch.tensor([[1.0, 0, 2], [3, 5, 1], [0, 4, 2]]))


def test_autograd_finds_the_gradient_and_the_step() -> None:
    weight = torch.tensor(1.0, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1)
    loss = (2 * weight - 6) ** 2
    loss.backward()
    said = words("descent-step")
    assert f"at w = {weight.item():g} the loss is {loss.item():g}" in said
    assert f"the gradient is {weight.grad.item():g}" in said
    assert f"the tangent falls {-weight.grad.item():g} per unit of w:" in said
    optimizer.step()
    assert f"at w = {weight.item():.1f}" in said
    assert f"the loss is {((2 * weight - 6) ** 2).item():.2f}" in said
    assert f"step -0.1 × (-16) = {weight.item() - 1:.1f}" in said


def test_the_wires_are_as_many_as_the_layers_have() -> None:
    dense, shared = nn.Linear(6, 4, bias=False), nn.Conv1d(1, 1, 3, bias=False)
    reads = torch.autograd.functional.jacobian(lambda row: shared(row), torch.ones(1, 1, 6)).count_nonzero().item()
    wires = Counter(path.get("stroke") for path in parts("three-wirings", "path"))
    assert wires == {GRAY: dense.weight.numel() + reads, BLUE: 4, ORANGE: 4, GREEN: 4}
    counts = [dense.weight.numel(), reads, shared.weight.numel()]
    assert [word for word in words("three-wirings") if re.fullmatch(r"\d+ weights", word)] == [
        f"{count} weights" for count in counts
    ]


def test_the_three_outputs_have_the_sizes_that_torch_gives() -> None:
    image, kernel = torch.zeros(1, 1, 5, 5), torch.zeros(1, 1, 3, 3)
    settings = ({"padding": 1}, {"stride": 2}, {"dilation": 2})
    made = [F.conv2d(image, kernel, **setting).shape[-1] for setting in settings]
    said = [word for word in words("padding-stride-dilation") if "→" in word]
    assert said == [f"5 × 5 → {size} × {size}" for size in made]


def test_the_stack_of_tables_gives_the_maps_and_their_sum() -> None:
    drawn, maps, channels, tables = numbers("filter-stack"), [], [], []
    for _ in range(3):
        channels.append(table(drawn, 3, 3))
        tables.append(table(drawn, 2, 2))
        maps.append(table(drawn, 2, 2))
        assert torch.equal(F.conv2d(channels[-1], tables[-1]), maps[-1])
    output = F.conv2d(torch.cat(channels, 1), torch.cat(tables, 1), bias=torch.ones(1))
    assert torch.equal(output, table(drawn, 2, 2))
    corner = " + ".join(f"{one[0, 0, 0, 0]:g}" for one in maps)
    assert f"framed: {corner} + 1 = {output[0, 0, 0, 0]:g}" in words("filter-stack")
    assert "bias 1" in words("filter-stack")


def test_the_gradient_reaches_as_many_pixels_as_are_orange() -> None:
    rows = [torch.ones(1, 1, 10, requires_grad=True)]
    layers = (nn.Conv1d(1, 1, 3), nn.AvgPool1d(2), nn.Conv1d(1, 1, 3))
    for layer in layers:
        rows.append(layer(rows[-1]))
    squares = [box for box in parts("receptive-field", "rect") if box.get("width") == "22"]
    lengths = Counter(box.get("y") for box in squares)
    orange = Counter(box.get("y") for box in squares if box.get("fill") == ORANGE)
    assert list(lengths.values()) == [row.shape[-1] for row in rows]
    behind = [torch.autograd.grad(rows[-1][0, 0, 0], row, retain_graph=True)[0].count_nonzero() for row in rows]
    assert list(orange.values()) == behind
    seen = [torch.autograd.grad(row[0, 0, 0], rows[0], retain_graph=True)[0].count_nonzero() for row in rows[1:]]
    assert [word for word in words("receptive-field") if "sees" in word] == [f"each sees {count}" for count in seen]


def test_the_network_of_the_strip_gives_its_shapes_and_its_probabilities() -> None:
    maps, said = torch.zeros(1, 1, 32, 32), words("network-strip")
    shapes = [maps.shape[1:]]
    for before, after in ((1, 8), (8, 16), (16, 32)):
        maps = F.max_pool2d(F.relu(nn.Conv2d(before, after, 3, padding=1)(maps)), 2)
        shapes.append(maps.shape[1:])
    assert [word for word in said if re.fullmatch(r"\d+ × \d+ × \d+", word)] == [
        " × ".join(map(str, shape)) for shape in shapes
    ]
    assert f"{maps.mean((2, 3)).shape[1]} means" in said
    logits, probabilities = torch.tensor(numbers("network-strip")).reshape(2, 2)
    assert torch.equal(logits.softmax(0).mul(100).round(), probabilities.mul(100).round())
