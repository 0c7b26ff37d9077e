# What a developer types. Everything happens in .venv, which is made on first use.
#
#     make test PYTHON=python3.13     with another interpreter
#     make test ARGS="-k lookup -x"   arguments for pytest (or for `make bench`)

PYTHON ?= python3
ARGS ?=
SECS ?= 30

# The environment is made anew when the interpreter changes or the checkout is moved.
ID := $(shell $(PYTHON) tools/environment.py id)
STAMPS := .venv/stamps/$(ID)
RUN := .venv/bin/python
C_SOURCES := $(wildcard src/_cmemdata/*.c src/_cmemdata/*.h)
PYTHON_FOLDERS := src tests benchmarks docs/conf.py docs/_ext examples tools setup.py

.DEFAULT_GOAL := help
.PHONY: help build test test-parallel-hdf5 test-h5py test-zarr2 test-sanitized test-valgrind coverage fuzz torture lint lint-python lint-types lint-c demo bench docs dist format clean
.DELETE_ON_ERROR:

help: ## show this text
	@echo "make TARGET [PYTHON=python3.x] [ARGS=...]"
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1\t\2/p' Makefile

build: $(STAMPS)/base ## build the C extension in place (see setup.py for switches)
	@$(RUN) setup.py --quiet build_ext --inplace

test: $(STAMPS)/test build ## run the tests
	$(RUN) -m pytest $(ARGS)

test-parallel-hdf5: ## test both movers of distributed data, with h5py built for parallel HDF5
	$(PYTHON) tools/parallel_hdf5.py
	.venv-parallel/bin/python -m pytest tests/test_parallel_hdf5.py $(ARGS)

test-h5py: $(STAMPS)/test build ## run h5py's own tests on trees in memory
	$(RUN) tools/h5py_suite.py --check

test-zarr2: ## run the tests of zarr with zarr-python 2
	$(PYTHON) tools/zarr2.py
	.venv-zarr2/bin/python -m pytest $(wildcard tests/test_zarr*.py) tests/test_fileformats.py $(ARGS)

test-sanitized: $(STAMPS)/test build ## run the tests with AddressSanitizer and UndefinedBehaviorSanitizer
	tools/instrumented sanitized $(RUN) $(ARGS)

test-valgrind: $(STAMPS)/test build ## run a part of the tests under valgrind
	tools/instrumented valgrind $(RUN) $(ARGS)

coverage: $(STAMPS)/coverage build ## count the branches of C and Python that the tests take
	tools/instrumented coverage $(RUN) $(ARGS)

fuzz: $(STAMPS)/test build ## fuzz paths, splits, kernels and attributes, 30 seconds each (SECS=)
	$(RUN) tests/fuzz/run.py $(SECS) $(ARGS)

torture: $(STAMPS)/test build ## let everything go wrong, many thousand times; takes about an hour
	MEMDATA_TORTURE=1 $(RUN) -m pytest tests/torture $(ARGS)

lint: lint-python lint-types lint-c ## check style, types, stubs and compiler warnings

lint-python: $(STAMPS)/lint
	$(RUN) -m ruff check $(PYTHON_FOLDERS)
	$(RUN) -m ruff format --check $(PYTHON_FOLDERS)

lint-types: $(STAMPS)/lint build
	$(RUN) -m mypy
	$(RUN) -m mypy.stubtest memdata._cmemdata

lint-c: $(STAMPS)/lint
	.venv/bin/clang-format --dry-run -Werror $(C_SOURCES)
	tools/check_warnings $(RUN)

demo: $(STAMPS)/demo build ## analyse one second of three gravitational-wave detectors
	@strain=$$($(RUN) tools/fetch_strain.py) && \
	$(RUN) examples/gravitational_waves.py "$$strain" demo-output

bench: $(STAMPS)/test build ## print the table of speeds
	$(RUN) -m benchmarks $(ARGS)

docs: $(STAMPS)/docs build ## build the pages of documentation, docs/_build/html/index.html
	$(RUN) -m sphinx -q -W --keep-going -j auto -d docs/_build/doctrees docs docs/_build/html
	@echo "docs/_build/html/index.html"

dist: $(STAMPS)/dist ## make sdist and wheels in dist/, and try each in a new environment
	$(RUN) tools/dist.py

format: $(STAMPS)/lint ## lay out Python and C code
	$(RUN) -m ruff check --fix-only --quiet $(PYTHON_FOLDERS)
	$(RUN) -m ruff format $(PYTHON_FOLDERS)
	.venv/bin/clang-format -i $(C_SOURCES)

clean: ## remove what was made, the environment too
	rm -rf docs/_build docs/reference/generated
	rm -rf .venv .venv-parallel .venv-zarr2 .cache build dist demo-output src/*.egg-info src/memdata/*.so
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find $(PYTHON_FOLDERS) -name __pycache__ -prune -exec rm -rf {} +

$(STAMPS)/base: pyproject.toml setup.py tools/environment.py
	$(PYTHON) tools/environment.py base
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/%: $(STAMPS)/base
	$(PYTHON) tools/environment.py $*
	@touch $@
