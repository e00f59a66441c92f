import torch
from torch import Tensor, nn

from course_lib.exercises.task import Task
from course_lib.exercises.traces import call_without_trace, network
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
        cases = (0, 1, True, False), (1, 0, True, False), (1, 1, False, False), (1, 1, True, True)
        for part, layer, training, fails in cases:
            yield network(draw).train(training), draw.uniform(3, 2, 8, 12), part, layer, fails

    def shown(self, model, images, part, layer, fails):
        return f"{self.name}() for a layer in the middle"

    def use(self, answer, model, images, part, layer, fails):
        maps = call_without_trace(answer, model, images, model[part][layer], fails=fails)
        return {"the error of the model": True} if fails else {"the maps of the layer": maps}


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


def with_evaluation_mode(model, images, layer):
    kept = {}
    hook = layer.register_forward_hook(lambda _, inputs, output: kept.update(maps=output.detach().clone()))
    try:
        with evaluation_mode(model), torch.inference_mode(False), torch.no_grad():
            model(images)
    finally:
        hook.remove()
    return kept["maps"]


REMOVE, RESTORE = "        hook.remove()\n", "        model.train(was_training)\n"
slips = [
    ({"output.clone()": "output.detach()"}, "A layer that works in place reached the maps: `clone()` them."),
    (
        {"output.clone()": "inputs[0].clone()"},
        "That is what came into the layer; what came out is the hook's third argument.",
    ),
    ({"kept[0]": "kept"}, "That is a list with the maps in it: return its element."),
]
also_wrong = [
    ({"no_grad": "enable_grad"}, "still part of its graph"),
    ({"    model.eval()\n": ""}, "asked in training mode"),
    ({RESTORE: ""}, "after the call the mode"),
    ({REMOVE: ""}, "after the call the number of hooks"),
    ({REMOVE + RESTORE: RESTORE + REMOVE[4:]}, "after the model had failed the number of hooks"),
    ({RESTORE: RESTORE[4:]}, "after the model had failed the mode"),
    ({"    finally": "    except RuntimeError:\n        return None\n    finally"}, "`finally` does not"),
]
also_right = [with_evaluation_mode]
