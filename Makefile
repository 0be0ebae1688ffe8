# make demo   segment a head with the model in the box, score it beside an atlas
# make demo-train   train MedSegMamba on one half of a brain, segment the other half, score it
# make test   build everything and run the tests; ISA=avx2 or ISA=sse41: as on a processor with no more than that
# make install PREFIX=/opt/mambaseg   the program, its models and the library (docs/library.md)
# All install what packages.txt names and is missing (Debian 12; as root or with sudo).

BUILD := build/release
JOBS ?= $(shell nproc)
PACKAGE_LIST ?= packages.txt
PACKAGES := $(shell sed 's/\#.*//' $(PACKAGE_LIST))
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

ISA ?= native
PREFIX ?= /usr/local
# What `make tidy` compares with.
BASE ?= main

.PHONY: all setup build test install demo demo-train asan ubsan assertions no-itk no-onednn docs elsewhere format tidy clean

all: build

setup:
	@missing=$$(for p in $(PACKAGES); do \
	  dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then echo "Installing:" $$missing; \
	  $(SUDO) apt-get update -qq && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; fi

$(BUILD)/build.ninja: | setup
	cmake --preset release

build: setup $(BUILD)/build.ninja
	cmake --build $(BUILD) -j $(JOBS)

test: build
	tests/run.sh $(ISA) $(BUILD)

install: build
	cmake --install $(BUILD) --prefix $(PREFIX)

demo: setup $(BUILD)/build.ninja
	cmake --build $(BUILD) -j $(JOBS) --target mambaseg
	$(BUILD)/bin/mambaseg demo -o demo_output

demo-train: setup $(BUILD)/build.ninja
	cmake --build $(BUILD) -j $(JOBS) --target mambaseg
	$(BUILD)/bin/mambaseg demo --train -o demo_train_output

# The tests in other builds: under sanitizers, with assertions, without a library that can be left out.
asan ubsan assertions no-itk no-onednn: setup
	cmake --preset $@
	cmake --build build/$@ -j $(JOBS)
	ctest --preset $@

# What the documentation says of the program as the program says it; a test tells when it is stale.
docs: build
	$(BUILD)/bin/mambaseg networks --markdown > docs/networks.md
	@mkdir -p docs/models
	for model in $(notdir $(patsubst %/model.toml,%,$(wildcard models/*/model.toml))); do \
	  $(BUILD)/bin/mambaseg models models/$$model --markdown > docs/models/$$model.md || exit 1; done

# The kernels' tests on emulated processors.
elsewhere: build
	tests/elsewhere/run.sh

# clang-tidy on the source files that differ from BASE. GCC's precompiled headers mean nothing to it.
tidy: setup
	cmake --preset release -B build/tidy -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON -DMAMBASEG_CCACHE= > /dev/null
	git diff --name-only --diff-filter=d $$(git merge-base $(BASE) HEAD) -- '*.cpp' | \
	  xargs --no-run-if-empty --max-procs=$(JOBS) --max-args=1 clang-tidy -p build/tidy --quiet

format:
	git ls-files '*.h' '*.hpp' '*.c' '*.cpp' '*.cu' | xargs clang-format -i

clean:
	rm -rf build demo_output demo_train_output
