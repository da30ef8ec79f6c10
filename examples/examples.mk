# `make examples`: the programs of docs/epoll.md, in $(B)/examples. Included by the Makefile.
EXAMPLES = $(patsubst examples/%.c,$(B)/examples/%,$(wildcard examples/*.c examples/mistakes/*.c))

.PHONY: examples

examples: $(EXAMPLES)

$(B)/examples/%: examples/%.c $(wildcard examples/*.h examples/mistakes/*.h) $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -pthread -o $@ $< $(ALL_LDFLAGS)
