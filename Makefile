# `make serve` and `make test` do everything themselves on a Debian machine: packages, a virtual environment, the build.
#
#   make serve [PORT=8888] [APP=examples/serve.py] [ARGS=...]   serve an application through tornadoc
#   make test [TESTS="tests/unit -k headers"]                   the whole suite, or a part
#   make test-python PYTHON=python3.13                          the Python tests on another interpreter
#   make test-all                                               the suite on every CPython that is found
#   make asan                                                   the Python tests under AddressSanitizer and UBSan
#   make compat [ARGS="terminado --markdown"]                   tests of real applications, with Tornado alone and with tornadoc
#   make fuzz [FUZZ_SECONDS=20]                                 run the fuzz targets
#   make fuzz-differential [REQUESTS=50000 SEED=1]              random requests and handlers, on Tornado and on tornadoc
#   make bench [ARGS=--quick]                                   benchmarks beside Tornado and others
#   make bench-loop, make bench-echo [ARGS=--quick]             of the event loop; of sockets and streams
#   make lint, make tidy                                        ruff, mypy, clang-format; clang-tidy
#   make build, make dist, make clean
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PORT ?= 8888
APP ?= examples/serve.py
TESTS ?=
FUZZ_SECONDS ?= 20
REQUESTS ?= 50000
SEED ?= 1
ARGS ?=

# The default Python's environment is .venv; another one's, named by PYTHON, is .venv-3.X beside it.
ifdef PYTHON
VERSION := $(shell $(PYTHON) -I -c 'import sys; print("%d.%d" % sys.version_info[:2])')
ifeq ($(VERSION),)
$(error PYTHON=$(PYTHON) does not run)
endif
VENV ?= .venv-$(VERSION)
else
VENV ?= .venv
endif

BIN := $(VENV)/bin
ENV_STAMP := $(VENV)/.stamp
# The extension lies beside the Python sources, under a name that tells the CPython version, so environments share it.
BUILD_STAMP := build/stamp$(notdir $(VENV))
LINT_STAMP := $(VENV)/.stamp-lint
BENCH_STAMP := $(VENV)/.stamp-bench
ASAN := build/asan

