# Each chore has one way, the same here and in CI. `make demo` and `make test` set up all they need.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: demo test lint clean

demo: $(VENV)/.installed
	$(BIN)/edge-rnn demo --out demo

test: $(VENV)/.installed lint
	$(BIN)/python -m pytest

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy edge_rnn
	$(BIN)/mypy export

# pip reads constraints.txt, so torch is the pinned CPU build and nothing else.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[train,onnx,test]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
