# The two commands: make demo, make test. CONTRIBUTING.md says more.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

# What the program needs: Augeas, and what its Python binding is built with.
RUN_PACKAGES  := libaugeas0 libaugeas-dev pkg-config gcc libc6-dev python3-dev python3-venv
# What the demo shows besides: the stock tool, two hosts and, to unpack, libvirt's own files.
DEMO_PACKAGES := augeas-tools mount util-linux hostname
# What the tests hold it against: the real thing. With "?", where the release has such a package.
TEST_PACKAGES := augeas-tools python3-augeas augeas-lenses libvirt0 libvirt-clients qemu-system-x86 qemu-utils virtiofsd? \
	strace acl attr man-db bash-completion fish zsh e2fsprogs xfsprogs mount util-linux libxml2-utils \
	glusterfs-server glusterfs-client openssh-server openssh-client sshfs iproute2 nfs-common rpcbind \
	sudo systemd procps fuse3 chromium chromium-driver sanlock prometheus spin tcc? debhelper dh-python dpkg-dev apparmor autofs
# What the long runs need besides: a Ceph cluster, logical volumes, partitions.
SLOW_PACKAGES := ceph-mon ceph-osd ceph-mds ceph-fuse ceph-common lvm2 fdisk
# Of these, what test-short needs.
SHORT_PACKAGES := augeas-lenses python3-augeas libvirt0 libvirt-clients qemu-system-x86 strace acl attr \
	e2fsprogs mount util-linux iproute2 procps
# The releases that it works on.
RELEASES ?= bookworm trixie unstable
# Files of libvirt's that the tests use, for the packages that hold them on this release.
LIBVIRT_FILES := /usr/sbin/libvirtd /usr/sbin/virtlockd \
	$(addprefix /etc/libvirt/,libvirtd.conf libxl.conf libxl-lockd.conf qemu.conf \
		qemu-lockd.conf virtlockd.conf) \
	$(addprefix /usr/lib/$(shell uname -m)-linux-gnu/libvirt/,lock-driver/lockd.so \
		lock-driver/sanlock.so connection-driver/libvirt_driver_qemu.so connection-driver/libvirt_driver_storage.so) \
	$(addprefix /lib/systemd/system/,libvirtd.service virtlockd.service virtlockd.socket)

# What draws the pictures of the documentation and its man pages.
SITE_PACKAGES := graphviz graphviz-tools? mandoc
# Where the Debian packages are put.
DEBS ?= dist/debian
# And the RPM packages.
RPMS ?= dist/rpm
# Where the documentation is built.
SITE ?= .site
# Where what an installation is made of is written down.
SBOM ?= lockcfg.cdx.json

# Every requirement is pinned with its hashes; pip takes no other, and builds with nothing else.
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
# Makes the files with the pins, for every Python and machine: UPGRADE=--upgrade for newer ones.
PIN := UV_CUSTOM_COMPILE_COMMAND="make requirements" $(BIN)/uv pip compile --quiet --universal \
	--python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate $(UPGRADE)

.PHONY: help setup demo test test-short test-releases test-packages test-slow deb rpm collection \
	release-check check format new-rule docs proofs mutation site \
	requirements sbom benchmark clean

help:
	@echo "make demo       install what is missing and see lockcfg work on real files"
	@echo "make test       install what the tests need and run all of them"
	@echo "make test-releases  both on Debian 12, 13 and unstable, each in a root of its own"
	@echo "make test-packages  the Debian packages on these releases, with a guest that runs"
	@echo "make deb        build the Debian packages of what is committed, in dist/debian"
	@echo "make rpm        the same as RPM packages, in dist/rpm"
	@echo "make collection  build the Ansible collection, in dist/ansible"
	@echo "make release-check  say of what is committed whether it is fit to be released"
	@echo "make check      ruff, ruff format --check, mypy --strict, proselint, pip-audit"
	@echo "make test-slow  the long runs: more generated files and calls, a million of inputs, contests on NFS"
	@echo "make benchmark  the tables of docs/explanation/performance.md"
	@echo "make new-rule CODE=LK115 NAME=hosts-file  the skeleton of a rule and of its test"
	@echo "make docs       make the man page and the pages of the rules again"
	@echo "make proofs     check the models of the locks, and make the page of what Spin finds again"
	@echo "make mutation  change the code in one place at a time, and see whether a test fails"
	@echo "make site       build the documentation as a web site, in $(SITE)"
	@echo "make sbom       what an installation is made of, as CycloneDX, in $(SBOM)"
	@echo "make requirements  pin again what the bounds of pyproject.toml allow, with hashes"

setup: $(VENV)/.installed

# A stamp, so that a second run installs nothing.
$(VENV)/.installed: requirements-build.txt requirements.txt pyproject.toml
	packaging/install-packages $(RUN_PACKAGES)
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes -r requirements-build.txt
	$(PIP) --require-hashes --no-build-isolation --use-pep517 -r requirements.txt
	$(PIP) --no-deps --no-build-isolation -e .
	# A start-up hook of setuptools, which nothing here uses, costs every command 1 ms.
	! $(BIN)/python -c 'import setuptools' 2>&- || $(BIN)/pip uninstall --quiet --yes setuptools
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	# No dependencies: the file has them all, except for what pyproject.toml leaves out. Python
	# compiles what it imports; the most of it is never imported.
	$(PIP) --no-compile --require-hashes --no-deps -r requirements-dev.txt
	touch $@

