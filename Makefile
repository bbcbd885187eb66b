# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# From a fresh clone: 'make demo' shows the main job, 'make test' proves it, 'make test-quick' is for daily work. Everything that is made
# lies below build/.

PYTHON ?= python3
# Further arguments for pytest: make units PYTEST='-k retention'
PYTEST ?=
# Arguments of a benchmark: make bench ARGS='--only idle-run --rounds 9'
ARGS ?=
# Processes that run tests at the same time: for two processors, because tests also wait for hosts, servers and clocks.
WORKERS ?= 6
# Those of the second line of work in 'make test', which then lasts about as long as the first: few processes for all of the time.
OTHER_WORKERS ?= 2
# What another ansible-core can break, with the newest one on the newest interpreter: each playbook on a host, each module and plugin once.
# To which store a module sends is no matter of Ansible's.
NEWEST_TESTS ?= tests/newest $(wildcard $(addprefix tests/integration/test_,targets.py recap_notify.py) \
    $(addprefix tests/unit/plugins/,filter lookup modules plugin_utils module_utils/*.py)) \
    $(addprefix --deselect=tests/integration/test_targets.py::test_target_on_,s3 sftp)
PY39_TESTS ?= tests/unit/plugins/module_utils/_engine

B := build
SELF := $(B)/collections/ansible_collections/infra_ops/log_archive
INSTALLED := $(B)/installed/ansible_collections/infra_ops/log_archive
# Errors only: warnings about the user's own configuration of pip are not ours to print.
PIP := -m pip --disable-pip-version-check -qq
FIND_PYTHON := $(PYTHON) tests/lint/find_python.py
# Python keeps what it compiles: uv leaves that to it.
unexport PYTHONDONTWRITEBYTECODE
# What the tarball is made of.
SHIPPED := $(shell find galaxy.yml README.md LICENSE CHANGELOG.md requirements.txt bindep.txt docs meta plugins roles playbooks \
    tests/config.yml tests/integration/targets -type f \
    -not -path '*/__pycache__/*' -not -path '*/output/*' 2>/dev/null)

# $(call venv,REQUIREMENTS): a virtualenv of $(PYTHON) in the folder of the target, which is its stamp.
VIRTUALENV := $(PYTHON) tests/lint/virtualenv.py $(B)/uv/bin/uv
define venv
@echo "Preparing $(@D)"
@$(VIRTUALENV) $(@D) $(PYTHON) $(1)
@touch $@
endef

# $(call venv_where_found,VERSION,REQUIREMENTS): the same with an interpreter of this machine, found by its version.
define venv_where_found
@rm -rf $(@D) && mkdir -p $(@D)
@found=$$($(FIND_PYTHON) $(1)); test -z "$$found" || { \
    echo "Preparing $(@D) with $$found" && $(VIRTUALENV) $(@D) $$found $(2); }
@touch $@
endef

.DEFAULT_GOAL := help
.PHONY: help demo demo-cloud demo-search docs picture bench host build changelog clean system python
.PHONY: test test-quick tests other-tests molecule releases storm storm-search units integration fleet newest py39 lint lint-quick lint-ansible sanity installed environments

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "$(PYTHON) is older than 3.11, which ansible-core 2.19 needs: make PYTHON=python3.11 ..." >&2; exit 1; }

# -- for people -------------------------------------------------------------------------------------------------------

demo: $(B)/venv/.stamp $(B)/venv-swift/.stamp $(SELF) ## Archive this machine's logs and a generated fleet's, ship, verify, prune, restore
	@$(B)/venv/bin/python demo/run.py

demo-cloud: $(B)/venv/.stamp $(SELF) ## Archive a made-up CloudTrail trail, delete a part of it, and find that
	@$(B)/venv/bin/python demo/cloud.py

demo-search: $(B)/venv/.stamp $(SELF) system ## Follow a made-up log into an OpenSearch node on this machine, client ids encrypted
	@$(B)/venv/bin/python demo/search.py

picture: $(B)/venv-test/.stamp $(SELF) system ## Make the pictures of the fleet's page and of the dashboards in docs/images, with Chromium
	@$(B)/venv-test/bin/python demo/fleet_picture.py
	@$(B)/venv-test/bin/python demo/dashboard_pictures.py

bench: $(B)/venv-test/.stamp $(B)/venv-swift/.stamp $(B)/venv-awscli/.stamp $(SELF) system ## Measure against other ways: make bench ARGS="--quick"
	PYTHONPATH=$(B)/collections $(B)/venv-test/bin/python tests/benchmarks/bench.py $(ARGS)

# make puts the variables of its command line into the environment: $$PREFIX may have blanks. A first line may not name an interpreter with
# blanks in its path: then sh starts it, by a line that Python reads as a text.
host: ## Install the command log-archive in a virtualenv: make host PREFIX=/opt/log-archive
	@test -n "$$PREFIX" || { echo "Say where: make host PREFIX=/opt/log-archive" >&2; exit 2; }
	@version='import sys; print("%d.%d" % sys.version_info[:2])'; wanted=$$($(PYTHON) -c "$$version") || exit; \
	if test -e "$$PREFIX/pyvenv.cfg"; then \
	    found=$$("$$PREFIX/bin/python" -c "$$version" 2>/dev/null) || found="none that starts"; \
	    test "$$found" = "$$wanted" || { \
	        echo "$$PREFIX is a virtualenv of another Python ($$found; $(PYTHON) is $$wanted); nothing was changed." >&2; \
	        echo "Remove it, or give its interpreter: make host PYTHON=... PREFIX=..." >&2; exit 2; }; \
	elif test -n "$$(ls -A "$$PREFIX" 2>/dev/null)"; then \
	    echo "$$PREFIX has files and is not a virtualenv; nothing was changed. Give a new folder." >&2; exit 2; \
	fi
	$(PYTHON) -m venv "$$PREFIX"
	"$$PREFIX/bin/python" $(PIP) install -r requirements.txt
	@site=$$("$$PREFIX/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))') && \
	    rm -rf "$$site/log_archive.new" && cp -R plugins/module_utils/_engine "$$site/log_archive.new" && \
	    rm -rf "$$site/log_archive" && mv "$$site/log_archive.new" "$$site/log_archive" && \
	    "$$PREFIX/bin/python" -m compileall -q "$$site/log_archive"
	@python=$$(cd "$$PREFIX" && pwd)/bin/python && command=$$PREFIX/bin/log-archive && \
	    case $$python in \
	    *[[:space:]]*) printf "#!/bin/sh\n'''exec' \"%s\" -IXutf8 \"\$$0\" \"\$$@\"\n' '''\n" "$$python" ;; \
	    *) printf '#!%s -IXutf8\n' "$$python" ;; \
	    esac >"$$command.new" && \
	    printf 'from log_archive.cli.launch import launch\n\nlaunch()\n' >>"$$command.new" && \
	    chmod 755 "$$command.new" && mv "$$command.new" "$$command" && "$$command" --version

build: $(B)/dist/.stamp ## Build the collection's tarball in build/dist

changelog: $(B)/venv-test/.stamp ## Generate CHANGELOG.md from changelogs/ and the plugins' documentation
	@# Of a release that it knows, antsibull-changelog would not see the summary, and warn: so it makes the release anew.
	@$(B)/venv-test/bin/python -c 'import sys, yaml; path, version = sys.argv[1:]; known = yaml.safe_load(open(path)); \
	    known["releases"].pop(version, None); yaml.safe_dump(known, open(path, "w"))' \
	    changelogs/changelog.yaml "$$(sed -n 's/^version: //p' galaxy.yml)"
	PATH="$(abspath $(B)/venv-test/bin):$$PATH" antsibull-changelog release --reload-plugins \
	    --refresh --version $$(sed -n 's/^version: //p' galaxy.yml)

clean: ## Remove everything that was made
	rm -rf $(B) tests/output

# -- tests ------------------------------------------------------------------------------------------------------------

# Quick checks fail first. Then two lines of work share the machine, because tests wait for hosts. Each prints its own summaries.
test: ## Install what the tests need, then run all of them and lint
	@$(MAKE) --no-print-directory -j3 system environments installed lint-quick
	@$(MAKE) --no-print-directory -j2 tests other-tests

other-tests: installed
	@$(MAKE) --no-print-directory newest WORKERS=$(OTHER_WORKERS)
	@$(MAKE) --no-print-directory lint-ansible
	@$(MAKE) --no-print-directory py39 WORKERS=$(OTHER_WORKERS)

test-quick: lint-quick $(SELF) ## Three minutes for daily work: quick lint, unit tests, one job on a file store
	$(RUN_PYTEST) tests/unit "tests/integration/test_targets.py::test_target[archive_run]" $(PYTEST)

environments: $(B)/fleet/.stamp $(B)/venv-test/.stamp $(B)/venv-swift/.stamp $(B)/venv-moto/.stamp $(B)/venv-awscli/.stamp $(B)/venv-newest/.stamp $(B)/venv-py39/.stamp $(B)/awx/.stamp

system:
	@tests/lab/install.sh

# $(call run_pytest,VENV): pytest on every worker; it ends with the ten slowest.
run_pytest = $(B)/$(1)/bin/python -m pytest -n $(WORKERS) --durations 10
RUN_PYTEST = $(call run_pytest,venv-test)
RUN_TESTS = LOG_ARCHIVE_REQUIRE_ALL=1 LOG_ARCHIVE_COLLECTIONS=$(abspath $(B)/installed) ANSIBLE_COLLECTIONS_PATH=$(abspath $(B)/installed)

tests: $(B)/venv-test/.stamp $(B)/venv-swift/.stamp $(B)/venv-moto/.stamp $(B)/venv-awscli/.stamp $(B)/awx/.stamp installed $(SELF) ## All tests with ansible-core 2.19
	$(RUN_TESTS) $(RUN_PYTEST) $(PYTEST)

units: $(B)/venv-test/.stamp $(SELF) ## Unit tests; what is not installed is skipped
	$(RUN_PYTEST) tests/unit $(PYTEST)

integration: $(B)/venv-test/.stamp $(B)/venv-swift/.stamp $(B)/venv-moto/.stamp $(B)/venv-awscli/.stamp installed $(SELF) system ## Tests with playbooks, servers and faults
	$(RUN_TESTS) $(RUN_PYTEST) tests/stores tests/sinks tests/search tests/integration tests/faults $(PYTEST)

fleet: $(B)/venv-test/.stamp $(B)/venv-swift/.stamp installed $(SELF) system ## Tests on real hosts, over OpenSSH
	$(RUN_TESTS) $(RUN_PYTEST) tests/lab/test_fleet.py tests/fleet $(PYTEST)

releases: $(B)/venv-test/.stamp installed $(SELF) system ## Tests on hosts of other Debian releases, and on a fleet half of which is upgraded (minutes)
	$(RUN_TESTS) $(B)/venv-test/bin/python -m pytest tests/releases $(PYTEST)

storm: $(B)/venv-test/.stamp $(SELF) system ## Kill the follower and its database 200 times while a writer rotates (minutes)
	LOG_ARCHIVE_REQUIRE_ALL=1 LOG_ARCHIVE_STORM=long $(B)/venv-test/bin/python -m pytest -rP tests/faults/test_follow.py -k storm $(PYTEST)

storm-search: $(B)/venv-test/.stamp $(SELF) system ## Kill the follower and its search server 100 times while a writer rotates (minutes)
	LOG_ARCHIVE_REQUIRE_ALL=1 LOG_ARCHIVE_STORM=long $(B)/venv-test/bin/python -m pytest -rP tests/search -k storm $(PYTEST)

molecule: $(B)/venv-molecule/.stamp $(SELF) ## Archive and restore with Molecule, on this machine, without root and network
	cd extensions && PATH="$(abspath $(B)/venv-molecule/bin):$$PATH" ANSIBLE_COLLECTIONS_PATH=$(abspath $(B)/collections) molecule test

# A warning of Sphinx, such as a broken link, is an error. Links to Ansible's own pages need the internet.
OUTSIDE := inventories|undefined label: '(ansible_collections.ansible.|common_return_values|action_plugins|ansible_configuration_settings)
docs: $(B)/venv-docs/.stamp installed ## Lint and render the pages of the modules, plugins and roles, in build/docs
	@rm -rf $(B)/docs && mkdir -p -m 755 $(B)/docs/rst
	cd $(B)/docs && PATH="$(abspath $(B)/venv-docs/bin):$$PATH" ANSIBLE_COLLECTIONS_PATH=$(abspath $(B)/installed) && \
	    export PATH ANSIBLE_COLLECTIONS_PATH && \
	    antsibull-docs lint-collection-docs --plugin-docs --skip-rstcheck $(abspath $(INSTALLED)) && \
	    antsibull-docs sphinx-init --use-current --fail-on-error --squash-hierarchy --dest-dir . infra_ops.log_archive >init.log && \
	    antsibull-docs --config-file antsibull-docs.cfg collection --cleanup everything --fail-on-error --use-current --squash-hierarchy \
	        --dest-dir rst infra_ops.log_archive && \
	    sphinx-build -q -j auto -b html -c . -w warnings.txt rst html 2>/dev/null && \
	    ! grep WARNING warnings.txt | grep -vE "$(OUTSIDE)"
	@echo "Open $(B)/docs/html/index.html"

newest: $(B)/venv-newest/.stamp $(B)/venv-swift/.stamp $(B)/awx/.stamp installed $(SELF) ## Tests of what touches Ansible with the newest ansible-core
	@if test -x $(B)/venv-newest/bin/python; then \
	    $(B)/venv-newest/bin/ansible --version | sed -n 1p; \
	    $(RUN_TESTS) $(call run_pytest,venv-newest) $(NEWEST_TESTS) $(PYTEST); \
	else echo "SKIPPED: newest ansible-core: no Python 3.12 or newer on this machine"; fi

py39: $(B)/venv-py39/.stamp $(SELF) ## Unit tests of the engine on Python 3.9, with the oldest libraries: the first and the last case of each
	@if test -x $(B)/venv-py39/bin/python; then \
	    $(call run_pytest,venv-py39) $(PY39_TESTS) $(PYTEST); \
	else echo "SKIPPED: engine on Python 3.9: no such interpreter on this machine"; fi

# -- lint -------------------------------------------------------------------------------------------------------------

lint: lint-quick lint-ansible ## ruff, mypy, import contracts, changelog; ansible-lint, ansible-test sanity

lint-quick: $(B)/venv-test/.stamp $(B)/lint/log_archive ## The part of lint that takes seconds
	$(B)/venv-test/bin/ruff check .
	$(B)/venv-test/bin/ruff format --check .
	PYTHONPATH=$(B)/lint $(B)/venv-test/bin/lint-imports --no-cache
	$(B)/venv-test/bin/mypy
	$(B)/venv-test/bin/antsibull-changelog lint
	$(B)/venv-test/bin/python tests/lint/fragments.py
	$(B)/venv-test/bin/python tests/lint/commits.py

ANSIBLE_LINT := $(abspath tests/lint/ansible_lint.py) --offline --profile production
# The tarball as users have it, without our settings of ansible-lint, in a copy because ansible-lint writes there; then what it leaves out.
lint-ansible: $(B)/venv-test/.stamp $(B)/awx/.stamp installed
	@rm -rf $(B)/linted && mkdir -p $(B)/linted && cp -R $(INSTALLED) $(B)/linted
	cd $(B)/linted/log_archive && PATH="$(abspath $(B)/venv-test/bin):$$PATH" \
	    ANSIBLE_COLLECTIONS_PATH=$(abspath $(B)/installed):$(abspath $(B)/awx) python $(ANSIBLE_LINT)
	PATH="$(abspath $(B)/venv-test/bin):$$PATH" ANSIBLE_COLLECTIONS_PATH=$(abspath $(B)/installed):$(abspath $(B)/awx) \
	    python $(ANSIBLE_LINT) demo extensions galaxy.yml
	@$(MAKE) --no-print-directory sanity

# The engine under the name that it has on a host.
$(B)/lint/log_archive:
	@mkdir -p $(@D) && ln -sfn ../../plugins/module_utils/_engine $@

sanity: $(B)/venv-test/.stamp installed
	test ! -e tests/sanity || ! find tests/sanity -name 'ignore-*.txt' -size +0 | grep .
	$(B)/venv-test/bin/python tests/lint/sanity.py $(INSTALLED) $(B)/ansible-test-home --color yes

# -- what the rest needs ----------------------------------------------------------------------------------------------

$(SELF):
	@mkdir -p $(dir $@) && ln -sfn ../../../.. $@

# Installs the libraries of all virtualenvs; without it pip does.
$(B)/uv/.stamp: | python
	@mkdir -p $(@D)
	@$(PYTHON) $(PIP) install --target $(@D) uv || true
	@touch $@

$(B)/venv-build/.stamp: | $(B)/uv/.stamp
	$(call venv,"ansible-core>=2.19")

$(B)/dist/.stamp: $(B)/venv-build/.stamp $(SHIPPED)
	@rm -rf $(B)/dist && mkdir -p $(B)/dist
	@$(B)/venv-build/bin/ansible-galaxy collection build --force --output-path $(B)/dist
	@touch $@

installed: $(B)/installed/.stamp

$(B)/installed/.stamp: $(B)/dist/.stamp
	@rm -rf $(INSTALLED)
	@$(B)/venv-build/bin/ansible-galaxy collection install $(B)/dist/*.tar.gz --offline --force -p $(B)/installed
	@touch $@

$(B)/venv/.stamp: requirements.txt demo/requirements.txt | $(B)/uv/.stamp
	$(call venv,-r demo/requirements.txt)

$(B)/venv-swift/.stamp: tests/requirements-swift.txt | $(B)/uv/.stamp
	$(call venv,-r tests/requirements-swift.txt)

$(B)/venv-moto/.stamp: tests/requirements-moto.txt | $(B)/uv/.stamp
	$(call venv,-r tests/requirements-moto.txt)

$(B)/venv-test/.stamp: requirements.txt $(wildcard tests/requirements*.txt) | $(B)/uv/.stamp
	$(call venv,"ansible-core~=2.19.0" -r tests/requirements.txt -r tests/requirements-lint.txt -r tests/requirements-parquet.txt)

# The collection awx.awx, for playbooks/awx.yml: all that is kept of PyPI's bundle of collections.
$(B)/awx/.stamp: tests/requirements-awx.txt | python
	@echo "Preparing $(@D)"
	@rm -rf $(@D)
	@$(PYTHON) $(PIP) download --no-deps --only-binary :all: --dest $(@D) -r tests/requirements-awx.txt
	@$(PYTHON) -c 'import sys, zipfile; bundle = zipfile.ZipFile(sys.argv[1]); \
	    bundle.extractall(sys.argv[2], [name for name in bundle.namelist() if name.startswith("ansible_collections/awx/")])' $(@D)/*.whl $(@D)
	@rm $(@D)/*.whl
	@touch $@

# The root file systems and the wheels of the hosts: a test would make them on its first use, and the others would wait for it.
$(B)/fleet/.stamp: requirements.txt tests/lab/fleet.py | python system
	@echo "Preparing $(@D)"
	@cd tests && $(PYTHON) -c 'from lab.fleet import prepare; prepare()'
	@touch $@

# What the validation of trails is compared with, as its users have it.
$(B)/venv-awscli/.stamp: | $(B)/uv/.stamp
	$(call venv,awscli)

$(B)/venv-molecule/.stamp: requirements.txt | $(B)/uv/.stamp
	$(call venv,"ansible-core>=2.19" "molecule>=25" -r requirements.txt)

$(B)/venv-docs/.stamp: requirements.txt | $(B)/uv/.stamp
	$(call venv,"ansible-core>=2.19" "antsibull-docs>=2.28" sphinx sphinx-ansible-theme -r requirements.txt)

# These two are left empty where the machine has no such interpreter.
$(B)/venv-newest/.stamp: requirements.txt $(wildcard tests/requirements*.txt) | $(B)/uv/.stamp
	$(call venv_where_found,3.12+,ansible-core -r tests/requirements.txt)

# With the oldest versions that requirements.txt allows: the other virtualenvs have the newest.
$(B)/venv-py39/.stamp: $(B)/oldest.txt requirements.txt tests/requirements-unit.txt | $(B)/uv/.stamp
	$(call venv_where_found,3.9,-r tests/requirements-unit.txt -c $(B)/oldest.txt)

$(B)/oldest.txt: requirements.txt tests/lint/oldest.py | python
	@mkdir -p $(@D) && $(PYTHON) tests/lint/oldest.py requirements.txt > $@
