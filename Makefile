# Every target sets up what it needs first; what is set up already is left alone.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install lab run notebooks site trained test test-host test-lowest-direct test-highest lint benchmark mutants lock
install: .venv/.notebooks

# A stamp for each set of extras: it is installed again only when what is asked for has changed.
.venv/.%: pyproject.toml requirements.lock
	@$(PYTHON) -m course_lib.install $*
	@touch $@

lab: install
	$(BIN)/course lab

run: install
	$(BIN)/course run

# After an edit in notebooks/source. (After one of the notebook itself in JupyterLab: .venv/bin/course build --pull first.)
notebooks: .venv/.notebooks
	$(BIN)/course build

site: .venv/.notebooks,site
	$(BIN)/course site

# The network of lesson 1's opening, trained anew in 20 s. One thread: a machine's number of cores changes nothing.
trained: .venv/.notebooks
	OMP_NUM_THREADS=1 $(BIN)/python -m course_lib.authoring.trained opening

# A notebook's cells stay together, and what takes long alone, in the browser, does not come last.
ON_TWO_CORES := -n 2 --dist loadscope --no-loadscope-reorder
test: .venv/.notebooks,classroom,site,tests lint
	$(BIN)/pytest $(ON_TWO_CORES) --only-changed

# With the lowest releases that pyproject.toml allows, or the newest. Needs uv, and 7 GB for an environment of its own.
test-lowest-direct test-highest: test-%:
	@test -x .venv-$*/bin/python || uv venv --python $(PYTHON) .venv-$*
	uv pip install --quiet --python .venv-$*/bin/python --resolution $* -e '.[notebooks,classroom,site,tests]'
	.venv-$*/bin/pytest $(ON_TWO_CORES)

# With Colab's releases of all but torch, above all its widgets and its kernel; takes an environment of its own, of 6 GB.
HOST := .venv-host/bin
test-host:
	@test -x $(HOST)/python || $(PYTHON) -m venv .venv-host
	$(HOST)/python tests/hosts/pins.py colab > .venv-host/pins.txt
	$(HOST)/pip install --disable-pip-version-check -c .venv-host/pins.txt -e '.[lessons]' hypothesis jupytext nbclient nbval pytest
	$(HOST)/pytest tests/widgets tests/data/test_folder.py tests/data/test_chest_xray.py tests/test_transfer.py
	COURSE_DATA=simulated $(HOST)/course run 01 02 05

lint: .venv/.notebooks,classroom,site,tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

benchmark: .venv/.notebooks,classroom,site,tests
	$(BIN)/python tests/benchmarks/data_speed.py
	$(BIN)/python tests/benchmarks/training_speed.py
	$(BIN)/python tests/benchmarks/cifar10_speed.py
	$(BIN)/python tests/benchmarks/grad_cam_speed.py
	$(BIN)/python tests/benchmarks/explorer_speed.py
	$(BIN)/python tests/benchmarks/grading_speed.py --submissions 20

# What the tests let pass: of the exercises' solutions all mutants, in a minute; of the package one in five, in ten minutes.
mutants: .venv/.notebooks,classroom,site,tests
	$(BIN)/python tests/exercises/mutants.py
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.lock mutmut==3.8.1
	PATH="$(CURDIR)/$(BIN):$$PATH" OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/package_mutants.py

# Needs uv. Keeps every version that the lock names already; take a newer one on purpose with `--upgrade-package NAME`.
lock:
	uv pip compile --universal --python-version 3.11 --all-extras --no-header --no-annotate pyproject.toml -o requirements.lock
