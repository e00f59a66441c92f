"""How long until the images are there, the first time and from the cache. Prints seconds and peak memory.

The real X-rays are read where COURSE_REAL_DATA names the folder that holds chest_xray/.

    python tests/benchmarks/data_speed.py
"""

import os
import subprocess
import sys
import tempfile

SIMULATED = """
import torch
torch.set_num_threads(1)
from course_lib.data import simulate_radiographs
from course_lib.data.cache import cached
work = lambda: cached("simulated", 0, lambda: simulate_radiographs(1000, image_size=64))
"""
REAL = """
import os
from pathlib import Path
from course_lib.data import load_chest_xray
work = lambda: load_chest_xray("real", root=Path(os.environ["COURSE_REAL_DATA"]), image_size=128).train
"""
MEASURE = """
import resource, time
started = time.perf_counter()
work()
print(f"{time.perf_counter() - started:6.2f} s, peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")
"""


def measure(name: str, program: str) -> None:
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "COURSE_DATA_DIR": cache}
        for when in ("first time", "from cache"):
            command = [sys.executable, "-c", program + MEASURE]
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            print(f"{name:42} {when}: {done.stdout.strip()}")


def main() -> None:
    measure("1,000 simulated radiographs, 64 px, 1 core", SIMULATED)
    if "COURSE_REAL_DATA" in os.environ:
        measure("5,216 real X-rays, 128 px", REAL)


if __name__ == "__main__":
    main()
