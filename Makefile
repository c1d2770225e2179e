# make demo    an environment with what the tool needs to run, and one aligned pair
# make test    the same environment with all that the checks need, and every check
# make docs    the documentation site, in build/docs/html; its gallery is run, and a warning is an error
# make soak    random commands, each held to what it promises: MINUTES=30; SEED=7, LARGE=1 (a side beyond 1024 pixels),
#              ONLY=stack (or zncc-align, zncc-stdmap, apply, points, register), COMMANDS=200 at most; CASE='...' runs one
#              that failed again
# make bench   the benchmarks on the CPU, beside other packages; about three quarters of an hour
# make gpu     every CUDA test and benchmark, with the python3 that is there; installs nothing; below ten minutes;
#              pictures only where that python3 has matplotlib

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c .ci/constraints.txt
DEMO := demo
CPP := $(wildcard csrc/*.h csrc/*/*.* tests/operators/*.cpp tests/operators/*.h)
RESULTS := $(or $(OUT),benchmarks/results)

.PHONY: demo test check docs soak bench gpu clean

# One environment, installed in two steps. A stamp is written last: an install that was cut off is done again.
$(VENV)/running: pyproject.toml .ci/constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -e .
	touch $@

$(VENV)/installed: $(VENV)/running plugins/napari/pyproject.toml
	$(INSTALL) -e '.[dev,peers]' -e 'plugins/napari[test]'
	touch $@

demo: $(VENV)/running
	$(BIN)/zncc-align sample_data/affine/fixed.tif sample_data/affine/moving.tif --model affine --out $(DEMO) --overwrite
	$(BIN)/python sample_data/corner_error.py sample_data/affine/truth.json $(DEMO)/transform.json --below 0.1
	@echo "Look at $(DEMO)/report.html (the verdict, before and after), $(DEMO)/aligned.tif and $(DEMO)/report.json."

# A process for each core, of one thread each: with more they wait for one another.
test: $(VENV)/installed check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

check: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror --style=file $(CPP)

$(VENV)/documented: $(VENV)/running
	$(INSTALL) -e '.[docs]'
	touch $@

docs: $(VENV)/documented
	OMP_NUM_THREADS=1 $(BIN)/python docs/site/build.py build/docs
	@echo "Open build/docs/html/index.html"

soak: $(VENV)/installed
	SOAK_MINUTES=$(or $(MINUTES),10) SOAK_SEED=$(SEED) SOAK_LARGE=$(LARGE) SOAK_ONLY=$(ONLY) SOAK_COMMANDS=$(COMMANDS) \
	    SOAK_CASE=$(if $(CASE),'$(subst ','\'',$(CASE))') OMP_NUM_THREADS=1 $(BIN)/python tests/properties/soak.py

bench: $(VENV)/installed
	$(INSTALL) -e '.[bench]'
	$(BIN)/python -m benchmarks.operator --devices cpu --out $(RESULTS)
	$(BIN)/python -m benchmarks.operator.startup --devices cpu --out $(RESULTS)
	timeout 1800 $(BIN)/python -m benchmarks.registration --devices cpu --seconds 600 --out $(RESULTS)

# Each of the five runs even if another failed; a time limit on each keeps the sum below ten minutes.
gpu:
	@mkdir -p $(RESULTS); failed=0; \
	PYTHONPATH=. timeout 210 $(PYTHON) -m pytest -m cuda -p no:cacheprovider --continue-on-collection-errors \
	    --junitxml=$(RESULTS)/cuda-tests.xml || failed=1; \
	timeout 130 $(PYTHON) -m benchmarks.operator --devices cuda --seconds 90 --out $(RESULTS) || failed=1; \
	timeout 80 $(PYTHON) -m benchmarks.operator.startup --devices cuda --builds 1 --repeats 3 --out $(RESULTS) || failed=1; \
	timeout 75 $(PYTHON) -m benchmarks.registration --devices cuda --parts time pairs --models translation affine \
	    --budget 0.5 --seconds 35 --out $(RESULTS) || failed=1; \
	timeout 95 $(PYTHON) -m benchmarks.batch.sharing --rounds 1 --out $(RESULTS) || failed=1; \
	exit $$failed

clean:
	rm -rf $(VENV) $(DEMO) build/docs
