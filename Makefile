# Each chore has one way, the same here and in CI. `make demo` and `make test` set up all they need.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed

.PHONY: demo test test-all slow lint clean

demo: $(READY)                 ## the main job on real recordings, end to end; leaves demo/report.html
	$(BIN)/edge-rnn demo --out demo

test: $(READY) lint            ## no root, no download beyond packages
	$(BIN)/python -m pytest

test-all: test slow            ## and what needs emulated boards, a browser, a broker or an old runtime

slow: $(READY)
	$(BIN)/python -m pytest -m slow

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy edge_rnn
	$(BIN)/mypy export
	$(BIN)/mypy firmware_bridge

# constraints.txt pins torch to the CPU build, so that no package of this set pulls gigabytes.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[train,onnx,serial,test]'
	touch $@

clean:
	rm -rf $(VENV) build dist demo runs *.egg-info
