# make demo   train MedSegMamba on one half of a brain, segment the other half, score it
# make test   build everything and run the tests
# Both install what packages.txt names and is missing (Debian 12; as root or with sudo).

BUILD := build/release
JOBS ?= $(shell nproc)
PACKAGES := $(shell sed 's/\#.*//' packages.txt)
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: all setup build test demo asan ubsan format clean

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
	ctest --test-dir $(BUILD) --output-on-failure

demo: setup $(BUILD)/build.ninja
	cmake --build $(BUILD) -j $(JOBS) --target mambaseg
	$(BUILD)/bin/mambaseg demo -o demo_output

# The tests under AddressSanitizer and UndefinedBehaviorSanitizer.
asan ubsan: setup
	cmake --preset $@
	cmake --build build/$@ -j $(JOBS)
	ctest --preset $@

format:
	git ls-files '*.h' '*.cpp' '*.cu' | xargs clang-format -i

clean:
	rm -rf build demo_output