# No stamp: a package may have been removed.
.PHONY: $(VENV)/.installed-tests
$(VENV)/.installed-tests: $(VENV)/.installed-dev
	packaging/install-packages $(TEST_PACKAGES) $(SITE_PACKAGES)
	packages=$$(packaging/libvirt-packages missing $(LIBVIRT_FILES)) && \
		packaging/install-packages $$packages

.PHONY: $(VENV)/.installed-short
$(VENV)/.installed-short: $(VENV)/.installed-dev
	packaging/install-packages $(SHORT_PACKAGES)
	packages=$$(packaging/libvirt-packages missing $(LIBVIRT_FILES)) && \
		packaging/install-packages $$packages

demo: setup
	packages=$$(packaging/libvirt-packages missing /usr/sbin/virtlockd) && \
		packaging/install-packages $(DEMO_PACKAGES) $$packages
	packaging/demo

# The slow directories beside the others: half of the time is waiting.
test: $(VENV)/.installed-tests
	packaging/run-tests

# What depends most on the release of libvirt, QEMU, Augeas and Python; make demo goes before.
test-short: $(VENV)/.installed-short
	$(BIN)/pytest -q --few-scenarios --generated-files=4000 --plays=60 \
		tests/host/test_installed.py tests/conf/test_debian_binding.py tests/lockd/wire tests/fleet/test_fleet.py \
		tests/real/test_lens_agrees_with_libvirt.py tests/real/test_stock_lens.py \
		tests/real/test_schemas_agree_with_libvirtd.py tests/real/protocol \
		tests/real/test_admin.py tests/real/test_guests.py

# Each release in a root of its own. CI does the same in short. Debian 11 has no Python for the
# tests: its libvirt is tried with the one here.
test-releases: $(VENV)/.installed-tests
	packaging/with-libvirt bullseye $(BIN)/pytest -q tests/real/protocol tests/real/test_log_grammar.py \
		tests/real/test_admin.py tests/real/test_guests.py \
		tests/real/test_moving.py::test_what_the_release_of_virtlockd_allows
	set -e; for release in $(RELEASES); do packaging/test-release $$release; done

# The Debian packages, of what is committed.
deb:
	packaging/build-deb $(DEBS)

# The RPM packages, of what is committed.
rpm:
	packaging/build-rpm $(RPMS)

# The Ansible collection.
collection: $(VENV)/.installed-dev
	$(BIN)/ansible-galaxy collection build --force --output-path dist/ansible ansible

# The Debian packages are built, and used, in roots of the releases.
test-packages:
	set -e; for release in $(RELEASES); do packaging/test-packages $$release; done

release-check: $(VENV)/.installed-dev
	packaging/install-packages apparmor selinux-policy-dev
	packaging/release-check

test-slow: $(VENV)/.installed-tests
	packaging/install-packages $(SLOW_PACKAGES)
	$(BIN)/pytest --exhaustive --generated-files=500000 --plays=5000 --fuzz-inputs=1200000 \
		--schedules=1000000 --seed=$$(date +%j) tests/real tests/fuzz tests/simulation

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@$(BIN)/python -c 'import atheris' 2>&- || \
		echo "atheris has no wheel for this Python: how it is used was not checked"
	$(BIN)/python packaging/prose
	$(BIN)/python packaging/audit-requirements
	packaging/lint-collection $(BIN)

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

new-rule: $(VENV)/.installed-dev
	$(BIN)/python packaging/new-rule $(CODE) $(NAME)
	$(MAKE) docs

docs: $(VENV)/.installed-dev
	packaging/manual > docs/man/lockcfg.8
	$(BIN)/python packaging/rule-pages docs/rules
	$(BIN)/python packaging/prepared lockcfg/prepared

# The page of what Spin finds: a minute.
proofs: $(VENV)/.installed-dev
	packaging/install-packages spin 'tcc?'
	$(BIN)/python -m proofs --page > docs/reference/proof-traces.md

# All of it takes hours: MODULES=lockd/survival/journal.py takes two minutes.
mutation: $(VENV)/.installed-dev
	$(BIN)/python -m tests.mutation $(MODULES)

site: $(VENV)/.installed-dev
	packaging/install-packages $(SITE_PACKAGES)
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet docs $(SITE)

sbom: $(VENV)/.installed-dev
	$(BIN)/python packaging/sbom > $(SBOM)

# From the bounds in pyproject.toml; what is pinned already stays, as long as it fits.
requirements: $(VENV)/.installed-dev
	$(PIN) --group build -o requirements-build.txt
	$(PIN) pyproject.toml -c requirements-build.txt -o requirements.txt
	$(PIN) --group dev -c requirements-build.txt -c requirements.txt -o requirements-dev.txt

benchmark: $(VENV)/.installed-tests
	# As an installation leaves it: compiled.
	$(BIN)/python -m compileall -q lockcfg lockd
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) $(SBOM) .demo .site .vm .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
