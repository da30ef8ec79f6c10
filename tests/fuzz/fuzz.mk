# `make fuzz`: each tests/fuzz/NAME.c is a libFuzzer target build/fuzz/NAME, run for FUZZ_SECONDS on
# the corpus in tests/fuzz/corpus/NAME. What it finds on the way stays below build/fuzz;
# `make fuzz-keep` takes from there what reaches new code into the corpus.

FUZZ_SECONDS ?= 10
FUZZ_CC = clang-14
FUZZ_B = $(B)/fuzz
FUZZ = $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c))
FUZZ_MODULES = $(patsubst src/%.c,%,$(wildcard src/ground/*.c src/core/*.c src/roles/*.c))
FUZZ_CFLAGS = -std=c11 -D_GNU_SOURCE -DVERSION='"fuzz"' $(WARNINGS) -O1 -g -Isrc -Itests/model \
	-fno-omit-frame-pointer -fno-sanitize-recover=all

.PHONY: fuzz fuzz-keep
.SECONDARY: $(FUZZ:%=$(FUZZ_B)/%.o)

fuzz: $(FUZZ:%=$(FUZZ_B)/%)
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/run $(FUZZ_B) $(FUZZ)

fuzz-keep: $(FUZZ:%=$(FUZZ_B)/%)
	@for name in $(FUZZ); do mkdir -p tests/fuzz/corpus/$$name $(FUZZ_B)/found/$$name; \
		$(FUZZ_B)/$$name -merge=1 -use_counters=0 tests/fuzz/corpus/$$name $(FUZZ_B)/found/$$name 2>&1 | tail -n 1; done

$(FUZZ_B)/%: $(FUZZ_B)/%.o $(FUZZ_MODULES:%=$(FUZZ_B)/src/%.o)
	$(FUZZ_CC) -o $@ $^ -fsanitize=fuzzer,address,undefined

$(FUZZ_B)/src/%.o: src/%.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link,address,undefined -MMD -MP -c -o $@ $<

$(FUZZ_B)/%.o: tests/fuzz/%.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link,address,undefined -MMD -MP -c -o $@ $<

-include $(FUZZ:%=$(FUZZ_B)/%.d) $(FUZZ_MODULES:%=$(FUZZ_B)/src/%.d)
