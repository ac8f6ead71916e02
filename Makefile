# Two commands matter: `make run` and `make test`. The build itself is CMake's.
PREFIX ?= /usr/local
BUILD  ?= build

.PHONY: all setup run test fuzz bench install docs clean help

all: $(BUILD)/build.ninja
	cmake --build $(BUILD)

$(BUILD)/build.ninja: CMakeLists.txt $(wildcard cmake/*.cmake)
	cmake -S . -B $(BUILD) -G Ninja -DCMAKE_INSTALL_PREFIX=$(PREFIX)

setup: # install the Debian packages that are missing
	scripts/setup-debian.sh

run: setup # set up, build, install the interpreter, and do a real job
	$(MAKE) all
	$(BUILD)/brig guest install python
	$(BUILD)/brig python --stats examples/report/report.py < examples/report/elements.csv

test: setup # everything, from a clean clone
	scripts/test.sh

fuzz: setup # each fuzzer of tests/fuzz for FUZZ_SECONDS, an hour by default
	scripts/fuzz.sh $(FUZZ_SECONDS)

bench: all # the figures of the README, side by side with alternatives
	bench/run.sh $(BUILD)

install: all # into $(PREFIX), under $(DESTDIR)
	DESTDIR=$(DESTDIR) cmake --install $(BUILD) --prefix $(PREFIX)

docs: all # make docs/configuration.md from the table of keys
	$(BUILD)/configuration-doc > docs/configuration.md

clean:
	rm -rf $(BUILD) build-*

help:
	@sed -n 's/^\([a-z]*\):.*# /make \1: /p' Makefile
