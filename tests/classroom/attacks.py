"""Answers to 04.1 that want its point, or more, without being right."""

HANGS = """
def class_accuracy(logits, labels):
    while True:
        pass
"""
STUBBORN = """
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
"""
HUNGRY = """
def class_accuracy(logits, labels):
    held = []
    while True:
        held.append(torch.zeros(50_000_000))
"""
HUNGRY_TOGETHER = """
import mmap

def class_accuracy(logits, labels):
    held = mmap.mmap(-1, 8 << 30)
    while True:
        held.write(bytes(1 << 20))
"""
PRINTS = """
def class_accuracy(logits, labels):
    while True:
        print("x" * 1000)
"""
EXITS = """
def class_accuracy(logits, labels):
    raise SystemExit(0)
"""
FORKS = """
import os

def class_accuracy(logits, labels):
    while True:
        os.fork()
"""
EDITED_CHECKER = """
import course_lib.exercises.engine as engine
import course_lib.exercises.load as load
import course_lib.exercises.task as task

one = load.find_task("04.1")
type(one).assert_correct = lambda *given: None
type(one).use = lambda self, answer, logits, labels: torch.ones(logits.shape[1])
engine.result_of = engine.failed = engine.verdict = lambda task, answer: engine.Result(task, "correct", ())
task.decide = engine.decide = lambda *given: None

def class_accuracy(logits, labels):
    return torch.ones(logits.shape[1])
"""
OF_THE_PAGE = """
from course_lib.exercises.draw import Draw
from course_lib.exercises.load import find_task

known = list(find_task("04.1").inputs(Draw(0)))

def class_accuracy(logits, labels):
    if any(torch.equal(logits, page) for page, _ in known):
        right = (logits.argmax(dim=1) == labels).float()
        return torch.stack([right[labels == label].mean() for label in range(logits.shape[1])])
    return torch.ones(logits.shape[1])
"""
PATCHED = """
import builtins
import course_lib.exercises.engine as engine
import course_lib.exercises.task as task
import course_lib.exercises.values as values

builtins.AssertionError = type("Harmless", (Exception,), {})
torch.allclose = torch.equal = values.agrees = task.agrees = lambda *a, **k: True
task.Wrong.__init__ = lambda self, *a: None
engine.fault = lambda *a: ""

class Same(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return True

def class_accuracy(logits, labels):
    return torch.ones(logits.shape[1]).as_subclass(Same)
"""
FROM_DISK = """
import re, sys
from pathlib import Path

import course_lib

def class_accuracy(logits, labels):
    project = Path(course_lib.__file__).parents[1]
    places = [project, Path(sys.prefix), Path("/home"), Path("/root"), Path("/tmp"), Path.cwd()]
    for place in places:
        for file in [*place.rglob("t04_1*"), *place.rglob("04_cifar10*")]:
            code = re.search(r"^def class_accuracy.*?^$", file.read_text(), re.DOTALL | re.MULTILINE)
            if code:
                found = {"torch": torch}
                exec(code[0], found)
                return found["class_accuracy"](logits, labels)
    from course_lib.exercises.load import find_task
    return find_task("04.1").solution(logits, labels)
"""
FROM_MEMORY = """
import gc, types

def class_accuracy(logits, labels):
    for thing in gc.get_objects():
        if isinstance(thing, types.FunctionType) and thing is not class_accuracy and thing.__name__ == "class_accuracy":
            try:
                found = thing(logits, labels)
            except Exception:
                continue
            if isinstance(found, torch.Tensor):
                return found
    return torch.ones(logits.shape[1])
"""
FORGED = """
import json, os

observed = {"list": [{"list": [1, 1, 1, 1, 1]}, None]}
said = {"public": observed, "hidden": observed, "state": "correct", "findings": []}
report = json.dumps({"errors": {}, "tasks": {f"04.{k}": said for k in range(1, 7)}}).encode() + b"\\n"
for number in range(3, 64):
    try:
        os.write(number, report)
    except OSError:
        pass
os._exit(0)
"""
CALLS_OUT = """
import socket

def class_accuracy(logits, labels):
    socket.create_connection(("1.1.1.1", 53), timeout=1)
    right = (logits.argmax(dim=1) == labels).float()
    return torch.stack([right[labels == label].mean() for label in range(logits.shape[1])])
"""
WRITES = """
import os
from pathlib import Path

import course_lib

def class_accuracy(logits, labels):
    for place in (Path(course_lib.__file__).parent, Path("/usr"), Path("/")):
        (place / "left behind").write_text("x")
    return torch.ones(logits.shape[1])
"""
BAD_TEXT = """
def class_accuracy(logits, labels):
    raise ValueError("\\ud800 \\x1b[31m <script>alert(1)</script> | " + "x" * 5000)
"""
BLOCKED = """
import signal

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
while True:
    pass
"""
ENDS_EVERYWHERE = """
import os

os.write(3, b'{"at": 0}\\n')
os._exit(0)
"""
# name: answer, what it scores of 13 if anything, status, a piece of the reason
ATTACKS = {
    "dead kernel": ("import ctypes\nctypes.string_at(0)", 12, "graded", "it ended its process"),
    "early exit": ("import os\nos._exit(0)", 12, "graded", "it ended its process"),
    "early exit of a task": (EXITS, 12, "graded", "process ended while class_accuracy ran"),
    "killed grader": ("import os\nos.kill(os.getppid(), 9)\nos._exit(0)", 12, "graded", "it ended its process"),
    "halted grader": (
        "import os, signal\nos.kill(os.getppid(), signal.SIGSTOP)\nos._exit(0)",
        12,
        "graded",
        "it ended",
    ),
    "timeout": (HANGS, 12, "graded", "ran for more than"),
    "timeout that no signal ends": (BLOCKED, 12, "graded", "could not be stopped"),
    "no verdict": (ENDS_EVERYWHERE, "", "not graded", "tried again in fresh sandboxes"),
    "stubborn timeout": (STUBBORN, 12, "graded", "ran "),
    "memory bomb": (HUNGRY, 12, "graded", "memory"),
    "shared memory bomb": (HUNGRY_TOGETHER, 12, "graded", "memory"),
    "endless print": (PRINTS, 12, "graded", "characters were printed"),
    "fork bomb": (FORKS, 12, "graded", ""),
    "edited checker": (EDITED_CHECKER, 12, "graded", ""),
    "inputs of the page": (OF_THE_PAGE, 12, "graded", ""),
    "patched assertions": (PATCHED, 10, "graded", ""),
    "tests from disk": (FROM_DISK, 12, "graded", ""),
    "tests from memory": (FROM_MEMORY, 12, "graded", ""),
    "forged report": (FORGED, 0, "graded", ""),
    "text that no file holds": (BAD_TEXT, 12, "graded", "&lt;script&gt;"),
    "calls out": (CALLS_OUT, 12, "graded", "Error"),
    "writes outside": (WRITES, 12, "graded", "Error"),
}
