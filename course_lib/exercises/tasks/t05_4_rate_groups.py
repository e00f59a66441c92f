from collections.abc import Sequence

from torch import Tensor, nn

from course_lib.exercises.task import Task, Wrong, refuse, shown


class RateGroups(Task):
    number, title, name, points = "05.4", "Smaller steps for earlier stages", "rate_groups", 2
    statement = """
`stages` are the parts of a network in their order, the head last. Return what an optimizer takes: a list of
dictionaries with `"params"` and `"lr"`. The last stage gets `rate`, and each stage before it `decay` times the rate of
the stage after it, `decay=0.7` unless it is given. Frozen parameters are left out, and no group is empty. A stage
without any parameters, such as a pooling, is no step down. A frozen stage is one, so that thawing it later changes
nobody else's rate. A parameter that several stages share belongs to the last of them alone: optimizers refuse one that
comes twice.
"""
    hints = (
        "Go through `reversed(stages)` with a rate that shrinks; the head comes first.",
        "Skip a stage without parameters before the rate shrinks, a frozen one after.",
        "For what was taken already, a set of `id(parameter)`: `in` compares tensors by their numbers, which fails.",
    )
    notice = "With decay 0.7, the first of nine stages learns at a seventeenth of the head's rate: nearly frozen."
    given = "stages of which one is frozen, and drawn rates and decays"
    drawn = "decay", (0.5, 0.6, 0.7, 0.8)
    tolerance = 1e-6

    def inputs(self, draw):
        stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        stem[0].weight.requires_grad = False
        cold, body = nn.Conv2d(4, 4, 3).requires_grad_(False), nn.Sequential(nn.Flatten(), nn.Linear(4, 4))
        head = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
        tied = [nn.Linear(4, 4), nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))]
        tied[2][0].weight = tied[0].weight
        yield [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)], 0.01, 0.5
        yield [stem, nn.MaxPool2d(2), nn.Conv2d(4, 4, 3), cold, nn.AvgPool2d(2), body, head], 1e-2, 0.7
        yield tied, 0.1, 0.3
        yield [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), head], 1, 1
        for _ in range(2):
            stages = [nn.Conv2d(2, 3, 3), nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)), nn.MaxPool2d(2)]
            stages[draw.number(0, 1)].requires_grad_(False)
            yield [*stages, nn.Conv2d(4, 5, 1, bias=False), nn.Linear(5, 2)], 0.1, draw.number(3, 9) / 10

    def shown(self, stages, rate, decay):
        return f"{len(stages)} stages, rate {rate} and decay {decay}"

    def use(self, answer, stages, rate, decay):
        copy = list(stages)
        groups = answer(copy, rate, decay)
        turned = [id(stage) for stage in copy] != [id(stage) for stage in stages]
        slip = "`reverse` works in place: use `reversed`."
        rates = self.rates_of(groups, stages)
        refuse("it as it was", (turned, "the list of stages had changed", slip))
        return {"the rates by name": rates}

    def rates_of(self, groups, stages):
        """The rate of each parameter in groups, by its name, if exactly those that learn are there, each once."""
        named = [
            (p, f"{name} of stages[{k}]") for k, stage in enumerate(stages) for name, p in stage.named_parameters()
        ]
        names = {id(parameter): name for parameter, name in named}
        learn = {id(p) for stage in stages for p in stage.parameters() if p.requires_grad}
        rates = {}
        if not isinstance(groups, list | tuple):
            raise Wrong(f"rate_groups() gave {shown(groups)}", "a list of dictionaries", "Does it end with `return`?")
        for group in groups:
            if not isinstance(group, dict) or not {"params", "lr"} <= group.keys():
                found = f"a group with the keys {shown(list(group))}" if isinstance(group, dict) else shown(group)
                raise Wrong(found, '"params" and "lr"', "An optimizer knows parameters and rate by these names.")
            parameters = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
            slip = "Add it only if something in the stage learns."
            refuse("no such group", (not parameters, "a group without parameters", slip))
            for parameter in parameters:
                name = names.get(id(parameter), "a tensor that is no parameter of the stages")
                slip = "Stages may share one: note which were taken already."
                refuse("each parameter once", (name in rates, f"{name} is there twice", slip))
                slip = "Of a stage, only some may be frozen: ask `requires_grad` of each parameter."
                refuse("no frozen parameter", (not parameter.requires_grad, f"{name} is there", slip))
                rates[name] = group["lr"]
        slip = "It learns: does another one of its stage hide it, or a comparison by numbers?"
        missing = [names[key] for key in names if key in learn and names[key] not in rates]
        refuse("all parameters with `requires_grad`", (bool(missing), f"{missing[:1]} is missing", slip))
        return dict(sorted(rates.items()))


# Answers


# fmt: off
def rate_groups(
    stages: Sequence[nn.Module], rate: float, decay: float = 0.7
) -> list[dict[str, object]]:
    """Stages, the head last, to parameter groups in any order."""
    groups, taken = [], set()
    for stage in reversed(stages):
        own = list(stage.parameters())
        if not own:
            continue
        learning = [p for p in own if p.requires_grad and id(p) not in taken]
        taken.update(map(id, learning))
        if learning:
            groups.append({"params": learning, "lr": rate})
        rate = decay * rate
    return groups
# fmt: on


START, SHRINK, LEARNS, NEW = "    groups, taken", "rate = decay * rate", "p.requires_grad and", "id(p) not in taken"
slips = [
    ({SHRINK: "pass"}, "All have one rate: multiply it by `decay` from stage to stage."),
    ({START: f"    {SHRINK}\n{START}"}, "The last stage begins with `rate` itself: shrink it afterwards."),
    ({"continue": "pass"}, "A stage without parameters, a pooling, is no step down."),
    ({"if not own": "if not any(p.requires_grad for p in own)"}, "A frozen stage is a step, too."),
    (
        {NEW: "all(p is not q for other in stages[: stages.index(stage)] for q in other.parameters())"},
        "A shared parameter belongs to the last of its stages.",
    ),
    ({SHRINK: "rate = once", START: f"    once = decay * rate\n{START}"}, "It shrank once: multiply at each stage."),
    ({"decay * rate": "rate / decay"}, "The rates grow toward the first stage: they have to shrink."),
    ({"reversed(stages)": "stages"}, "The first stage got `rate`: the last has to, so begin there."),
]
also_wrong = [
    ({'"lr"': '"rate"'}, "by these names"),
    ({"if learning": "if own"}, "no such group"),
    ({f" and {NEW}": ""}, "is there twice"),
    ({LEARNS: "any(q.requires_grad for q in own) and"}, "no frozen parameter"),
    ({LEARNS: "all(q.requires_grad for q in own) and"}, "is missing"),
    ({"reversed(stages)": "stages.reverse() or stages"}, "works in place"),
]
also_right = [
    {
        'groups.append({"params": learning, "lr": rate})': 'groups += [{"params": p, "lr": rate} for p in learning]',
        "return groups": "return tuple(groups)",
    },
]
