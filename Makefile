# One Makefile for both programs. `make help` lists the targets.
VERSION  := 0.1.0
PREFIX   ?= /usr/local
CC       ?= cc
SANITIZE ?=
WERROR   ?= $(if $(CI),1)

# Where the shipped addons go, and where the programs look for them by default.
SCRIPTS_DIR := $(if $(filter /usr/local,$(PREFIX)),/opt/opensandbox/mitmscripts,$(PREFIX)/share/opensandbox/mitmscripts)

# The image, and what builds it: docker, if its daemon answers, or podman or buildah, whichever is there.
IMAGE       ?= opensandbox-egress:$(VERSION)
BUILDER     ?= $(shell docker version >/dev/null 2>&1 && echo docker || basename "$$(command -v podman || command -v buildah || echo docker)")
IMAGE_FLAGS ?=

BUILD := build$(if $(SANITIZE),/sanitize)

WARNINGS := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes \
            -Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wformat=2 -Wvla \
            $(if $(WERROR),-Werror)
# For size: as fast as -O2 here, where it is the kernel that works.
ifeq ($(SANITIZE),)
OPTIMIZE ?= -Os -g -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection \
            -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables
else
OPTIMIZE ?= -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
endif
ALL_CFLAGS  = -std=c11 -D_GNU_SOURCE -DVERSION='"$(VERSION)"' -I. $(WARNINGS) $(OPTIMIZE) -fPIE \
              $(call pkg,--cflags,$(PACKAGES)) $(CFLAGS)
ALL_LDFLAGS = $(OPTIMIZE) -Wl,-z,relro,-z,now,-z,pack-relative-relocs,--as-needed,--gc-sections $(LDFLAGS)

# Asked for when a recipe runs, not when this file is read: `deps` comes first.
pkg      = $(shell pkg-config $1 $2)
PACKAGES = libbsd-overlay libmd

# The objects of folders, and of all below them.
objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(sort $(shell find $1 -name '*.c')))
COMMON  := $(call objects,common)
SETUP_CA  := $(call objects,setup/ca setup/trust setup/x509)
SETUP_NFT := $(BUILD)/obj/setup/nft/main.o
SETUP   := $(filter-out $(SETUP_CA) $(SETUP_NFT),$(call objects,setup))
HEALTHD := $(call objects,healthd)
LIBEXEC := $(BUILD)/setup-ca $(BUILD)/setup-nft

.PHONY: all always deps demo check check-long bench fuzz install image clean help lint
.PRECIOUS: $(BUILD)/obj/%.o
all: $(BUILD)/setup $(LIBEXEC) $(BUILD)/healthd ## build all programs (SANITIZE=1: with ASan and UBSan, WERROR=1)

# LIBS is what each is linked with.
link = $(CC) $(ALL_LDFLAGS) -pie -o $@ $^ $(call pkg,--libs,$(LIBS)) $(OWN)
OWN  = $(call pkg,--libs,$(PACKAGES))

$(BUILD)/healthd: LIBS = libseccomp
$(BUILD)/healthd: $(HEALTHD) $(COMMON)
	$(link)

# libbsd is linked in where that can be done: each library less to load is a good part of a run.
$(BUILD)/setup: LIBS = libip4tc libip6tc
$(BUILD)/setup $(LIBEXEC): OWN = -Wl,-B$(if $(filter /%,$(shell $(CC) -print-file-name=libbsd.a)),static,dynamic) $(call pkg,--libs,$(PACKAGES)) -Wl,-Bdynamic
$(BUILD)/setup: $(SETUP) $(COMMON)
	$(link)

# What setup executes. Who may not read a program may not trace it either, from its first instruction
# on: the mitmproxy user shall not get between setup and the process that has the key.
$(BUILD)/setup-ca:  LIBS = libcrypto
$(BUILD)/setup-nft: LIBS = libnftables
$(BUILD)/setup-ca:  $(SETUP_CA)
$(BUILD)/setup-nft: $(SETUP_NFT)
$(LIBEXEC): $(COMMON)
	$(link)
	chmod go-r $@

