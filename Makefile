# make repro   the demo, from drawing its images to the results table
# make noisy   experiments with wrong labels, from drawing their images to the table: docs/noisy.md
# make semi    experiments with few labels, classification and segmentation, to their tables: docs/semi.md
# make test    lint, types and tests
# make long    the tests that take long, which make test leaves out
# make lock    pin the newest versions that pyproject.toml admits
#
# make presets             list the settings of the paper's tasks and of longer demos
# make preset NAME=demo    put one into params.yaml and rounds.yaml
# make noisy NAME=drawn    put one of noisy/presets/ into noisy/params.yaml first
# make semi TASK=classification NAME=cifar10-4000
#                          one task alone; with NAME, one of its presets/ is put into its params.yaml and phases.yaml first
# make compare             the workspace and the experiments of this commit in 80 columns; REVS='main faster': these
# make declare             write what the stages depend on, as the code has it, into all dvc.yaml
# make table               the workspace and the experiments of this commit, in metrics/tables/
# make page                metrics/report.html again; COMPARE=REV: metrics/compare.html, with that run beside it
# make verify              hash every artefact and what DVC's cache has of it; REPAIR=1: delete what is damaged there
# make licences            docs/licences.md: what each package of requirements.txt says of its licence
# make audit               known vulnerabilities of these packages; needs a network
# make kill                end the demo's tiny form at random moments, a hundred times, and let it go on: to the same bytes?
#                          KILLS=100 SIGNAL=KILL, TERM or INT; FULL=1: full disks in place of signals
# make fuzz                damaged and odd files, thousands of them, for every reader: CASES=10000 SEED=1
# make slurm               a task of experiments/slurm.sh on a tiny run, with a stand-in for SLURM: preempted, killed, gone on
# make ranks               2 and 4 processes beside one: how far their losses, weights and features are apart, method by method
# make browser             the page in Chromium, by keyboard and mouse, and what axe-core says of it; needs Chromium
#                          and Node 20, and gets two packages from npm
# make ablation            queue and run experiments/ablation.yaml, or FILE=another, then the table of it
# make refineries          the same of experiments/refineries.yaml: methods x wrong labels

PYTHON ?= python3
UV_VERSION := 0.13.8
VENV := .venv
SEMI := semi/classification semi/segmentation
SHELL := bash
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: repro noisy semi test long environment lock presets preset compare declare table page browser ablation refineries
.PHONY: verify licences audit kill ranks fuzz slurm $(SEMI)

repro: environment
	@python -m tools.lock_guard
	dvc repro
	@cat metrics/results.md

noisy: environment
	$(if $(NAME),@python -m tools.noisy_preset $(NAME))
	@python -m tools.lock_guard
	cd noisy && dvc repro
	@cat noisy/metrics/results.md

semi: environment
	$(if $(NAME),@python -m tools.semi_preset $(TASK) $(NAME))
	@python -m tools.lock_guard
ifdef TASK
	cd semi/$(TASK) && dvc repro
	@cat semi/$(TASK)/metrics/results.md
else
	@$(MAKE) --no-print-directory --jobs=2 $(SEMI)
	@cat $(SEMI:=/metrics/results.md)
endif

# side by side: while a stage of one starts, the other has both cores, and the shorter one stands back, lest the longer one
# end alone. After Ctrl-C each line still comes through
semi/classification: BACK := nice
$(SEMI): semi/%:
	@set -o pipefail && cd $@ && $(BACK) dvc repro 2>&1 | (trap '' INT TERM && exec sed -u 's/^/$*: /')

test: environment
	ruff format --check .
	ruff check .
	mypy
	pytest

long: environment
	pytest -m long

presets: environment
	@python -m tools.preset

preset: environment
	@python -m tools.preset $(NAME)

compare: environment
	@python -m tools.compare $(REVS)

declare: environment
	python -m tools.declare

table: environment
	python -m tools.table

page: environment
	python -m tools.page $(if $(COMPARE),--compare $(COMPARE))

verify: environment
	@python -m tools.verify $(if $(REPAIR),--repair)

licences: environment
	@python -m tools.licences

audit: environment
	@python -m tools.audit

kill: environment
	$(if $(FULL),unshare --user --map-root-user --mount) python -m tests.kill --kills $(or $(KILLS),100) --signal $(or $(SIGNAL),KILL) $(if $(FULL),--full)

fuzz: environment
	@python -m tests.fuzz --cases $(or $(CASES),10000) --seed $(or $(SEED),1)

slurm: environment
	@python -m tests.slurm_run

ranks: environment
	@python -m tests.ranks_run

browser:
	cd tests/browser && npm ci --silent --ignore-scripts
	node tests/browser/check.mjs metrics/report.html

ablation: environment
	python -m tools.ablation $(FILE)

refineries: environment
	python -m tools.ablation $(or $(FILE),experiments/refineries.yaml)
	python -m tools.refineries $(FILE)

environment: $(VENV)/.complete

$(VENV)/.complete: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(VENV)/bin/uv pip install --python $(VENV)/bin/python --compile-bytecode --require-hashes --requirements requirements.txt
	@touch $@

# hashes, but no index addresses: any mirror serves, and what it serves is checked
lock: environment
	uv pip compile --quiet --universal --generate-hashes --no-header --upgrade --extra dev pyproject.toml --output-file requirements.txt
