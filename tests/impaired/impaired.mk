# Streams and datagrams over a bad line, tests/impaired/: included by the root Makefile.
#
#     check-impaired         some seeds, in half a minute
#     check-impaired-long    two hundred
#
# A seed again: tests/impaired/universe.py SEED

IMPAIRED_B = $(B)/impaired
IMPAIRED = relay ledger packet weather
IMPAIRED_OBJECTS = $(IMPAIRED:%=$(IMPAIRED_B)/%.o)

$(IMPAIRED_B)/relay: $(IMPAIRED_OBJECTS)
	$(CC) -o $@ $(IMPAIRED_OBJECTS) $(ALL_LDFLAGS)

$(IMPAIRED_B)/%.o: tests/impaired/%.c $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Isrc -Itests/model -MMD -MP -c -o $@ $<

$(IMPAIRED_B)/%.so: tests/impaired/%.c $(B)/flags
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE $(WARNINGS) -shared -fPIC -o $@ $< -ldl

-include $(IMPAIRED_OBJECTS:.o=.d)

.PHONY: impaired-programs check-impaired check-impaired-long

impaired-programs: $(IMPAIRED_B)/relay $(IMPAIRED_B)/lose.so $(IMPAIRED_B)/twice.so epoll-echo

check-impaired: impaired-programs
	/usr/bin/python3 -m pytest -q -p no:cacheprovider tests/impaired

check-impaired-long: impaired-programs
	IMPAIRED_SEEDS=200 /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/impaired
