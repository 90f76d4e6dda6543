# Each chore has one way, the same here and in CI. `make demo` and `make test` set up all they need.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed
NATIVE := $(VENV)/.native

.PHONY: demo test test-all slow firmware lint guarantees accuracy clean arm64 bench

demo: $(NATIVE)                ## the main job on real recordings, end to end; leaves demo/report.html
	$(BIN)/edge-rnn demo --out demo

test: $(NATIVE) lint            ## no root, no download beyond packages
	$(BIN)/python -m pytest

test-all: test slow            ## and what needs emulated boards, a browser, a broker or an old runtime

slow: $(NATIVE)
	$(BIN)/python -m pytest -m slow

arm64: $(NATIVE)               ## the kernel and the wheel for aarch64, run under qemu-user (gcc-aarch64-linux-gnu, qemu-user)
	$(BIN)/python -m pytest -m slow tests/test_kernel_machines.py tests/test_wheel_arm64.py -k "neon or wheel_arm64"

bench: $(NATIVE)               ## the table of docs/performance.md, measured now
	$(BIN)/python -m benchmarks

firmware: $(NATIVE)            ## 100,000 steps of a trained GRU, LSTM and RNN on every board, bit by bit
	FIRMWARE_STEPS=100000 $(BIN)/python -m pytest -m slow tests/test_firmware_boards.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy edge_rnn
	$(BIN)/mypy export
	$(BIN)/mypy firmware_bridge

guarantees: $(NATIVE)          ## every promise in full size with its negative control (about three hours, two of them R9's day); rewrites docs/guarantees.md
	$(BIN)/python tools/guarantees.py

accuracy: $(READY)             ## three trainings a data set, scored on people never seen; rewrites docs/accuracy.md
	$(BIN)/python tools/accuracy.py
	$(BIN)/python tools/accuracy_int8.py

# constraints.txt pins torch to the CPU build, so that no package of this set pulls gigabytes.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@echo 'installing torch, onnxruntime and the rest: a few minutes'
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet -c constraints.txt -e '.[train,onnx,serial,daemon,test]'
	touch $@

# The C kernel again when it changed; without a compiler this leaves no extension and NumPy runs the models.
$(NATIVE): $(READY) setup.py $(wildcard edge_rnn/kernel/*.[ch] edge_rnn/kernel/simd/*.[ch])
	$(BIN)/python -W ignore setup.py -q build_ext --inplace
	touch $@

clean:
	rm -rf $(VENV) .venv-arm64 .venv-old-runtime build dist demo runs *.egg-info