# A change of PREFIX compiles this anew.
$(BUILD)/obj/common/config/variables.o: DEFINES = -DSCRIPTS_DIR='"$(SCRIPTS_DIR)"'
$(BUILD)/obj/common/config/variables.o: $(BUILD)/scripts-dir
$(BUILD)/scripts-dir: always
	@mkdir -p $(@D)
	@echo '$(SCRIPTS_DIR)' | cmp -s - $@ || echo '$(SCRIPTS_DIR)' >$@

$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(DEFINES) -MMD -MP -c -o $@ $<

fuzz: ## fuzz a parser (FUZZ=http, state or config, ENGINE=libfuzzer or afl, SECONDS=n)
	./tests/fuzz/run.sh $(or $(ENGINE),libfuzzer) $(or $(FUZZ),http) $(SECONDS)

deps: ## install what building, demo and tests need (root; Debian)
	./tests/lib/deps.sh

demo: ## watch real HTTPS being intercepted (root)
	./tests/lib/deps.sh demo
	+$(MAKE) --no-print-directory all
	./tests/demo.sh

check: deps ## prove it: build, then the tests (root; SANITIZE=1 with sanitizers, SUITE=name for one, or a folder of tests/)
	+$(MAKE) --no-print-directory all
	BUILD=$(BUILD) SANITIZE=$(SANITIZE) TIER=$(TIER) ./tests/run.sh $(SUITE)

check-long: deps ## the tests that take long, which `make check` leaves out (root)
	./tests/lib/deps.sh long
	+$(MAKE) --no-print-directory all
	BUILD=$(BUILD) SANITIZE=$(SANITIZE) TIER=long ./tests/run.sh

bench: deps ## measure it beside the alternatives, into build/bench (root; BENCH=name, ROUNDS=n)
	+$(MAKE) --no-print-directory all
	BUILD=$(BUILD) SANITIZE=$(SANITIZE) BENCH='$(BENCH)' ROUNDS=$(ROUNDS) ./tests/bench/run.sh

install: all ## install programs, addons and entrypoint (PREFIX, DESTDIR)
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/libexec/opensandbox-egress $(DESTDIR)$(SCRIPTS_DIR)
	install -m 0755 $(BUILD)/setup $(BUILD)/healthd $(DESTDIR)$(PREFIX)/sbin/
	install -m 0711 $(LIBEXEC) $(DESTDIR)$(PREFIX)/libexec/opensandbox-egress/
	install -m 0755 entrypoint.sh $(DESTDIR)$(PREFIX)/sbin/entrypoint.sh
	install -m 0644 mitmscripts/*.py $(DESTDIR)$(SCRIPTS_DIR)/

# The format of OCI has no HEALTHCHECK; docker knows no other than its own.
image: ## build the container image (IMAGE=name:tag, BUILDER=docker, podman or buildah)
	BUILDAH_FORMAT=docker $(BUILDER) build $(IMAGE_FLAGS) -t $(IMAGE) --build-arg VERSION=$(VERSION) \
	  --build-arg REVISION=$(shell git -c safe.directory="*" describe --always --dirty 2>/dev/null || echo unknown) .

lint: ## shellcheck and clang-format, as CI runs them
	ls entrypoint.sh .ci/run tests/*.sh tests/*/*.sh tests/lib/oci-runtime tests/*/*.bats | xargs -P 2 -n 8 shellcheck -x
	find common setup healthd tests/fuzz tests/bench -name '*.[ch]' | xargs clang-format --dry-run --Werror

clean: ## remove what was built (build/venv stays: `rm -r build` removes it too)
	rm -rf build/obj build/scripts-dir build/setup $(addprefix build/,setup-ca setup-nft) build/healthd build/sanitize build/fuzz build/bench \
	      build/quick build/torture build/go

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' Makefile

-include tests/programs.mk $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
