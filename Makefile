# Everything a reader or an author does. From a bare clone, each target first makes the environment .venv.
#   make docs    the book, executed and rendered into _docs/
#   make test    the notebooks as tests, then pytest

TORCH ?= torch==2.13.0
PORT ?= 8000
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

BIN := .venv/bin
INSTALLED := .venv/.installed
EXPORTED := _build/exported
NOTEBOOKS := $(wildcard nbs/*.ipynb nbs/*/*.ipynb)
MODULES := $(wildcard olsattention/*.py* olsattention/*/*.py*)
EXECUTE := $(BIN)/python nbs/_site/execute.py
EXPORT := $(BIN)/nbdev_export && $(BIN)/python nbs/_site/stubs.py

# Notebooks and tests run side by side: one thread each. IPython's start-up files and history stay out of it.
docs test readme: export OMP_NUM_THREADS := 1
docs test readme: export OPENBLAS_NUM_THREADS := 1
docs test readme: export MKL_NUM_THREADS := 1
docs test readme: export IPYTHONDIR := $(CURDIR)/_build/ipython

.PHONY: help docs test serve lab readme export bench release clean
.DEFAULT_GOAL := help

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

docs: $(INSTALLED) $(EXPORTED) ## execute every notebook and render the site into _docs/
	@$(EXECUTE) && echo "Rendering what changed:" || { \
	  echo; echo "The site was not built. Mend the notebook above (make lab opens it) and run make docs again."; exit 1; }
	@# After an error no page is remembered as read, or the next run would not report it; executed notebooks are kept.
	@$(BIN)/python -m sphinx -q -c nbs/_site -d _build/doctrees -j auto -W --keep-going -w _build/problems nbs _docs || { \
	  rm -rf _build/doctrees; \
	  echo; echo "The site was not built. Mend what is reported above (also in _build/problems) and run make docs again."; \
	  exit 1; }
	@echo "The site is in _docs/: open $(CURDIR)/_docs/index.html, or run make serve."

test: $(INSTALLED) ## run the notebooks as tests (FORCE=1: even if unchanged), then pytest
	@$(EXECUTE) $(if $(FORCE),--force) || { echo; echo "A notebook fails: mend it with make lab."; exit 1; }
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist worksteal

serve: _docs/index.html ## show the built site at http://localhost:8000 (PORT=...)
	@echo "http://localhost:$(PORT)  (end with Ctrl-C)"
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory _docs $(PORT)

_docs/index.html:
	@$(MAKE) docs

lab: $(INSTALLED) ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab nbs

readme: $(INSTALLED) $(EXPORTED) ## write README.md from nbs/index.ipynb
	$(BIN)/python nbs/_site/readme.py

export: $(INSTALLED) ## write the modules of olsattention/ from the notebooks
	$(EXPORT)
	@mkdir -p _build && touch $(EXPORTED)

bench: $(INSTALLED) $(EXPORTED) ## run the benchmarks, print the table, write benchmarks/results
	$(BIN)/python benchmarks/run.py

release: docs ## wheel, source distribution and the site as a zip in dist/, each tried in a clean environment
	$(BIN)/python nbs/_site/release.py --requirement '$(TORCH)'

clean: ## remove what was built (.venv stays)
	rm -rf _build _docs build dist .pytest_cache .ruff_cache .hypothesis
	find nbs olsattention tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

# Exported anew when a notebook changed, or a module was edited by hand.
$(EXPORTED): $(INSTALLED) $(NOTEBOOKS) $(MODULES)
	$(EXPORT)
	@mkdir -p _build && touch $@

$(INSTALLED): settings.ini setup.py
	@[ -n "$(PYTHON)" ] && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "olsattention needs Python >= 3.11; found $$( $(or $(PYTHON),python3) --version 2>/dev/null || echo none)."; \
	  echo "Install one, or call make PYTHON=/path/to/python."; exit 1; }
	@echo "Setting up .venv with $$($(PYTHON) --version): about 1.6 GB and a few minutes, once."
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv || { \
	  rm -rf .venv; echo "$(PYTHON) cannot make a virtual environment. On Debian and Ubuntu: apt install python3-venv."; exit 1; }
	@$(BIN)/python -m pip install --disable-pip-version-check -e '.[dev]' '$(TORCH)' || { \
	  echo; echo "pip could not install the requirements (its message is above)."; \
	  echo "No network? Then it needs a mirror: set PIP_INDEX_URL or PIP_FIND_LINKS. Another build of PyTorch: make TORCH=torch==..."; \
	  exit 1; }
	@# Kernels warn at every start that they talk over local sockets; this environment's kernels do not.
	@mkdir -p .venv/etc/ipython && printf 'c = get_config()\nc.IPKernelApp.log_level = 40\n' > .venv/etc/ipython/ipython_kernel_config.py
	@touch $@
