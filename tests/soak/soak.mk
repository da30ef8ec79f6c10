# Clients, faults and restarts for a given time, tests/soak/: included by the root Makefile.
#
#     soak                   SOAK_SECONDS (600) and, to do the same again, SOAK_SEED

SOAK_SECONDS ?= 600
SOAK_SEED ?=

.PHONY: soak soak-programs

soak-programs: epoll-echo $(B)/alloc/epoll-echo
	+@$(MAKE) --no-print-directory -s ENABLE_SYSTEMD=1 B=build/systemd build/systemd/epoll-echo

soak: soak-programs
	tests/netns tests/soak/soak --seconds=$(SOAK_SECONDS) $(SOAK_SEED:%=--seed=%)
