# What only tests and benchmarks build; part of the Makefile above.

# A harness of tests/fuzz and what drives it: a fuzzer, or replay.c, which runs the corpus.
DRIVER ?= $(BUILD)/obj/tests/fuzz/replay.o
$(BUILD)/fuzz-%: $(BUILD)/obj/tests/fuzz/%.o $(addprefix $(BUILD)/obj/healthd/http/,request.o answer.o) $(COMMON) $(filter %.o,$(DRIVER))
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(filter-out %.o,$(DRIVER)) $(OWN)

$(BUILD)/fuzz-config: $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/fuzz/config_*.c))

# What benchmarks run beside ours.
.PHONY: bench-programs
bench-programs: $(BUILD)/bench/minimum $(BUILD)/bench/health-go

MINIMUM := $(patsubst %.c,$(BUILD)/obj/%.o,tests/bench/minimum.c $(wildcard setup/rules/*.c setup/iptables/*.c)) $(COMMON)
$(BUILD)/bench/minimum: $(MINIMUM)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(call pkg,--libs,libip4tc libip6tc $(PACKAGES))

$(BUILD)/bench/health-go: tests/bench/health.go
	@mkdir -p $(@D)
	GOTOOLCHAIN=local GOCACHE=$(abspath $(BUILD)/bench/go-cache) go build -o $@ $<
