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

    def use(self, answer, *expected):
        (c, h, w), model = expected, Recorder()
        handle = answer(model, *expected)
        if not callable(getattr(handle, "remove", None)):
            slip = "`register_forward_pre_hook` returns a handle: return it."
            raise Wrong(f"{self.name} returned {shown(handle)}", "something with remove()", slip)
        for images in (torch.zeros(5, c, h, w), torch.zeros(1, c, h, w)):
            if error := refusal(model, images):
                slip = "The hook gets the arguments as a tuple, the images as its first element."
                slip = (
                    slip if "tuple" in str(error) else "N may be anything: leave the first axis out of the comparison."
                )
                raise Wrong(f"{tuple(images.shape)} ended in {type(error).__name__}: {error}", "accepted", slip)
            if model.arrived[-1] is not images:
                slip = "What a pre-hook returns takes the place of the input: return nothing."
                raise Wrong(f"the model received {shown(model.arrived[-1])}", "the images as they were", slip)
        model.arrived.clear()
        wrong_shapes = {
            (5, c - 2, h, w): "Compare the channels, too.",
            (5, c, w, h): "Height and width are exchanged: their order counts.",
            (5, c, h + 6, w + 6): "Larger images, like the 70 pixels of the lesson, are wrong as well.",
            (5, c, h - 8, w - 8): "Smaller images are wrong as well.",
            (
                c,
                h,
                w,
            ): "That is one image without the batch axis: compare the shape without N, not its last three numbers.",
            (2, 5, c, h, w): "One axis too many: compare the shape without N, not its last three numbers.",
        }
        errors = {shape: refusal(model, torch.zeros(shape)) for shape in wrong_shapes}
        accepted = [shape for shape, error in errors.items() if error is None]
        if accepted:
            slip = "Nothing is refused: does the hook `raise` the error, or only print or return something?"
            slip = wrong_shapes[accepted[0]] if len(accepted) < len(errors) else slip
            raise Wrong(
                f"shape {accepted[0]} was accepted", f"a ValueError, since (N, {c}, {h}, {w}) is asked for", slip
            )
        for shape, error in errors.items():
            self.judge_error(shape, expected, error)
        slip = "A forward hook runs after the model; batch norm would have taken up the images by then."
        refuse("an error before it", (bool(model.arrived), "the model ran before the error", slip))
        handle.remove()
        left = refusal(model, torch.zeros(5, c - 2, h, w))
        slip, found = "Register one hook, and return the handle of that one.", f"shape {(5, c - 2, h, w)} is refused"
        refuse("accepted, as before the guard", (left is not None, f"{found} after remove(), too", slip))
        return {
            "what is let through or refused": [error is None for error in errors.values()],
            "the rest": left is None,
        }

    def judge_error(self, shape, expected, error):
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


def guard(is_wrong, error=ValueError, words="{expected} expected, got {shape}; resize"):
    """A guard that refuses, or says, something else."""

    def answer(model, *expected):
        def hook(module, inputs):
            if is_wrong(inputs[0].shape, expected):
                raise error(words.format(expected=expected, shape=tuple(inputs[0].shape)))

        return model.register_forward_pre_hook(hook)

    return answer


def differs(shape, expected):
    return tuple(shape[1:]) != expected


def differs_unpacked(shape, expected):
    _, channels, height, width = shape
    return (channels, height, width) != expected


def is_smaller(shape, expected):
    return shape[1] != expected[0] or shape[2] < expected[1] or shape[3] < expected[2]


def without_handle(model, *expected):
    guard(differs)(model, *expected)


def afterwards(model, *expected):
    def hook(module, inputs, output):
        if differs(inputs[0].shape, expected):
            raise ValueError(f"{expected} expected, got {tuple(inputs[0].shape)}")

    return model.register_forward_hook(hook)


def of_the_tuple(model, *expected):
    return model.register_forward_pre_hook(lambda module, images: images.shape[1:] == expected or 1 / 0)


def verdict(model, *expected):
    return model.register_forward_pre_hook(lambda module, inputs: inputs[0].shape[1:] == expected)


def twice(model, *expected):
    guard(differs)(model, *expected)
    return guard(differs)(model, *expected)


def with_keywords(model, channels, height, width):
    def hook(_, inputs, named):
        images = inputs[0] if inputs else named["images"]
        if images.ndim != 4 or list(images.shape[1:]) != [channels, height, width]:
            expected = f"{channels} channels of {height} x {width} pixels"
            raise ValueError(f"expected a batch of images with {expected}, got {list(images.shape)}; resize or convert")

    return model.register_forward_pre_hook(hook, with_kwargs=True, prepend=True)


def passing_on(model, *expected):
    def hook(module, inputs):
        if inputs[0].shape != (len(inputs[0]), *expected):
            raise ValueError(f"(N, *{expected}) expected; resize or convert yours, which have {inputs[0].shape}")
        return inputs

    return model.register_forward_pre_hook(hook)


also_wrong = [
    (without_handle, "returns a handle: return it"),
    (guard(differs, AssertionError), "an assert is for"),
    (afterwards, "after the model"),
    (guard(lambda shape, expected: shape != (1, *expected)), "N may be anything"),
    (of_the_tuple, "as a tuple"),
    (verdict, "takes the place of the input"),
    (guard(lambda *_: False), "only print"),
    (guard(lambda shape, expected: shape[-2:] != expected[1:]), "Compare the channels"),
    (guard(is_smaller), "Larger images"),
    (guard(lambda shape, expected: shape[-3:] != expected), "without the batch axis"),
    (guard(lambda shape, expected: shape[-3:] != expected or len(shape) < 4), "One axis too many"),
    (guard(differs_unpacked), "does not unpack"),
    (guard(differs, words="wrong shape {shape}"), "say what was expected"),
    (guard(differs, words="{expected} expected; resize the images"), "say what arrived"),
    (twice, "handle of that one"),
]
also_right = [with_keywords, passing_on]
