import torch
from torch import Tensor, nn

from course_lib.exercises.task import Task, refuse, shown
from course_lib.exercises.traces import call_without_trace
from course_lib.runtime import evaluation_mode


class ShortcutTest(Task):
    number, title, name, points = "06.6", "Put a shortcut to the test", "shortcut_test", 4
    statement = """
A heat map glows in one corner. Does the answer depend on what lies there? Change only that corner and see. `model`
gives two logits, class 1 being sick; `healthy` and `sick` are images of which that is known; `box` is a pair of
slices, rows and columns. Return a dictionary of three fractions, as numbers from 0 to 1, in which only images count
that the model predicts *correctly* before anything is pasted:

- `"to_sick"`: healthy image `i` gets the box of sick image `i`. Of those predicted healthy before, how many are
  now predicted sick?
- `"to_healthy"`: sick image `i` gets the box of healthy image `i`. Of those predicted sick before, how many are
  now predicted healthy?
- `"control"`: each image gets the box of the next image of its own kind, the last that of the first. Of all images
  predicted correctly before, both kinds in one heap, how many change their answer? That is what pasting alone does.

If there are fewer donors than images, begin with the first donor again: `i % len(donors)`. Where no image counts, the
fraction is 0. The model is asked in evaluation mode and left in the mode in which it came, and the images stay as
they are.
"""
    hints = (
        "Write a function that returns a copy of some images with the box of their donors, and use it four times.",
        "`donors[torch.arange(len(images)) % len(donors)]` are all donors; `images.roll(-1, dims=0)` are the next images.",
        "One more function: which of the images predicted correctly before change their answer? `torch.cat` pools them.",
    )
    notice = (
        "The control is what makes it a test: a fraction of 0.3 is a shortcut beside 0.02, and nothing beside 0.28."
    )
    worth = dict.fromkeys(('the entry "to_sick"', 'the entry "to_healthy"', 'the entry "control"'), 1)
    given = "unequal groups, and a patch at a drawn place"

    def inputs(self, draw):
        for case in (
            "some images of each",
            "others of each",
            "images of which none is predicted correctly",
            "a model that fails",
        ):
            row, column = draw.number(1, 3), draw.number(2, 9)
            box, head = (slice(row, row + 3), slice(column, column + 5)), nn.Linear(448, 2)
            reads = torch.zeros(2, 2, 14, 16)
            reads[1, :, *box], reads[1, :, 6:] = 1 / 30, 1 / 256  # class 1, if the box and the lower rows are bright
            head.weight.data, head.bias.data = reads.flatten(start_dim=1), torch.tensor([1.3, 0])
            counts = draw.number(55, 65), draw.number(90, 99)
            healthy, sick = (draw.uniform(n, 2, 14, 16) / 5 + draw.uniform(n, 1, 14, 1) for n in counts)
            sick[:, :, *box] += 0.2
            if case.startswith("images"):
                healthy, sick = healthy + 9, sick - 9
            yield nn.Sequential(nn.Flatten(), head), healthy, sick, box, case

    def shown(self, model, healthy, sick, box, case):
        return f"{self.name}() for {case}"

    def use(self, answer, model, healthy, sick, box, case):
        result = call_without_trace(answer, model, healthy, sick, box, fails=case.endswith("fails"))
        if case.endswith("fails"):
            return {"the error of the model": True}
        keys, right = sorted(result or ()), ["control", "to_healthy", "to_sick"]
        slip = "Return a dictionary with these keys."
        refuse(f"{right}", (keys != right, f"sorted({self.name}()) gave {shown(keys)}", slip))
        return {f'the entry "{key}"': result[key] for key in ("to_sick", "to_healthy", "control")}


# Answers


