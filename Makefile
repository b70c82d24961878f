# make            lists the targets
# make demo       PYTHON=python3.12 picks the interpreter, VENV=.venv-3.12 keeps its environment apart
# make test       ARGS="-k losses -x" goes to pytest; JOBS=0 takes one process in place of two

PYTHON ?= python3
VENV ?= .venv
OLDEST_VENV ?= .venv-oldest
OLDEST_PYTHON ?=
TRITON_VENV ?= .venv-triton
TRITON_PYTHON ?=
JOBS ?= 2
ARGS ?=

PIP_INSTALL = -m pip --disable-pip-version-check install --quiet
# The first releases of Python 3.10 bring a pip that cannot do editable installs; a no-op with any later one.
PIP_MEND = $(PIP_INSTALL) 'pip>=21.3'
PACKAGING = pyproject.toml setup.py
# Tests that follow each other share what their fixtures made: each process takes a run of them, then steals.
PYTEST = -m pytest -n $(JOBS) --dist worksteal
# What no version of a dependency changes: plain Python about folders, plans and texts, and the files in deploy/;
# and the benchmarks, which are not installed.
VERSION_FREE = benchmarks crossval/test_folds.py crossval/test_material.py crossval/test_plan.py data/checks \
  data/folders deploy test_config.py test_docs.py
DATA = runs/demo-data
RUN = runs/demo

.DEFAULT_GOAL := help
.PHONY: help demo test test-oldest dev-env oldest-env triton-env lint bench clean oldest-python triton-python

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile
	@echo 'Variables: PYTHON=python3.12 (default python3), VENV=.venv, ARGS="-k losses" (for pytest), JOBS=2,'
	@echo '           OLDEST_PYTHON=/path/to/python3.10 (for test-oldest), TRITON_PYTHON=... (for triton-env)'

demo: export TF_CPP_MIN_LOG_LEVEL = 3
demo: $(VENV)/.installed ## train on a generated phantom, evaluate, predict: pictures in runs/demo/predictions
	test -d $(DATA) || $(VENV)/bin/tfadvseg data phantom $(DATA) --seed 0 || { rm -rf $(DATA); exit 1; }
	$(VENV)/bin/tfadvseg fit examples/phantom.yaml --data $(DATA) --out $(RUN) --overwrite
	$(VENV)/bin/tfadvseg evaluate $(RUN)
	$(VENV)/bin/tfadvseg predict $(RUN) $(DATA)/images --out $(RUN)/predictions --overlay --confidence
	@echo
	@echo "Done. Masks, overlays and confidence maps: $(CURDIR)/$(RUN)/predictions"
	@echo "      The run (model, metrics, history):   $(CURDIR)/$(RUN)"

test: $(VENV)/.installed-dev ## run the tests (ARGS="..." goes to pytest)
	$(VENV)/bin/python $(PYTEST) $(ARGS)

test-oldest: $(OLDEST_VENV)/.installed ## run the suite's core on the oldest Python and TensorFlow claimed
	$(OLDEST_VENV)/bin/python $(PYTEST) -m "not slow" $(VERSION_FREE:%=--ignore tests/%) $(ARGS)

dev-env: $(VENV)/.installed-dev ## install what `make test` and `make lint` need, which they do too

oldest-env: $(OLDEST_VENV)/.installed ## install the oldest versions claimed, which `make test-oldest` does too

triton-env: $(TRITON_VENV)/.installed ## install the real Triton, 600 MB, which `make test` then uses

lint: $(VENV)/.installed-dev ## check format, lint and types
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy tfadvseg

bench: $(VENV)/.installed ## run every benchmark in benchmarks/
	@set -e; for script in benchmarks/*.py; do \
	  test -e "$$script" || { echo "No benchmark in benchmarks/."; break; }; \
	  echo "== $$script"; $(VENV)/bin/python "$$script"; \
	done

clean: ## remove environments, caches and build outputs (runs/ and saved_models/ stay)
	rm -rf $(VENV) $(OLDEST_VENV) $(TRITON_VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Prints the path of a Python 3.10 that works, or nothing. A name on the PATH may be a pyenv shim that does not run.
oldest-python:
	@for python in "$(OLDEST_PYTHON)" python3.10 "$$(pyenv root 2>/dev/null)"/versions/3.10*/bin/python3.10 "$(PYTHON)"; do \
	  "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info[:2] != (3, 10))' >/dev/null 2>&1 || continue; \
	  command -v "$$python"; break; \
	done

