"""What a task is, and how an answer to it is observed and judged."""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from course_lib.exercises.draw import Draw, as_at_first
from course_lib.exercises.values import agrees, differ, of_another_kind, shown

PUBLIC = 0  # the seed of the inputs on a page
Answer = Callable[..., Any]
Slips = Sequence[tuple[Answer, str]]
DEFAULTS = "With all arguments given it is right: leave the defaults in the page's first line as they are."
CHANGES = {
    "tensor": "`x += ...`, `x[...] = ...` and methods that end with `_` write into the caller's tensor: `clone` it.",
    "list": "`append`, `sort` and `reverse` change the caller's list: `sorted(x)` or `reversed(x)` leaves it alone.",
    "module": "It may be in use: leave its numbers, its mode and `requires_grad` as they are.",
}


class Wrong(Exception):  # noqa: N818  # a verdict, not a fault of the program
    """An answer is not right.

    Args:
        found: what the answer did.
        expected: what it should have done.
        slip: the likeliest reason, where there is one.
        part: what of it is wrong, in words that tell nothing of the inputs.
    """

    def __init__(self, found: str, expected: str, slip: str = "", part: str = "the result") -> None:
        super().__init__(found)
        self.found, self.expected, self.slip, self.part = found, expected, slip, part


class Task:
    """A task of a page of exercises: a class of its own, in a file of its own, of which everything else is made.

    A subclass says what is below and has `inputs`; where that is not enough, it also has `use`, which calls an answer
    and returns what is to be looked at, or `assert_correct`, which says what is right where many answers are. Below
    the line `# Answers` its file holds the solution, a function or class called `name`, and lists of answers: `slips`,
    wrong ones with the sentence for whoever's answer comes to the same; `also_wrong`, with words of what else refuses
    them; and `also_right`.

    Attributes:
        number: lesson and task, such as "04.2".
        title: as on the page.
        name: what the answer is called.
        points: that it counts as graded work.
        worth: points that a part of what `use` returns earns if it is right and others are not.
        statement: what is asked for, in Markdown.
        hints: in the order in which they are given, none of them the solution.
        notice: one more thing, for those who have solved it.
        given: what kind of inputs are drawn, as a student may know it.
        tolerance: by how much numbers may differ, absolutely or relatively.
        forbidden: a pattern of PyTorch's functions that the answer may not call, and what to do instead.
        errors: patterns of an error's message, and the slip behind it.
        otherwise: a part of what `use` returns, and what to say of it where no slip fits.
        drawn: a parameter of the answer, and the defaults of which a variant of the page has one. The statement names
            the solution's own, as in "`shift=4`"; the check always gives the argument, so that any default passes.
    """

    number: str
    title: str
    name: str
    points: int
    statement: str
    hints: tuple[str, ...]
    notice: str
    given: str
    tolerance: float = 1e-4
    forbidden: tuple[str, str] | None = None
    errors: Mapping[str, str] = {}
    otherwise: Mapping[str, str] = {}
    worth: Mapping[str, int] = {}
    drawn: tuple[str, tuple[Any, ...]] | None = None

    file: Path
    solution: Answer
    source: str = ""
    slips: Slips = ()
    also_wrong: Slips = ()
    also_right: Sequence[Answer] = ()

    def __init__(self) -> None:
        self._observed: dict[Answer, Observation] = {}

    def inputs(self, draw: Draw) -> Iterable[tuple[Any, ...]]:
        """The arguments of each call: drawn from a public seed for the page's check, from a secret one in grading."""
        raise NotImplementedError

    def use(self, answer: Answer, *arguments: Any) -> Any:
        """What comes of an answer: numbers, texts, tensors and collections of them; or a dictionary of its parts.

        A part is called as in a sentence, "the loss". Raises `Wrong` about what no number can show.
        """
        return call(answer, *arguments)

    def shown(self, *arguments: Any) -> str:
        """Arguments as feedback names them."""
        return f"{self.name}({', '.join(map(shown, arguments))})"

    def assert_correct(self, observed: list[Any], reference: list[Any], draw: Draw) -> None:
        """Go on if what was observed of an answer is right; `reference` was observed of the solution.

        There is less of `observed` where the answer failed.

        Raises:
            Wrong: it is not, with the sentence of the first slip of which the same was observed.
        """
        calls = list(self.inputs(draw))
        for index, (values, reference_values) in enumerate(zip(observed, reference, strict=False)):
            for part, expected in parts(reference_values).items():
                value = part_of(values, part)
                if not agrees(value, expected, self.tolerance):
                    call_text = self.shown(*calls[index])
                    prefix = f"{call_text} gave" if part == RESULT else f"{part}, with {call_text}, was"
                    slip = self._likeliest_slip(part, index, calls, observed, reference) if draw.seed == PUBLIC else ""
                    raise Wrong(*differ(prefix, value, expected, self.tolerance), slip, part)

    def _likeliest_slip(
        self, part: str, index: int, calls: list[tuple[Any, ...]], observed: list[Any], reference: list[Any]
    ) -> str:
        """The sentence for whoever's answer has a part wrong, in the call at `index` for the first time."""
        return (
            self._slip_with_the_same(part, observed, slice(None))
            or of_another_kind(part_of(observed[index], part), part_of(reference[index], part))
            or (DEFAULTS if self._only_defaults(calls, observed, reference) else "")
            or self.otherwise.get(part, "")
            or self._slip_with_the_same(part, observed, slice(index, index + 1))
        )

    def _slip_with_the_same(self, part: str, observed: list[Any], calls: slice) -> str:
        """The sentence of the first slip of which the same part was observed in some calls; "" if there is none."""
        values = [part_of(observed_round, part) for observed_round in observed]
        for slip, words in self.slips:
            slip_values = [part_of(observed_round, part) for observed_round in self.observed(slip).rounds][
                : len(values)
            ]
            if agrees(values[calls], slip_values[calls], self.tolerance):
                return words
        return ""

    def observed(self, answer: Answer) -> "Observation":
        """What comes of the solution, or of a slip, with the inputs of the page: the same each time, so run once."""
        if answer not in self._observed:
            self._observed[answer] = observation(self, answer)
        return self._observed[answer]

    def _only_defaults(self, calls: list[tuple[Any, ...]], observed: list[Any], reference: list[Any]) -> bool:
        """Whether calls are right with all arguments given, and wrong only where some were left out."""
        num_arguments = max(map(len, calls))
        full = [
            pair
            for arguments, *pair in zip(calls, observed, reference, strict=False)
            if len(arguments) == num_arguments
        ]
        return 0 < len(full) < len(calls) and all(
            agrees(value, reference_value, self.tolerance) for value, reference_value in full
        )


