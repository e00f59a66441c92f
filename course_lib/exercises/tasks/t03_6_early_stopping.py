import copy

from torch import nn

from course_lib.exercises.task import Task, Wrong


class EarlyStoppingTask(Task):
    number, title, name, points = "03.6", "Stop in time", "EarlyStopping", 2
    statement = """
In the lesson early stopping looked at a finished list of losses. In a training the losses come one by one. Write a
class with two methods: `stop(loss, model)` is called after each epoch with its validation loss and says whether the
last `patience` epochs in a row brought no new best; `restore(model)` puts the model back to how it was after the best
epoch, its batch norm averages included. A loss that only equals the best one is no new best.
"""
    hints = (
        "Keep three things: the best loss, the state of its epoch, and how many epochs have passed since.",
        "`state_dict()` holds the living tensors, which the next step changes: copy.deepcopy takes a picture of them.",
    )
    notice = "The best of many noisy losses flatters: report a score on images that did not choose the epoch."
    worth = {"the epoch after which it stops": 1}
    given = "drawn losses with ties, and a patience of 1 to 3"

    def inputs(self, draw):
        yield [3, 2, 2.5, 1.8, 1.9, 1.7, 1.7, 1.75, 1.76, 1.6], 2
        yield [2, 1, 1.4, 1.3, 1.2, 0.9], 3
        yield [5, 6, 7], 1
        for patience in (1, 2, 3):
            drawn = draw.whole(4, 9, 6).tolist()
            yield [loss / 8 for loss in (*drawn[:3], 3, 3, *drawn[3:])], patience

    def shown(self, losses, patience):
        return f"the losses {losses} and a patience of {patience}"

    def use(self, answer, losses, patience):
        model, stopping = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1)), answer(patience)
        for epoch, loss in enumerate(losses, 1):
            for tensor in model.state_dict().values():
                tensor.fill_(epoch)
            if stopping.stop(loss, model):
                break
        try:
            stopping.restore(model)
        except NotImplementedError:  # still to be written
            raise
        except (TypeError, AttributeError, RuntimeError) as error:
            slip = "Was a state kept? The first loss is a new best, however large: begin with float('inf')."
            raise Wrong(f"restore(model) raised {error!r}", "the state of the best epoch", slip) from error
        state = model.state_dict()
        return {
            "the epoch after which it stops": epoch,
            "the epoch whose weights are restored": int(state["0.weight"]),
            "the epoch whose averages are restored": int(state["1.running_mean"]),
        }


# Answers


class EarlyStopping:
    """Says when validation loss has not improved for `patience` epochs; keeps the best state."""

    def __init__(self, patience: int) -> None:
        self.patience, self.waited = patience, 0
        self.best, self.state = float("inf"), {}

    def stop(self, loss: float, model: nn.Module) -> bool:
        """Note the loss of an epoch; True when it is time to stop."""
        self.waited += 1
        if loss < self.best:
            self.best, self.waited = loss, 0
            self.state = copy.deepcopy(model.state_dict())
        return self.waited >= self.patience

    def restore(self, model: nn.Module) -> None:
        """Give the model the state of the best epoch."""
        model.load_state_dict(self.state)


BETTER, RETURN, COPY = "loss < self.best", "return self.waited >= self.patience", "copy.deepcopy(model.state_dict())"
slips = [
    ({RETURN: "return self.waited > self.patience"}, "One epoch too late: `patience` epochs in a row are enough."),
    ({RETURN: f"{RETURN} - 1"}, "One epoch too early: the best epoch itself is not one of the `patience`."),
    ({"waited = loss, 0": "waited = loss, self.waited - 1"}, "A new best must set the count of epochs back to 0."),
    ({BETTER: "loss <= self.best"}, "A loss equal to the best is no new best."),
    ({"        return": "        self.best = loss\n        return"}, "Compare with the best loss, not with the last."),
    ({"return ": ""}, "It never says stop: does `stop` return its verdict?"),
    (
        {
            COPY: "copy.deepcopy(list(model.parameters()))",
            "model.load_state_dict(self.state)": "[p.data.copy_(q) for p, q in zip(model.parameters(), self.state)]",
        },
        "Batch norm's averages were not kept: `parameters()` lacks them, `state_dict()` does not.",
    ),
    ({COPY: "model.state_dict()"}, "The last epoch's state is there: copy the state at each best, and load it."),
]
also_wrong = [({'float("inf")': "0"}, "however large")]
also_right = [
    {COPY: "{name: tensor.clone() for name, tensor in model.state_dict().items()}"},
    {RETURN: f"{RETURN} or None"},
    {
        "self.waited += 1": "self.losses = [*getattr(self, 'losses', []), loss]",
        RETURN: "return len(self.losses) - 1 - self.losses.index(min(self.losses)) >= self.patience",
    },
]
