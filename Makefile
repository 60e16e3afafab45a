# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
LIGHT := .venv/light
FULL := .venv/full
SOURCES := $(shell find src samples -type f -not -name '*.pyc')
# Python compiles what it imports, once; to compile all that is installed would take a minute.
unexport PYTHONDONTWRITEBYTECODE
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --no-compile
# Tests that share something expensive stay in one process, as long as all have work.
PYTEST := $(FULL)/bin/python -m pytest -n auto --dist worksteal

.PHONY: demo check test exhaustive lint fast-tests tests pins clean

demo: $(LIGHT)/installed  ## classify the sample pictures; needs only the light install
	$(LIGHT)/bin/recyclenet demo --out demo.html

check: $(FULL)/installed  ## lint, types, contracts and the fast tests, for whoever changes something
	$(MAKE) -j 2 lint fast-tests

test: $(FULL)/installed  ## every check and every test; installs everything (about 6 GB)
	$(MAKE) -j 2 lint tests

exhaustive: $(FULL)/installed  ## what the tests show for some networks and photos, for all
	$(PYTEST) -m exhaustive

fast-tests: $(FULL)/installed
	$(PYTEST) -m "not slow"

tests: $(FULL)/installed
	$(PYTEST)

lint: $(FULL)/installed
	$(FULL)/bin/ruff check .
	$(FULL)/bin/ruff format --check .
	$(FULL)/bin/mypy
	$(FULL)/bin/lint-imports

$(LIGHT)/installed: requirements/light.txt pyproject.toml $(SOURCES)
	@echo "installing the light tier into $(LIGHT) ..."
	@test -x $(LIGHT)/bin/python || $(PYTHON) -m venv $(LIGHT)
	@$(LIGHT)/bin/python $(PIP_INSTALL) --require-hashes -r requirements/light.txt
	@$(LIGHT)/bin/python $(PIP_INSTALL) --no-deps --force-reinstall .
	@touch $@

$(FULL)/installed: requirements/uv.txt requirements/dev.txt pyproject.toml
	@echo "installing everything into $(FULL): about 6 GB ..."
	@test -x $(FULL)/bin/python || $(PYTHON) -m venv $(FULL)
	@$(FULL)/bin/python $(PIP_INSTALL) --require-hashes -r requirements/uv.txt
	@# uv takes less than a minute. If it fails, pip may know another package index from its settings.
	@$(FULL)/bin/python -m uv pip install --quiet --require-hashes -r requirements/dev.txt \
		|| $(FULL)/bin/python $(PIP_INSTALL) --require-hashes -r requirements/dev.txt
	@$(FULL)/bin/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

pins:  ## choose the newest versions anew; needs `pip install uv`
	echo uv | uv pip compile - --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --upgrade -o requirements/uv.txt
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --upgrade -o requirements/light.txt
	uv pip compile pyproject.toml --extra serve --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --upgrade -o requirements/serve.txt
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --upgrade -o requirements/dev.txt

clean:
	rm -rf .venv build dist demo.html
