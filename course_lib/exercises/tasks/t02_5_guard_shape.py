import re

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from course_lib.exercises.task import Task, Wrong, refuse, shown


class Recorder(nn.Module):
    """Takes everything and keeps what arrived."""

    def __init__(self):
        super().__init__()
        self.arrived = []

    def forward(self, images):
        self.arrived.append(images)
        return images


def refusal(model, images):
    try:
        model(images)
    except Exception as error:
        return error
    return None


class GuardShape(Task):
    number, title, name, points = "02.5", "A guard at the door", "guard_shape", 2
    statement = """
Images of 70 pixels slipped through a network that was built for 64. Write a function that makes any model refuse, by
`register_forward_pre_hook`, whatever is not a batch of images (N, channels, height, width), with any N. A wrong input
should raise a `ValueError` before the model has computed anything, and its message should say which shape was
expected, which arrived, and what to do (the check looks for the numbers; the advice is yours). Return what the
registration returns: its `remove()` takes the guard away again.
"""
    hints = (
        "The hook is called as `hook(module, inputs)`; `inputs` is the tuple of arguments, so the images are `inputs[0]`.",
        "N may be anything: compare `tuple(images.shape[1:])`.",
        "What a pre-hook returns replaces the input, so yours returns nothing. Your function returns the handle.",
    )
    notice = (
        "A call by keyword, model(images=...), reaches such a hook with an empty tuple, unless it was registered "
        "with with_kwargs=True; and model.forward(images) runs no hook of the model at all."
    )
    given = "images of a right and of several wrong shapes"

    def inputs(self, draw):
        yield 3, 40, 56
        for _ in range(2):
            yield draw.number(3, 5), draw.number(10, 20), draw.number(30, 40)

    def use(self, answer, channels, height, width):
        model, expected = Recorder(), (channels, height, width)
        handle = answer(model, *expected)
        slip, found = "`register_forward_pre_hook` returns a handle: return it.", f"{self.name} gave {shown(handle)}"
        refuse("something with remove()", (not callable(getattr(handle, "remove", None)), found, slip))
        for count in (5, 1):
            self.expect_accepted(model, torch.zeros(count, *expected))
        model.arrived.clear()
        self.expect_refused(model, *expected)
        slip = "A forward hook runs after the model; batch norm would have taken up the images by then."
        refuse("an error before it", (bool(model.arrived), "the model ran before the error", slip))
        handle.remove()
        again = refusal(model, torch.zeros(5, channels - 2, height, width))
        slip, found = "Register one hook, and return the handle of that one.", "it still refuses after remove()"
        refuse("no refusal, as before the guard", (again is not None, found, slip))
        return {"what is let through without the guard": again is None}

    def expect_accepted(self, model, images):
        if error := refusal(model, images):
            slip = "N may be anything: leave the first axis out of the comparison."
            if "tuple" in str(error):
                slip = "The hook gets the arguments as a tuple, the images as its first element."
            raise Wrong(f"{tuple(images.shape)} ended in {type(error).__name__}: {error}", "accepted", slip)
        arrived, slip = model.arrived[-1], "What a pre-hook returns takes the place of the input: return nothing."
        refuse("the images as they were", (arrived is not images, f"the model received {shown(arrived)}", slip))

    def expect_refused(self, model, c, h, w):
        wrong_shapes = {
            (5, c - 2, h, w): "Compare the channels, too.",
            (5, c, w, h): "Height and width are exchanged: their order counts.",
            (5, c, h + 6, w + 6): "Larger images, like the 70 pixels of the lesson, are wrong as well.",
            (5, c, h - 8, w - 8): "Smaller images are wrong as well.",
            (c, h, w): "That is one image without the batch axis: compare the shape without N.",
            (2, 5, c, h, w): "One axis too many: compare the shape without N, not its last three numbers.",
        }
        errors = {shape: refusal(model, torch.zeros(shape)) for shape in wrong_shapes}
        if accepted := [shape for shape, error in errors.items() if error is None]:
            slip = "Nothing is refused: does the hook `raise` the error, or only print or return something?"
            slip = wrong_shapes[accepted[0]] if len(accepted) < len(errors) else slip
            raise Wrong(f"shape {accepted[0]} was accepted", f"a ValueError, since (N, {c}, {h}, {w}) is right", slip)
        for shape, error in errors.items():
            self.assert_says_what_is_wrong(shape, (c, h, w), error)

    def assert_says_what_is_wrong(self, shape, expected, error):
        numbers = set(map(int, re.findall(r"\d+", str(error))))
        slip = ""
        if not isinstance(error, ValueError):
            slip = "`raise ValueError(...)`; an assert is for what cannot happen, and `python -O` leaves it out."
        elif "unpack" in str(error):
            slip = "That is Python's message: a shape of three or five numbers does not unpack into four."
        elif missing := [size for size in expected if size not in numbers]:
            slip = f"The message does not say what was expected: {missing[0]} is not in it."
        elif missing := [size for size in shape[-3:] if size not in numbers]:
            slip = f"The message does not say what arrived: {missing[0]} is not in it."
        if slip:
            found = f"for shape {shape} {type(error).__name__}: {error}"
            raise Wrong(found, "a ValueError with both shapes in its message", slip)


# Answers


def guard_shape(model: nn.Module, channels: int, height: int, width: int) -> RemovableHandle:
    """Make `model` refuse all but (N, channels, height, width), until the handle is removed."""
    expected = (channels, height, width)

    def refuse_others(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        arrived = tuple(inputs[0].shape)
        if arrived[1:] != expected:
            raise ValueError(
                f"images (N, {channels}, {height}, {width}) expected, got {arrived}; "
                "resize them, make them gray or color, or add the batch axis with images[None]."
            )

    return model.register_forward_pre_hook(refuse_others)


DIFFERS = "arrived[1:] != expected"
also_wrong = [
    ({"return model": "model"}, "returns a handle: return it"),
    ({"ValueError": "AssertionError"}, "an assert is for"),
    ({"inputs: tuple[torch.Tensor, ...]": "inputs, output", "forward_pre_hook": "forward_hook"}, "after the model"),
    ({DIFFERS: "arrived != (1, *expected)"}, "N may be anything"),
    ({"inputs[0].shape": "inputs.shape"}, "as a tuple"),
    ({"        if": "        return arrived[1:] == expected\n        if"}, "takes the place of the input"),
    ({"raise ValueError": "print"}, "only print"),
    ({DIFFERS: "arrived[-2:] != expected[1:]"}, "Compare the channels"),
    ({DIFFERS: "arrived[1] != channels or arrived[2] < height or arrived[3] < width"}, "Larger images"),
    ({"arrived[1:]": "arrived[-3:]"}, "without the batch axis"),
    ({DIFFERS: "arrived[-3:] != expected or len(arrived) < 4"}, "One axis too many"),
    ({"        if": "        n, c, h, w = arrived\n        if"}, "does not unpack"),
    ({"images (N, {channels}, {height}, {width}) expected, got": "wrong shape"}, "say what was expected"),
    ({"got {arrived}": "resize"}, "say what arrived"),
    ({"    return": "    model.register_forward_pre_hook(refuse_others)\n    return"}, "handle of that one"),
]
also_right = [
    {"            )\n": "            )\n        return inputs\n"},
    {
        "inputs: tuple[torch.Tensor, ...]": "inputs, named",
        "inputs[0]": "[*inputs, *named.values()][0]",
        "(refuse_others)": "(refuse_others, with_kwargs=True, prepend=True)",
    },
]
