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
    found = [fault for right in (task.solution, *task.also_right) for fault in _refusals(task, right)]
    found += [fault for wrong, words in (*task.slips, *task.also_wrong) for fault in _leniency(task, wrong, words)]
    found += _worthless(task)
    counts = Counter(words for _, words in (*task.slips, *task.also_wrong))
    return found + [
        f"{task.number}: two wrong answers earn the same words: {words}" for words in counts if counts[words] > 1
    ]


def gaps(task: Task) -> list[str]:
    """Of which answers a task says too little to be sure of it."""
    found = []
    if len(task.slips) + len(task.also_wrong) < 4:
        found.append(f"{task.number}: fewer than four wrong answers; what do learners do instead?")
    if not task.also_right:
        found.append(f"{task.number}: no right answer in `also_right` but the solution; how else can it be solved?")
    return found


def _worthless(task: Task) -> list[str]:
    """What is wrong with the points of parts."""
    there = {part for one in observation(task, task.solution).rounds for part in parts(one)}
    found = [
        f"{task.number}: worth {part!r}, but its parts are {sorted(there)}" for part in task.worth if part not in there
    ]
    if sum(task.worth.values()) > task.points:
        found.append(f"{task.number}: its parts are worth more than its {task.points} points together")
    return found


def _refusals(task: Task, right: Answer) -> list[str]:
    """Where an answer that should be right is refused."""
    said = engine.result_of(task, right)
    found = [f"{_named(task, right)} is right, but refused: {said}"] if said.state != "correct" else []
    for seed in SEEDS:
        if fault := hidden_fault(task, right, seed):
            found.append(f"{_named(task, right)} is right, but refused with the inputs of seed {seed}: {fault}")
    return found


def _leniency(task: Task, wrong: Answer, words: str) -> list[str]:
    """Where an answer that should be wrong is accepted, or told something else than its words."""
    said = engine.result_of(task, wrong)
    if said.state != "incorrect":
        return [f"{_named(task, wrong)} should be refused with {words!r}, but is {said.state}"]
    if not any(words in text for _, text in said.findings):
        return [f"{_named(task, wrong)} should be told {words!r}, but is: {said}"]
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