# Prints the path of a Python that Triton's Python backend can load, or nothing: 3.10 to 3.12, as its
# NumPy is 1.26, and built as a shared library.
triton-python:
	@for python in "$(TRITON_PYTHON)" "$(PYTHON)" python3.12 python3.11 python3.10 "$$(pyenv root 2>/dev/null)"/versions/3.1[0-2]*/bin/python3; do \
	  "$$python" -c 'import ctypes, ensurepip, os, sys, sysconfig, venv; read = sysconfig.get_config_var; path = os.path.join(read("LIBDIR"), read("INSTSONAME")); ctypes.CDLL(path if os.path.exists(path) else read("INSTSONAME")); sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' >/dev/null 2>&1 || continue; \
	  command -v "$$python"; break; \
	done

$(VENV)/pyvenv.cfg:
	@version=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null); \
	case "$$version" in \
	  3.10|3.11|3.12|3.13) ;; \
	  *) echo "tfadvseg needs Python 3.10 to 3.13, and $(PYTHON) is $${version:-missing or does not run}: name another, such as 'make $(MAKECMDGOALS) PYTHON=python3.12'." >&2; exit 1 ;; \
	esac; \
	echo "Creating $(VENV) with Python $$version ..."; \
	$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) could not create a virtual environment: install its venv module (Debian, Ubuntu: apt install python3-venv)." >&2; exit 1; }

$(VENV)/.installed: $(VENV)/pyvenv.cfg $(PACKAGING)
	@echo "Installing tfadvseg into $(VENV): TensorFlow is large, the download takes a minute or two ..."
	@$(VENV)/bin/python $(PIP_MEND)
	@$(VENV)/bin/python $(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/pyvenv.cfg $(PACKAGING)
	@echo "Installing tfadvseg[dev] into $(VENV): TensorFlow is large, the download takes a minute or two ..."
	@$(VENV)/bin/python $(PIP_MEND)
	@$(VENV)/bin/python $(PIP_INSTALL) --editable '.[dev]'
	@touch $(VENV)/.installed $@

$(OLDEST_VENV)/.installed: $(PACKAGING) constraints-oldest.txt
	@python=$$($(MAKE) -s --no-print-directory oldest-python); \
	test -n "$$python" || { echo "make test-oldest needs Python 3.10 and found none: install it, or name it, 'make test-oldest OLDEST_PYTHON=/path/to/python3.10'." >&2; exit 1; }; \
	echo "Installing tfadvseg's oldest dependencies into $(OLDEST_VENV) with $$python: a minute or two ..."; \
	"$$python" -m venv --clear $(OLDEST_VENV)
	@$(OLDEST_VENV)/bin/python $(PIP_MEND)
	@$(OLDEST_VENV)/bin/python $(PIP_INSTALL) --constraint constraints-oldest.txt --editable '.[serve]' pytest pytest-xdist
	@touch $@

$(TRITON_VENV)/.installed: Makefile
	@python=$$($(MAKE) -s --no-print-directory triton-python); \
	test -n "$$python" || { echo "make triton-env needs Python 3.10 to 3.12 with its shared library and found none: name one, 'make triton-env TRITON_PYTHON=/path/to/python3.10'." >&2; exit 1; }; \
	echo "Installing Triton into $(TRITON_VENV) with $$python: half a minute or more ..."; \
	"$$python" -m venv --clear $(TRITON_VENV)
	@$(TRITON_VENV)/bin/python $(PIP_INSTALL) nvidia-pytriton==0.7.0 'numpy<2' 'opencv-python-headless<4.12' onnxruntime
	@touch $@