# fmt: off
def shortcut_test(
    model: nn.Module, healthy: Tensor, sick: Tensor, box: tuple[slice, slice]
) -> dict[str, float]:
    """Images (N, channels, height, width) and (M, channels, height, width) to three fractions."""
    rows, columns = box

    def pasted(images: Tensor, donors: Tensor) -> Tensor:
        changed = images.clone()
        donor = torch.arange(len(images)) % len(donors)
        changed[:, :, rows, columns] = donors[donor][:, :, rows, columns]
        return changed

    def flips(images: Tensor, donors: Tensor, label: int) -> Tensor:
        """For each image that was predicted correctly: does its answer change?"""
        before, after = (model(x).argmax(dim=1) for x in (images, pasted(images, donors)))
        return (after != before)[before == label].float()

    def share(flipped: Tensor) -> float:
        return flipped.mean().item() if len(flipped) else 0.0

    with evaluation_mode(model), torch.no_grad():
        to_sick, to_healthy = flips(healthy, sick, 0), flips(sick, healthy, 1)
        among_healthy = flips(healthy, healthy.roll(-1, dims=0), 0)
        among_sick = flips(sick, sick.roll(-1, dims=0), 1)
    control = share(torch.cat([among_healthy, among_sick]))
    return {"to_sick": share(to_sick), "to_healthy": share(to_healthy), "control": control}
# fmt: on


def image_by_image(model, healthy, sick, box):
    def is_sick(image):
        logits = model(image[None])[0]
        return bool(logits[1] > logits[0])

    def count(images, donors, shift, label):
        flipped = rightly = 0
        for place, image in enumerate(images):
            if is_sick(image) == label:
                changed = image.clone()
                changed[:, *box] = donors[(place + shift) % len(donors)][:, *box]
                rightly += 1
                flipped += is_sick(changed) != label
        return flipped, rightly

    with evaluation_mode(model), torch.no_grad():
        first, second = count(healthy, sick, 0, False), count(sick, healthy, 0, True)
        third, fourth = count(healthy, healthy, 1, False), count(sick, sick, 1, True)
    both = third[0] + fourth[0], third[1] + fourth[1]
    pairs = {"control": both, "to_sick": first, "to_healthy": second}
    return {name: flipped / max(rightly, 1) for name, (flipped, rightly) in pairs.items()}


FLIPPED, ASKED = "(after != before)[before == label]", "with evaluation_mode(model), torch.no_grad():"
slips = [
    (
        {FLIPPED: "((after != before) & (before == label))"},
        "Divide by the images predicted correctly before, not by all.",
    ),
    ({"[before == label]": ""}, "Images predicted wrongly before count here: leave them out."),
    ({FLIPPED: "(after != label)"}, "An image that was wrong all along did not flip: compare answers."),
    (
        {"flipped.mean().item()": "int(flipped.sum())"},
        "That is a count: divide by the number of images predicted correctly before.",
    ),
    (
        {"flips(sick, healthy, 1)": "flips(sick[: len(healthy)], healthy, 1)"},
        "Not all images were asked: where donors run out, begin again.",
    ),
    (
        {"share(torch.cat([among_healthy, among_sick]))": "(share(among_healthy) + share(among_sick)) / 2"},
        "That is the mean of two fractions: pool both kinds first.",
    ),
    (
        {"healthy.roll(-1": "healthy.roll(1", "sick.roll(-1": "sick.roll(1"},
        "`roll(1)` brings the box of the image before; the next one's is asked for.",
    ),
    (
        {"healthy.roll(-1": "healthy.roll(0", "sick.roll(-1": "sick.roll(0"},
        "Each image got its own box back: take that of the next image.",
    ),
    ({"to_sick, to_healthy =": "to_healthy, to_sick ="}, "The two ways are exchanged."),
    (
        {"flips(sick, healthy, 1)": "flips(sick, pasted(healthy, sick), 1)"},
        "The sick got their own boxes back: the healthy had been pasted already.",
    ),
    ({"if len(flipped) else 0.0": ""}, "No image counts here: say 0."),
]
also_wrong = [
    ({"    control": "    healthy[:, :, rows, columns] = 0\n    control"}, "the images had changed"),
    ({ASKED: "model.eval()\n    with torch.no_grad():"}, "after the call the mode"),
    ({ASKED: f"model(healthy)\n    {ASKED}"}, "asked in training mode"),
    (
        {ASKED: "model.eval()\n    with torch.no_grad():", "    control": "    model.train()\n    control"},
        "after the model had failed",
    ),
    (lambda *given: tuple(shortcut_test(*given).values()), "sorted(shortcut_test())"),
]
also_right = [image_by_image]
