"""How many mutants of the package its tests notice, by file, and the names of those that they do not.

`make mutants` tries one in five, always the same; names choose others, as in
`python tests/benchmarks/package_mutants.py 'course_lib.metrics.*'`. What mutmut makes lies in `mutants/`, where it
goes on after an interruption; `mutmut show NAME` prints what was changed. Which files, and which tests, is in
`[tool.mutmut]` of pyproject.toml.
"""

import subprocess
import sys
from collections import Counter, defaultdict

ONE_IN_FIVE = ["*3", "*7"]  # the last digit of the number that ends each name


def main(names: list[str]) -> None:
    subprocess.run(["mutmut", "run", *names], check=True)
    results = subprocess.run(["mutmut", "results", "--all", "true"], check=True, capture_output=True, text=True).stdout
    counts, unnoticed = defaultdict[str, Counter[str]](Counter), []
    for name, status in (line.strip().split(": ") for line in results.splitlines()):
        counts[name.partition(".x")[0]][status] += 1
        if status in ("survived", "no tests"):
            unnoticed.append(name)
    print(*unnoticed, sep="\n")
    for file, of in (counts | {"all": sum(counts.values(), Counter[str]())}).items():
        tried = of.total() - of["not checked"]
        noticed = tried - of["survived"] - of["no tests"]
        print(f"{file}: {noticed} of {tried} noticed" + (f", {noticed / tried:.0%}" if tried else ""))


if __name__ == "__main__":
    main(sys.argv[1:] or ONE_IN_FIVE)
