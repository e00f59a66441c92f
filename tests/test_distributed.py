"""Two processes that train together by gloo, against one that trains alone."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from course_lib.data.cifar10 import CLASSES
from course_lib.distributed import backend, joined, sharing_gradients, team

ARGUMENTS = ["train", "cifar10", "--data", "real"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """cifar10/train with 61 noisy images of each class, each class in a shade of its own."""
    root = tmp_path_factory.mktemp("photos")
    draw = np.random.default_rng(0)
    for number, name in enumerate(CLASSES):
        folder = root / "cifar10" / "train" / name
        folder.mkdir(parents=True)
        for index in range(61):
            pixels = draw.normal([60 + 15 * number, 120, 200 - 15 * number], 60, (32, 32, 3)).clip(0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index}.png")
    return root


def start(processes: int, *arguments: str) -> subprocess.Popen[str]:
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
    command = [sys.executable, "-m", *(launcher if processes > 1 else []), "course_lib", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def train(processes: int, *arguments: str) -> str:
    process = start(processes, *ARGUMENTS, *arguments)
    output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    return output


def test_the_command_reaches_with_two_processes_what_it_reaches_with_one(photos: Path, tmp_path: Path) -> None:
    for processes in (1, 2):
        said = train(processes, "--root", str(photos), "--epochs", "2", "--out", str(tmp_path / str(processes)))
        assert said.count("trained in") == 1
    configs = [json.loads((tmp_path / name / "config.json").read_text())["training"] for name in "12"]
    assert configs[1]["flops"] == pytest.approx(configs[0]["flops"], rel=0.1)  # Muon's update is made twice
    assert configs[1]["flops"] > configs[0]["flops"]
    alone, together = (tmp_path / name / "history.csv" for name in "12")
    first, second = (np.loadtxt(path, delimiter=",", skiprows=1)[:, 1:3] for path in (alone, together))
    np.testing.assert_allclose(second, first, rtol=0.05)  # losses, in the precision that this processor has


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes to kill as Linux lists them")
def test_a_killed_process_ends_the_run_with_a_clear_message_and_resume_goes_on(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = ["--root", str(photos), "--epochs", "12", "--out", str(out)]
    process = start(2, *ARGUMENTS, *arguments)
    deadline = time.monotonic() + 120
    while not (out / "history.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = [int(pid) for pid in _children(process.pid)]
    os.kill(workers[1], signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert f"{out} keeps the last whole epoch, go on with --resume" in errors
    before = (out / "history.csv").read_text().splitlines()
    assert 2 <= len(before) < 13  # a line of names, then one for each epoch
    train(2, *arguments, "--resume")
    after = (out / "history.csv").read_text().splitlines()
    assert len(after) == 13
    assert after[: len(before)] == before
    assert (out / "model_card.md").exists()


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


PROGRAM = """
import sys, torch
from pathlib import Path
from torch import nn
from course_lib.data import Batches, ImageSet, PhotoAugmentation
from course_lib.distributed import gather, joined, sharing_gradients, sum_over_team, synchronized_batch_norm
from course_lib.models import FastCNN
from course_lib.runtime import Precision
from course_lib.training import fit

def threads():
    return [name.read_text() for name in Path("/proc/self/task").glob("*/comm")]

torch.manual_seed(0)
images, labels = torch.randint(0, 256, (47, 3, 16, 16), dtype=torch.uint8), torch.arange(47) % 3
data = ImageSet(images, labels, ("a", "b", "c"), tuple(map(str, range(47))), "noise", "none")
small = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 14, 3))
with joined(torch.device("cpu")) as team:
    mine = slice(team.rank, None, team.size)
    replica = sharing_gradients(small)
    with synchronized_batch_norm(small):
        losses = nn.functional.cross_entropy(replica(images[mine] / 255), labels[mine], reduction="sum")
        (losses * team.size / 47).backward()
    del replica
    step = {name: parameter.grad for name, parameter in small.named_parameters()} | dict(small[1].named_buffers())
    trained = {}
    for optimizer in ("adamw", "muon"):
        torch.manual_seed(1)
        model, share = FastCNN((8, 16), num_classes=3), {"rank": team.rank, "world_size": team.size}
        train = Batches(data, 11, shuffle=True, augment=PhotoAugmentation(cutout=4), **share)
        history = fit(
            model, train, Batches(data, 7, **share), epochs=2, optimizer_name=optimizer, learning_rate=0.01,
            ema_decay=0.5, precision=Precision("cpu", None),
        )
        trained |= {f"{optimizer} {name}": tensor for name, tensor in model.state_dict().items()}
        trained |= {f"{optimizer} {name}": torch.tensor(column) for name, column in history.columns().items()}
    found = {"threads": threads(), "step": step, "trained": trained, "gathered": gather(images[mine]),
        "sum": sum_over_team(torch.tensor([team.rank + 1.0]))}
