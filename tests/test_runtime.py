import os
import platform
import random
import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from course_lib import runtime
from course_lib.runtime import Precision, host, pick_device, seed_everything, shortest_times, unused_gpu


def test_an_absent_device_is_named_with_those_that_are_here() -> None:
    with pytest.raises(ValueError, match=r"'tpu' is not available; this machine has: cpu"):
        pick_device("tpu")


def test_cuda_is_preferred_to_mps_and_mps_to_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COURSE_DEVICE", raising=False)
    for cuda, mps, expected in ((True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: mps)
        assert pick_device().type == expected


def test_the_environment_names_the_device_unless_the_caller_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    assert pick_device().type == "cpu"
    assert pick_device("cuda:1") == torch.device("cuda:1")


def test_the_seed_reaches_python_numpy_and_torch() -> None:
    def draw() -> tuple[float, float, float]:
        seed_everything(3)
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    assert draw() == draw()


@pytest.mark.parametrize(("capability", "dtype"), [((6, 1), None), ((7, 5), torch.float16), ((8, 0), torch.bfloat16)])
def test_a_gpu_is_given_the_format_that_its_generation_multiplies(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: torch.dtype | None
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert Precision.best(torch.device("cuda")).dtype is dtype


@pytest.mark.parametrize("has", [True, False])
def test_a_processor_gets_bfloat16_only_if_it_has_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, has: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    precision = Precision.best(torch.device("cpu"))
    assert precision.name == ("bfloat16" if has else "float32")
    with precision.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == (precision.dtype or torch.float32)


def test_depthwise_convolutions_stay_in_float32_on_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    device = torch.device("cpu")
    assert Precision.best(device, nn.Sequential(nn.Conv2d(8, 8, 3))).name == "bfloat16"
    assert Precision.best(device, nn.Sequential(nn.Conv2d(8, 8, 3, groups=8))).name == "float32"


def test_a_torch_without_the_private_question_gets_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    assert Precision.best(torch.device("cpu")).name == "float32"


def test_only_float16_scales_its_gradients() -> None:
    assert not Precision("cpu", torch.bfloat16).scaler().is_enabled()
    assert Precision("cpu", torch.float16).scaler().is_enabled()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is asked to keep memory")
def test_freed_memory_is_kept_for_the_next_tensor() -> None:
    program = """
import resource, sys, torch
from course_lib.runtime import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
for number in range(30):
    if number == 20:  # once the heap has found its size
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)  # 64 MiB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

    def page_faults(how: str) -> int:
        command = [sys.executable, "-c", program, how]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert page_faults("keep") < page_faults("let go") / 4


def test_where_it_runs_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert host() == "this machine"
    monkeypatch.setenv("BINDER_LAUNCH_HOST", "https://mybinder.org/")
    assert host() == "Binder"
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    assert host() == "Colab"
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")  # whose image has Colab's package as well
    assert host() == "Kaggle"


def test_a_gpu_that_could_be_had_is_named_with_the_way_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COURSE_DEVICE", raising=False)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert unused_gpu(torch.device("cpu")) == ""
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: False)
    assert "built without CUDA" in unused_gpu(torch.device("cpu"))
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    assert "Change runtime type" in unused_gpu(torch.device("cpu"))
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    assert "Settings, Accelerator" in unused_gpu(torch.device("cpu"))
    assert unused_gpu(torch.device("cuda")) == ""
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    assert unused_gpu(torch.device("cpu")) == ""


def test_the_profiler_writes_nothing_to_stderr() -> None:
    program = (
        "import torch\nfrom course_lib.runtime import keep_profiler_quiet\nkeep_profiler_quiet()\n"
        "with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]): torch.ones(2) + 1"
    )
    environment = {name: value for name, value in os.environ.items() if name != "KINETO_LOG_LEVEL"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stderr == ""


def test_works_take_turns_and_the_shortest_time_of_each_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    clock = iter([0, 5, 10, 11, 20, 22, 30, 34])  # a took 5 and 2 seconds, b 1 and 4
    monkeypatch.setattr(runtime.time, "perf_counter", lambda: next(clock))
    works = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    assert shortest_times(works, torch.device("cpu"), rounds=2) == {"a": 2, "b": 1}
    assert order == ["a", "b", "a", "b"]
