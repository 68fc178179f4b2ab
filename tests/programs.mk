# What only tests and benchmarks build; part of the Makefile above.

# A harness of tests/fuzz and what drives it: a fuzzer, or replay.c, which runs the corpus.
DRIVER ?= $(BUILD)/obj/tests/fuzz/replay.o
$(BUILD)/fuzz-%: $(BUILD)/obj/tests/fuzz/%.o $(addprefix $(BUILD)/obj/healthd/http/,request.o answer.o) $(COMMON) $(filter %.o,$(DRIVER))
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(filter-out %.o,$(DRIVER)) $(OWN)

$(BUILD)/fuzz-config: $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/fuzz/config_*.c))

# What benchmarks run beside ours.
.PHONY: bench-programs
bench-programs: $(BUILD)/bench/minimum $(BUILD)/bench/health-go

MINIMUM := $(addprefix $(BUILD)/obj/,tests/bench/minimum.o setup/iptables/text.o setup/rules/rules.o setup/rules/rule.o setup/rules/gate.o setup/rules/exemptions.o setup/rules/ports.o setup/rules/nameservers.o setup/iptables/xtc.o \
             setup/iptables/entry.o common/kernel/canary.o common/base/error.o common/kernel/ipv6.o common/kernel/netlink.o common/kernel/devices.o)
$(BUILD)/bench/minimum: $(MINIMUM)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(call pkg,--libs,libip4tc libip6tc $(PACKAGES))

$(BUILD)/bench/health-go: tests/bench/health.go
	@mkdir -p $(@D)
	GOTOOLCHAIN=local GOCACHE=$(abspath $(BUILD)/bench/go-cache) go build -o $@ $<
