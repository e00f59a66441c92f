import torch
from torch import Tensor, nn

from course_lib.exercises.task import Task
from course_lib.exercises.traces import asked, network
from course_lib.runtime import evaluation_mode


class MapsOf(Task):
    number, title, name, points = "06.3", "The maps of any layer", "maps_of", 2
    statement = """
Return what `layer`, a part of `model`, puts out while the model looks at images in evaluation mode. The result is a
copy without a graph: a later layer that works in place must not reach it. Afterwards your hook is gone, and a model
that came in training mode is in training mode. All that also holds when the model fails on the way, in which case its
error comes through to the caller. A tool that leaves traces changes what it was meant to show.
"""
    hints = (
        "`layer.register_forward_hook(f)` calls f(layer, inputs, output) and returns a handle with `remove()`.",
        "What has to happen in any case belongs into the `finally` of a `try`.",
        "`detach()` cuts the graph but shares memory; only a `clone()` is out of reach of a ReLU that works in place.",
    )
    notice = "`model.train()` wakes even a frozen batch norm; `evaluation_mode` of `course_lib.runtime` lets it sleep."
    given = "a network in training and in evaluation, and three of its layers"

    def inputs(self, draw):
        for part, layer, training, fails in (
            (0, 1, True, False),
            (1, 0, True, False),
            (1, 1, False, False),
            (1, 1, True, True),
        ):
            yield network(draw).train(training), draw.uniform(3, 2, 8, 12), part, layer, fails

    def shown(self, model, images, part, layer, fails):
        return f"{self.name}() for a layer in the middle"

    def use(self, answer, model, images, part, layer, fails):
        found = asked(answer, model, images, model[part][layer], fails=fails)
        return {"the error of the model": True} if fails else {"the maps of the layer": found}


# Answers


def maps_of(model: nn.Module, images: Tensor, layer: nn.Module) -> Tensor:
    """Images (N, channels, height, width) to the layer's output, (N, maps, rows, columns)."""
    kept: list[Tensor] = []
    hook = layer.register_forward_hook(lambda _, inputs, output: kept.append(output.clone()))
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            model(images)
    finally:
        hook.remove()
        model.train(was_training)
    return kept[0]


def keeping(keep=lambda inputs, output: output.detach().clone(), evaluate=True, restore=True, remove=True):
    """The maps, with something left out."""

    def answer(model, images, layer):
        kept, before = [], model.training
        hook = layer.register_forward_hook(lambda _, inputs, output: kept.append(keep(inputs, output)))
        if evaluate:
            model.eval()
        try:
            model(images)
        finally:
            if remove:
                hook.remove()
            if restore:
                model.train(before)
        return kept[0]

    return answer


def without_finally(mode_in_finally=False):
    def answer(model, images, layer):
        kept, before = [], model.training
        hook = layer.register_forward_hook(lambda _, inputs, output: kept.append(output.clone()))
        try:
            with torch.no_grad():
                model.eval()(images)
        except RuntimeError:
            if mode_in_finally:
                hook.remove()
            raise
        hook.remove()
        model.train(before)
        return kept[0]

    return answer


def hiding(model, images, layer):
    try:
        return maps_of(model, images, layer)
    except RuntimeError:
        return None


def with_evaluation_mode(model, images, layer):
    kept = {}
    hook = layer.register_forward_hook(lambda _, inputs, output: kept.update(maps=output.detach().clone()))
    try:
        with evaluation_mode(model), torch.inference_mode(False), torch.no_grad():
            model(images)
    finally:
        hook.remove()
    return kept["maps"]


slips = [
    (
        keeping(lambda inputs, output: output.detach()),
        "A layer that works in place reached the maps: `detach()` shares memory, `clone()` does not.",
    ),
    (
        keeping(lambda inputs, output: inputs[0].detach().clone()),
        "That is what came into the layer; what it returns is the hook's third argument.",
    ),
    (lambda *given: [maps_of(*given)], "That is a list with the maps in it: return its element."),
]
also_wrong = [
    (keeping(lambda inputs, output: output.clone()), "still part of its graph"),
    (keeping(evaluate=False), "asked in training mode"),
    (keeping(restore=False), "after the call the mode"),
    (keeping(remove=False), "after the call the number of hooks"),
    (without_finally(), "after the model had failed the number of hooks"),
    (without_finally(mode_in_finally=True), "after the model had failed the mode"),
    (hiding, "`finally` does not"),
]
also_right = [with_evaluation_mode, keeping()]
