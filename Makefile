# Each target sets up what it needs in .venv; nothing else has to be installed but Python and make.
PYTHON ?= $(firstword $(foreach p,python3.13 python3.12 python3.11 python3,$(shell command -v $(p) >/dev/null 2>&1 && $(p) -c 'import sys; print("$(p)" if sys.version_info >= (3, 11) else "")' 2>/dev/null)))
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint bench storm soak fuzz proto docs clean

COMPILED := hatch_build.py $(shell find src -name '*.pyx' -o -name '*.pxd')

$(VENV)/.ready: pyproject.toml $(COMPILED)
	$(if $(PYTHON),,$(error Penstock needs Python 3.11 or newer, and none was found))
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable '.[demo]' --group dev
	touch $@

demo: $(VENV)/.ready
	$(BIN)/penstock demo $(ARGS)

# Two files at a time: most tests wait for processes to start and to end.
test: $(VENV)/.ready
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What can't be installed here is reported as missing.
$(VENV)/.peers: $(VENV)/.ready
	for peer in dora iceoryx2 ray zmq; do $(BIN)/python -m pip install --quiet --group peer-$$peer || echo "$$peer: not installed"; done
	touch $@

bench: $(VENV)/.peers
	$(BIN)/python -m bench $(ARGS)

storm: $(VENV)/.ready
	$(BIN)/python -m bench.storm $(ARGS)

soak: $(VENV)/.ready
	$(BIN)/python -m bench.storm --minutes 10 --kills 0.1 $(ARGS)

fuzz: $(VENV)/.ready
	$(BIN)/python -m bench.fuzz $(ARGS)

proto: $(VENV)/.ready
	$(BIN)/python tools/generate_proto.py

docs: $(VENV)/.ready
	for tool in node_reference api_reference diagrams metrics_table changelog; do $(BIN)/python tools/$$tool.py || exit; done

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache
