# make demo    an environment, the tool, and one aligned pair
# make test    an environment, the tool, and every check
# make gpu     every CUDA test and benchmark, with the python3 that is there; installs nothing

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo

.PHONY: demo test check gpu clean

# The stamp is written last: an install that was cut off is done again.
$(VENV)/installed: pyproject.toml .ci/constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c .ci/constraints.txt -e '.[dev,codecs]'
	touch $@

demo: $(VENV)/installed
	$(BIN)/zncc-align sample_data/affine/fixed.tif sample_data/affine/moving.tif --model affine --out $(DEMO) --overwrite
	$(BIN)/python sample_data/corner_error.py sample_data/affine/truth.json $(DEMO)/transform.json --below 0.1
	@echo "Look at $(DEMO)/overlay.png (before and after), $(DEMO)/aligned.tif and $(DEMO)/report.json."

test: $(VENV)/installed check
	$(BIN)/python -m pytest

check: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

gpu:
	PYTHONPATH=. $(PYTHON) -m pytest -m cuda -p no:cacheprovider

clean:
	rm -rf $(VENV) $(DEMO)
