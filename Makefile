# Two commands do everything: `make lab` and `make test`.
SHELL := /bin/sh
BUN := node_modules/bun/bin/bun.exe
SOURCES := $(shell find src \( -name '*.ts' -o -name '*.tsx' -o -name '*.css' \) -not -name '*.test.ts' -not -name '*.fake.ts') package.json
SCHEMA := src/lab/kubernetes/schema/schema.gen.json
# Lists of what is in a directory: generated again when something is added or removed there.
FAILURES := src/path/stages/index.gen.ts
# Script and style of the report page, and of the live page.
PAGE := src/page/bundle.gen.ts src/ui/bundle.gen.ts
GENERATED := $(SCHEMA) $(FAILURES) $(PAGE)
PLUGINS := dist/cni/portmap
BUN_PLUGINS := dist/bun-cni/portmap
# The C side of the plugins, and what builds it.
NATIVE := $(wildcard native/*.* native/quickjs-ng/*) $(wildcard scripts/native/*.ts) scripts/build-plugins.ts
PROGRAM := bin/hostport
IMAGES := dist/images/index.json
NODE_IMAGE := .stamps/node-image

.PHONY: lab test test-long check build tested setup bench real release login push sign publish refresh-lock test-release test-real test-conformance mutation fuzz advisories soak agreement clean help
.DELETE_ON_ERROR:

help:
	@echo "make lab    create the how-to's cluster, deploy its pods, show what answers"
	@echo "make test   run every check and test"
	@echo "make test-long  run what takes minutes more: pages in a browser, other ways to attach pods"
	@echo "make build  build bin/hostport, dist/cni/* and the node image"
	@echo "make real   build the real Kubernetes, Cilium and Helm into the user's cache"
	@echo "make test-real  run the tests on what make real has built"
	@echo "make test-conformance  run Kubernetes' own specs of hostPorts, pods and kubectl on both engines"
	@echo "make fuzz   give random input to all that reads what strangers write; kill portmap 500 times"
	@echo "make soak   kill, part, fill and set the clock of what there is for 20 minutes, and count what is violated"
	@echo "make bench  run the benchmarks and print their tables"
	@echo "make release  write the files of a release into dist/release/VERSION: docs/release.md"
	@echo "make push REGISTRY=ghcr.io/owner  push the images of a release"
	@echo "make test-release  build the release twice, compare, and run what is in it"
	@echo "make clean  remove what was built"

setup: .stamps/setup

.stamps/setup: scripts/setup.sh package.json package-lock.json
	@mkdir -p .stamps
	@scripts/setup.sh
	@touch $@

build: $(PROGRAM) $(PLUGINS) $(IMAGES) $(NODE_IMAGE)

# What whole runs of the tests need besides.
tested: build $(BUN_PLUGINS)

$(SCHEMA): scripts/generate-schema.ts package-lock.json | setup
	$(BUN) scripts/generate-schema.ts

$(FAILURES): scripts/generate-index.ts $(wildcard src/path/stages/*/ src/path/stages/*/*.ts src/lab/faults/*-*.ts) | setup
	$(BUN) scripts/generate-index.ts

$(PAGE) &: scripts/build-page.ts package-lock.json $(wildcard src/page/*.tsx src/page/*.css src/page/view/*.ts src/page/view/*.tsx src/ui/protocol.ts src/ui/*.tsx src/ui/*.css src/ui/view/*.ts src/ui/view/*.tsx src/path/model/*.ts src/path/trace/*.ts src/util/*.ts) | setup
	$(BUN) scripts/build-page.ts

$(PROGRAM): $(SOURCES) $(GENERATED) | setup
	$(BUN) scripts/build-program.ts

$(PLUGINS): $(SOURCES) $(NATIVE) | setup
	$(BUN) scripts/build-plugins.ts

# The product's plugins by Bun, which the tests hold to the same cases as what ships.
$(BUN_PLUGINS): $(SOURCES) scripts/build-plugins.ts | setup
	$(BUN) scripts/build-plugins.ts --bun

$(IMAGES): $(PROGRAM) $(PLUGINS) scripts/build-images.ts
	$(BUN) scripts/build-images.ts

$(NODE_IMAGE): $(IMAGES)
	$(PROGRAM) build node-image
	@touch $@

lab: build
	@$(BUN) scripts/lab.ts

check: $(GENERATED) | setup
# Threads of their own would check the same types again: a third more processor time, which tests have a use for.
	node_modules/.bin/tsc -p . --singleThreaded
	node_modules/.bin/biome check --error-on-warnings src test bench scripts
# What only tests use is dead: exports, types, packages.
	node_modules/.bin/knip --production --no-gitignore --include exports,types,dependencies

# It builds and checks what is needed itself, beside the first tests.
test: $(GENERATED) | setup
	$(BUN) scripts/test.ts

# What `make test` has no time for.
test-long: $(GENERATED) | setup
	$(BUN) scripts/test.ts --long

# The evaluator of rules against the kernel, with many more rule sets than in `make test`.
agreement: $(GENERATED) | setup
	TRACE_RULE_SETS=10000 $(BUN) test src/netfilter/trace/kernel.netns.test.ts

# Not among the dependencies: 150 packages that nothing else needs.
mutation: $(GENERATED) | setup
	npm install --no-save --no-audit --no-fund @stryker-mutator/core@9.6.1
	$(BUN) scripts/mutation.ts

# Takes long the first time, and nothing else needs it. PARTS="helm …" builds only these.
real: | setup
	@$(BUN) scripts/real.ts $(PARTS)

# Skipped where `make real` has not run.
test-real: build
	@$(BUN) scripts/test-real.ts

# Half an hour: one spec waits five minutes for a pod that must not start.
test-conformance: build
	$(BUN) scripts/test-conformance.ts

# The same tests as in `make test`, with more of everything, in less than an hour.
fuzz: $(PLUGINS) $(GENERATED)
	$(BUN) scripts/fuzz.ts

# One run of 20 minutes.
soak: build
	$(BUN) test/soak/soak.ts

# Of a tree without changes: docs/release.md. Scripts read REGISTRY from their environment.
release: $(SCHEMA) $(FAILURES) $(PAGE) $(PLUGINS) | setup
	$(BUN) scripts/release.ts

# About what of npm is in the program. Not part of the tests: registries differ in what they answer.
advisories: | setup
	@$(BUN) scripts/advisories.ts

# What a release is pushed, signed and published by: docs/releasing.md.
login push sign publish: | setup
	@$(BUN) scripts/$@.ts

# The packages of Debian that the images are made from, as they are now. On Debian 12.
refresh-lock: | setup
	$(BUN) scripts/refresh-lock.ts

# It creates a lab, too.
test-release: build
	$(BUN) scripts/test.ts test/release/reproducible.test.ts test/release/packages.test.ts

bench: build
	$(BUN) bench/run.ts

# Without Bun nothing can have been built that a cluster runs from.
clean:
	@if [ -x $(BUN) ]; then $(BUN) scripts/clean.ts; else rm -rf bin dist .stamps src/*/*.gen.* src/*/*/*.gen.* src/*/*/*/*.gen.*; fi