found["threads after"] = threads()
torch.save(found, f"{sys.argv[1]}/{team.size}-{team.rank}.pt")
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the program saves when run by itself, and by each of two processes."""
    folder = tmp_path_factory.mktemp("results")
    script = folder / "program.py"
    script.write_text(PROGRAM)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for before in ([], launcher):
        command = [sys.executable, *before, str(script), str(folder)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{name}.pt") for name in ("1-0", "2-0", "2-1")]


def test_two_processes_train_the_network_that_one_process_trains(results: list[dict[str, Any]]) -> None:
    alone, first, second = (result["trained"] for result in results)
    for name in (name for name in alone if not name.endswith(("seconds", "flops"))):
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], alone[name], atol=2e-3, rtol=2e-3, msg=lambda m, n=name: f"{n}: {m}")


def test_a_teams_arithmetic_is_the_sum_of_its_processes(results: list[dict[str, Any]]) -> None:
    alone, first, second = (result["trained"] for result in results)
    assert torch.equal(first["adamw train_flops"], alone["adamw train_flops"])
    assert torch.equal(second["adamw train_flops"], first["adamw train_flops"])
    # Muon's update is done by each process: once more than alone, in each of five steps an epoch.
    once, twice = (found["muon train_flops"] - found["adamw train_flops"] for found in (alone, first))
    assert torch.equal(twice, 2 * once)
    assert bool((once > 0).all())


def test_a_team_adds_up_gradients_and_batch_statistics_to_those_of_one_process(results: list[dict[str, Any]]) -> None:
    alone, first, second = (result["step"] for result in results)
    for name in alone:
        torch.testing.assert_close(first[name], alone[name], atol=1e-6, rtol=1e-5)
        assert torch.equal(first[name], second[name]), name


def test_a_team_gathers_and_sums(results: list[dict[str, Any]]) -> None:
    alone, first, second = results
    images = alone["gathered"]
    assert torch.equal(first["gathered"], torch.cat([images[::2], images[1::2]]))
    assert torch.equal(first["gathered"], second["gathered"])
    assert float(first["sum"]) == float(second["sum"]) == 3


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads the names of threads as Linux lists them")
def test_no_thread_outlives_the_team(results: list[dict[str, Any]]) -> None:
    for together in results[1:]:
        assert len(together["threads after"]) < len(together["threads"])  # torch 2.6 gives them no name
        assert not any("gloo" in name for name in together["threads after"])  # they may abort the process at its end


def test_a_team_talks_by_nccl_only_where_each_process_has_a_gpu() -> None:
    assert backend(torch.device("cpu"), 4, 2) == "gloo"
    assert backend(torch.device("cuda"), 2, 2) == "nccl"
    with pytest.raises(ValueError, match=r"2 processes cannot share the cuda device .* or set COURSE_DEVICE=cpu"):
        backend(torch.device("cuda"), 1, 2)
    with pytest.raises(ValueError, match="3 processes cannot share the mps device"):
        backend(torch.device("mps"), 0, 3)


def test_a_process_that_torchrun_did_not_start_is_a_team_of_one() -> None:
    model = nn.Linear(2, 2)
    with joined(torch.device("cpu")) as alone:
        assert alone == team() == (0, 1)
        assert sharing_gradients(model) is model
