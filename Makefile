# Everything a contributor runs. `make demo` and `make test` need Python and nothing
# else; what they install goes into .venv.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint types docs bench clean

demo: .venv/installed
	$(BIN)/python docs/demo.py

test: .venv/installed-test
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

# Defined once, in tox.ini.
lint types docs: .venv/installed-tox
	$(BIN)/tox -q -e $@

bench: .venv/installed
	$(BIN)/python bench/run.py $(ARGS)

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'  # for --group
	$(BIN)/python -m pip install --quiet --editable '.[brotli,zstd,http2bin]'
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install --quiet --group test
	touch $@

.venv/installed-tox: .venv/installed
	$(BIN)/python -m pip install --quiet 'tox>=4.22'
	touch $@

clean:
	rm -rf .venv .tox docs/_build