# The folders stand for files that were added or removed.
SOURCES := $(wildcard src src/* src/*/*.c src/*/*.h)

# Tests of one file share servers and stay together. The machine may have many cores: the servers under test need some.
PYTEST := -m pytest -n auto --maxprocesses 4 --dist loadfile
# Not about the interpreter: C units, fuzzing, and the rules for sources.
NOT_PYTHON := --ignore=tests/core --ignore=tests/fuzz --ignore=tests/source --ignore=tests/benchmarks

.PHONY: help
help:
	@sed -n 's/^#   //p' Makefile

$(ENV_STAMP): pyproject.toml tornadoc.pth tools/setup.sh tools/pythons.sh
	@tools/setup.sh venv "$(VENV)" "$(PYTHON)"
	@touch $@

$(BUILD_STAMP): $(ENV_STAMP) setup.py $(SOURCES)
	@echo "Building tornadoc._native"
	@$(BIN)/python setup.py -q build_ext --inplace --force
	@mkdir -p $(@D) && touch $@

.PHONY: build
build: $(BUILD_STAMP)

.PHONY: serve
serve: build
	@echo "Serving $(APP) on http://localhost:$(PORT)/ (Ctrl-C stops)"
	@exec $(BIN)/python -m tornadoc $(APP) $(or $(ARGS),--port=$(PORT))

# What the tests want beside a build: without the rights to install it, those that need it are skipped.
.PHONY: test-packages
test-packages:
	@tools/setup.sh packages test || true

.PHONY: test
test: build test-packages
	$(BIN)/python $(PYTEST) $(TESTS)

.PHONY: test-python
test-python: build test-packages
	$(BIN)/python $(PYTEST) $(NOT_PYTHON) $(TESTS)

.PHONY: test-all
test-all: test
	@main=$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	tools/pythons.sh list | { failed=; while read -r version python; do \
	    if [ "$$version" = "$$main" ]; then continue; fi; \
	    echo "== CPython $$version"; \
	    $(MAKE) --no-print-directory test-python PYTHON="$$python" </dev/null || failed="$$failed $$version"; \
	done; \
	if [ -n "$$failed" ]; then echo "Failed on CPython$$failed" >&2; exit 1; fi; }

# A copy of the tree, because the instrumented extension has the same name. Leaks are what tests/leaks is about: CPython
# itself frees too little at exit for LeakSanitizer.
.PHONY: asan
asan: $(ENV_STAMP)
	@mkdir -p $(ASAN)
	@rm -rf $(addprefix $(ASAN)/,src tornadoc tests examples benchmarks tools)
	@cp -a $(wildcard src tornadoc tests examples benchmarks tools) setup.py pyproject.toml README.md tornadoc.pth _tornadoc_startup.py $(ASAN)/
	@rm -f $(ASAN)/tornadoc/*.so
	@cd $(ASAN) && TORNADOC_SANITIZE=1 $(abspath $(BIN))/python setup.py -q build_ext --inplace --force
	cd $(ASAN) && \
	    PYTHONPATH=$(abspath $(ASAN)) PYTHONMALLOC=malloc LD_PRELOAD=$$(gcc -print-file-name=libasan.so) \
	    ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=1:strict_string_checks=1 \
	    UBSAN_OPTIONS=print_stacktrace=1 \
	    $(abspath $(BIN))/python $(PYTEST) $(NOT_PYTHON) $(TESTS)

.PHONY: compat
compat: build
	$(BIN)/python tests/compat/compat.py $(ARGS)

.PHONY: fuzz
fuzz: $(ENV_STAMP)
	@tools/setup.sh packages fuzz
	$(MAKE) -C tests/fuzz fuzz SECONDS=$(FUZZ_SECONDS)

.PHONY: fuzz-differential
fuzz-differential: build
	$(BIN)/python tests/differential/fuzz_main.py --requests $(REQUESTS) --seed $(SEED) $(ARGS)
	$(BIN)/python tests/differential/fuzz_main.py --requests $$(( $(REQUESTS) / 4 )) --seed $(SEED) --programs $(ARGS)

$(BENCH_STAMP): $(ENV_STAMP) benchmarks/requirements.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check -r benchmarks/requirements.txt
	@touch $@

.PHONY: bench
bench: build $(BENCH_STAMP)
	@tools/setup.sh packages bench
	$(BIN)/python -m benchmarks $(ARGS)

.PHONY: bench-loop bench-echo
bench-loop bench-echo: build $(BENCH_STAMP)
	$(BIN)/python -m benchmarks.$(@:bench-%=%) $(ARGS)

$(LINT_STAMP): $(ENV_STAMP)
	@TORNADOC_PURE=1 $(BIN)/python -m pip install -q --disable-pip-version-check --no-build-isolation -e '.[lint]'
	@touch $@

.PHONY: lint
lint: $(LINT_STAMP)
	@tools/setup.sh packages lint
	$(BIN)/ruff check .
	$(BIN)/mypy
	clang-format --dry-run --Werror $(wildcard src/*/*.c src/*/*.h)

.PHONY: tidy
tidy: $(ENV_STAMP)
	@tools/setup.sh packages lint
	clang-tidy --quiet $(wildcard src/*/*.c) -- -std=c11 -D_GNU_SOURCE -Isrc \
	    -I$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))') -DTORNADOC_VERSION='"tidy"'

.PHONY: dist
dist: $(ENV_STAMP)
	@$(BIN)/python -m pip install -q --disable-pip-version-check build
	$(BIN)/python -m build

.PHONY: clean
clean:
	rm -rf build dist tornadoc.egg-info .venv .venv-[0-9]* .pytest_cache .mypy_cache .ruff_cache
	rm -f tornadoc/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@for folder in tests/core tests/fuzz; do \
	    if [ -f $$folder/Makefile ]; then $(MAKE) --no-print-directory -C $$folder clean || true; fi; \
	done
