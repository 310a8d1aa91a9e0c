# Needs Python 3.11 or newer; everything else is put into .venv. PYTHON=/path/to/python chooses one.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check install
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header
PYTEST := $(BIN)/pytest
HELM ?= helm
EXTRAS := parquet postgres remote-write socks
SOURCES := $(wildcard exporter tests tools benchmarks)

.DEFAULT_GOAL := help
.PHONY: help demo test quick check format generate home bench soak build dist packages sbom chart released notes facts lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/.runtime ## the whole product on this machine: no account, no network; ARGS passes flags on
	$(BIN)/python -m exporter demo $(ARGS)

test: .venv/.development ## run the tests; ARGS="-k ledger" narrows them
	@$(BIN)/python -m tests.support.helm
	$(PYTEST) --numprocesses=auto --maxprocesses=8 --dist=loadfile --no-loadscope-reorder $(ARGS)

quick: .venv/.development ## the tests that need no socket and no installed server
	$(PYTEST) -m 'not soak and not attack and not sockets' --no-sockets --numprocesses=auto --maxprocesses=8 --dist=worksteal $(ARGS)

check: .venv/.development ## format, lint, types, layers, generated files, links, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(SOURCES)
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m tools.generate --check
	$(BIN)/python -m tools.links
	$(BIN)/codespell . .ci/run

format: .venv/.development ## format, and repair what lint can repair
	$(BIN)/ruff check --fix --quiet --exit-zero .
	$(BIN)/ruff format .

generate: .venv/.development ## write the files that are made from the code
	$(BIN)/python -m tools.generate

home: .venv/.development ## move every link into this repository; URL=https://github.com/you/name says where to
	$(BIN)/python -m tools.home "$(URL)"
	$(BIN)/python -m tools.generate

bench: .venv/.development ## measure
	$(BIN)/python -m benchmarks

soak: .venv/.development ## run the tests that take minutes, and all attacks; about an hour
	$(PYTEST) -m 'soak or attack' --timeout=0 --numprocesses=2 --dist=worksteal $(ARGS)

build: .venv/.development ## build sdist and wheel into dist/
	$(BIN)/python -m build --no-isolation

dist: ## build sdist and wheel alone into an empty dist/
	rm -rf dist
	$(MAKE) build

packages: dist ## build the Debian and the RPM package for this machine's processor into dist/
	$(BIN)/python -m tools.packages dist/*.whl

sbom: .venv/.development ## write the bill of materials of what is shipped into dist/
	@mkdir -p dist
	$(BIN)/python -m tools.sbom dist

chart: .venv/.development ## pack the Helm chart into dist/; needs helm
	@mkdir -p dist
	version=$$($(BIN)/python -c 'import exporter; print(exporter.__version__)') && \
	  $(HELM) package deploy/helm/media-usage-exporter --version $$version --app-version $$version --destination dist

released: .venv/.development ## is TAG=v1.2.3 the version of the code and of the changelog?
	$(BIN)/python -m tools.release check $(TAG)

notes: .venv/.development ## print the changelog of this version
	@$(BIN)/python -m tools.release notes

facts: .venv/.development ## print what the image's labels say of this commit
	@$(BIN)/python -m tools.release facts

lock: .venv/.development ## pin what pyproject.toml asks for, with hashes; UPGRADE=--upgrade takes newer versions
	$(LOCK) $(UPGRADE) pyproject.toml -o requirements/runtime.txt
	$(LOCK) $(UPGRADE) pyproject.toml --group dev -c requirements/runtime.txt -o requirements/development.txt
	for extra in $(EXTRAS); do \
	  $(LOCK) $(UPGRADE) pyproject.toml --extra $$extra -c requirements/development.txt -o requirements/$$extra.txt || exit 1; done

clean: ## remove everything that was built
	rm -rf .venv build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# Each stamp is newer than what was installed, so a second run installs nothing.
.venv/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'make: Python 3.11 or newer is needed; name one with PYTHON=/path/to/python' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
	  || { echo 'make: this Python cannot make environments; on Debian: apt-get install python3-venv' >&2; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.runtime: .venv/.created requirements/runtime.txt
	$(PIP) --require-hashes -r requirements/runtime.txt
	@touch $@

.venv/.development: .venv/.runtime requirements/development.txt pyproject.toml
	$(PIP) --require-hashes -r requirements/development.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@
