# Clients, faults and restarts for a given time, tests/soak/: included by the root Makefile.
#
#     soak                   SOAK_SECONDS (600) and, to do the same again, SOAK_SEED
#     check-soak             20 seconds of it, and mistakes that it has to see

SOAK_SECONDS ?= 600
SOAK_SEED ?=

.PHONY: soak soak-programs check-soak

soak-programs: epoll-echo $(B)/hold $(B)/alloc/epoll-echo $(B)/soak/leak.so $(B)/impaired/lose.so
	+@$(MAKE) --no-print-directory -s ENABLE_SYSTEMD=1 SANDBOX_KILL=1 B=build/systemd build/systemd/epoll-echo

soak: soak-programs
	tests/netns tests/soak/soak --seconds=$(SOAK_SECONDS) $(SOAK_SEED:%=--seed=%)

check-soak: soak-programs
	/usr/bin/python3 -m pytest -q -p no:cacheprovider tests/soak

$(B)/soak/%.so: tests/soak/%.c $(B)/flags
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE $(WARNINGS) -shared -fPIC -o $@ $< -ldl
