"""Whether a task holds what it says: its solution is right with any inputs, and each wrong answer earns its words."""

from collections import Counter

from course_lib.exercises import engine
from course_lib.exercises.task import Answer, Task, name_of, observation, parts

SEEDS = (1, 2, 3)  # in place of secret ones


def faults(task: Task) -> list[str]:
    """What is wrong with a task, each in a sentence; nothing if it is as it should be."""
    return flaws(task) + gaps(task)


def flaws(task: Task) -> list[str]:
    """Where a task judges an answer otherwise than its file says."""
    messages = [message for right in (task.solution, *task.also_right) for message in _refusals(task, right)]
    messages += [
        message for wrong, words in (*task.slips, *task.also_wrong) for message in _leniency(task, wrong, words)
    ]
    messages += _worthless(task)
    counts = Counter(words for _, words in (*task.slips, *task.also_wrong))
    return messages + [
        f"{task.number}: two wrong answers earn the same words: {words}" for words in counts if counts[words] > 1
    ]


def gaps(task: Task) -> list[str]:
    """Of which answers a task says too little to be sure of it."""
    messages = []
    if len(task.slips) + len(task.also_wrong) < 4:
        messages.append(f"{task.number}: fewer than four wrong answers; what do learners do instead?")
    if not task.also_right:
        messages.append(f"{task.number}: no right answer in `also_right` but the solution; how else can it be solved?")
    return messages


def _worthless(task: Task) -> list[str]:
    """What is wrong with the points of parts."""
    part_names = {part for observed in observation(task, task.solution).rounds for part in parts(observed)}
    messages = [
        f"{task.number}: worth {part!r}, but its parts are {sorted(part_names)}"
        for part in task.worth
        if part not in part_names
    ]
    if sum(task.worth.values()) > task.points:
        messages.append(f"{task.number}: its parts are worth more than its {task.points} points together")
    return messages


def _refusals(task: Task, right: Answer) -> list[str]:
    """Where an answer that should be right is refused."""
    result = engine.result_of(task, right)
    messages = [f"{_named(task, right)} is right, but refused: {result}"] if result.state != "correct" else []
    for seed in SEEDS:
        if fault := hidden_fault(task, right, seed):
            messages.append(f"{_named(task, right)} is right, but refused with the inputs of seed {seed}: {fault}")
    return messages


def _leniency(task: Task, wrong: Answer, words: str) -> list[str]:
    """Where an answer that should be wrong is accepted, or told something else than its words."""
    result = engine.result_of(task, wrong)
    if result.state != "incorrect":
        return [f"{_named(task, wrong)} should be refused with {words!r}, but is {result.state}"]
    if not any(words in text for _, text in result.findings):
        return [f"{_named(task, wrong)} should be told {words!r}, but is: {result}"]
    return []


def hidden_fault(task: Task, answer: Answer, seed: int) -> str:
    """What the hidden check says of an answer with the inputs of a seed; "" for nothing."""
    observed = observation(task, answer, seed)
    if observed.error:
        return f"it raised {type(observed.error).__name__}: {observed.error}"
    return engine.fault(task, observed, observation(task, task.solution, seed), seed)


def _named(task: Task, answer: Answer) -> str:
    code = getattr(answer, "__code__", None)
    return f"{task.number}: {name_of(answer)}" + (f" in line {code.co_firstlineno}" if code else "")