RESULT = "the result"


def parts(observed: Any) -> dict[str, Any]:
    """What was observed in one round, by the names of its parts, which are words with a space between."""
    if isinstance(observed, dict) and observed and all(isinstance(key, str) and " " in key for key in observed):
        return observed
    return {RESULT: observed}


def part_of(observed: Any, part: str) -> Any:
    """One part of what was observed in a round; None if it lacks that."""
    return observed if part == RESULT else observed.get(part) if isinstance(observed, dict) else None


@dataclass(frozen=True)
class Observation:
    """What came of an answer: in each round, a call, up to that in which it failed; and the default that it has."""

    rounds: list[Any]
    error: Exception | None = None
    default: object = None


class Recorded:
    """An answer without its code: only what came of it with the inputs of the page is known."""

    def __init__(self, observed: Observation, parameters: Iterable[str] = ()) -> None:
        self.observed = observed
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        self.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in parameters])

    def __call__(self, *arguments: object) -> None:
        """Nothing can be said of other inputs."""
        raise NotImplementedError("this answer is a record, made for the inputs of the page")


def observation(task: Task, answer: Answer, seed: int = PUBLIC) -> Observation:
    """What comes of an answer for each of the inputs; in grading, this runs where the submission does."""
    if isinstance(answer, Recorded) and seed == PUBLIC:
        return answer.observed
    allowed, rounds = by_hand(answer, *task.forbidden) if task.forbidden else answer, list[Any]()
    with as_at_first():  # whatever else was switched or seeded meanwhile
        try:
            for arguments in task.inputs(Draw(seed)):
                rounds.append(task.use(allowed, *arguments))
            return Observation(rounds, None, _default(answer, task.drawn[0]) if task.drawn else None)
        except Exception as error:
            return Observation(rounds, error)


def decide(task: Task, observed: Observation, reference: Observation, seed: int = PUBLIC) -> None:
    """Go on if what was observed of an answer is right, and so is the default that a variant has drawn.

    Raises:
        Wrong: it is not.
    """
    if observed.error and type(task).assert_correct is not Task.assert_correct:
        return
    with as_at_first():
        task.assert_correct(observed.rounds, reference.rounds, Draw(seed))
    if not task.drawn or observed.error:
        return
    if observed.default not in (task.drawn[1] if seed == PUBLIC else (reference.default,)):
        name = task.drawn[0]
        found = f"`{name}` is {shown(observed.default)} unless it is given"
        part = f"the default of `{name}`, which is {shown(reference.default)} on the page"
        raise Wrong(found, "the default of the page", "Leave the page's defaults as they are.", part)


def _default(answer: Answer, name: str) -> object:
    """The default of a parameter."""
    parameter = inspect.signature(answer).parameters.get(name)
    return parameter.default if parameter else None


def refuse(expected: str, *cases: tuple[bool, str, str]) -> None:
    """Go on if none of the cases holds.

    Args:
        expected: what should have been instead.
        cases: (whether it holds, what was found, the slip).

    Raises:
        Wrong: about the first that holds.
    """
    for holds, found, slip in cases:
        if holds:
            raise Wrong(found, expected, slip, expected)


def call(answer: Answer, *arguments: Any, **kwargs: Any) -> Any:
    """What an answer returns for copies of tensors and lists, and for anything else as it is.

    Raises:
        Wrong: it changed a tensor, a list or a module that it was given.
    """
    copies = _copies(arguments)
    before = [_contents(argument) for argument in copies]
    result = answer(*copies, **kwargs)
    for argument, contents in zip(copies, before, strict=True):
        if not agrees(_contents(argument), contents, 0):
            kind = "list" if isinstance(argument, list) else "tensor" if isinstance(argument, Tensor) else "module"
            changed = f"{name_of(answer)} changed the {kind} that it was given"
            raise Wrong(changed, f"a {kind} as it was before the call", CHANGES[kind], "what it was given")
    return result


def expect_shape(actual: object, shape: tuple[int, ...], name: str, slips: Mapping[tuple[int, ...], str]) -> None:
    """Go on if `actual` is a tensor of a shape; the sentences go with other shapes.

    Raises:
        Wrong: it is not.
    """
    if not isinstance(actual, Tensor):
        expected, slip = f"a tensor of shape {shape}", of_another_kind(actual, torch.ones(1))
        raise Wrong(f"{name} is {shown(actual)}", expected, slip, "the kind of what it returns")
    actual_shape = tuple(actual.shape)
    refuse(
        f"the shape {shape}",
        (actual_shape != shape, f"the shape of {name} is {actual_shape}", slips.get(actual_shape, "")),
    )


def name_of(answer: Answer) -> str:
    """What an answer is called."""
    return getattr(answer, "__name__", type(answer).__name__)


def by_hand(answer: Answer, forbidden: str, slip: str) -> Answer:
    """The answer, which may not call functions of PyTorch whose names hold a pattern, also not by way of a module."""

    class Watch(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: object, args: Any = (), kwargs: Any = None) -> Any:
            name = getattr(function, "__name__", "")
            if re.search(forbidden, f"{getattr(function, '__module__', '')}.{name}"):
                raise Wrong(f"{name_of(answer)} called PyTorch's `{name}`", "the same by hand", slip, "how it is made")
            return function(*args, **(kwargs or {}))

    @wraps(answer)
    def watched(*arguments: Any, **kwargs: Any) -> Any:
        with Watch():
            return answer(*arguments, **kwargs)

    return watched


def _copies(arguments: tuple[Any, ...]) -> list[Any]:
    return [a.clone() if isinstance(a, Tensor) else deepcopy(a) if isinstance(a, list) else a for a in arguments]


def _contents(argument: Any) -> Any:
    """A copy of what an answer could change."""
    if isinstance(argument, nn.Module):
        numbers = {name: tensor.clone() for name, tensor in argument.state_dict().items()}
        flags = [parameter.requires_grad for parameter in argument.parameters()]
        return numbers, flags, [module.training for module in argument.modules()]
    return _copies((argument,))[0]
