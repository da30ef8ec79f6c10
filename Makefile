# epoll-echo: `make run` builds and starts the daemon; `make setup check` runs every test.
#
# Variables: CC, CFLAGS, LDFLAGS, PREFIX, DESTDIR, WERROR=1, ENABLE_SYSTEMD=1.

VERSION = 1.0.0
PREFIX ?= /usr/local
CFLAGS ?= -O2 -g
B ?= build

WARNINGS = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
ifdef WERROR
WARNINGS += -Werror
endif
# Unwind tables are for exceptions; gdb reads its own from the debug information.
HARDENING = -fno-asynchronous-unwind-tables -fstack-protector-strong -fstack-clash-protection -fcf-protection \
	-U_FORTIFY_SOURCE $(FORTIFY) -fPIE
# Which glibc warns that it cannot do without optimization.
ifeq (,$(filter -O0,$(CFLAGS)))
FORTIFY = -D_FORTIFY_SOURCE=2
endif
LINK_HARDENING = -Wl,-z,relro,-z,now,-z,noexecstack
ifeq (,$(findstring -static,$(LDFLAGS)))
LINK_HARDENING += -pie
endif
ifneq (,$(findstring -fsanitize,$(CFLAGS)))
HARDENING = -fPIE
endif
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -DVERSION='"$(VERSION)"' $(WARNINGS) $(HARDENING) $(CFLAGS)
ALL_LDFLAGS = $(LINK_HARDENING) $(CFLAGS) $(LDFLAGS)

DAEMON = main server listen $(addprefix transport/,tcp conn udp) \
	$(addprefix system/,credential net loop) \
	$(addprefix core/,service stream answer gate guard peers siphash options argument address timeouts) \
	$(addprefix ground/,log text)
ifeq ($(ENABLE_SYSTEMD),1)
DAEMON += system/systemd
ALL_CFLAGS += -DENABLE_SYSTEMD
endif
DAEMON_OBJECTS = $(DAEMON:%=$(B)/src/%.o)

BENCH = main bench phase rest engine churn lines line datagrams traffic flow pace dial cost live report results settings payload histogram
BENCH_OBJECTS = $(BENCH:%=$(B)/bench/%.o) $(addprefix $(B)/src/,system/loop.o core/argument.o core/address.o ground/text.o)

.PHONY: all run models bench check check-long lint setup install install-units uninstall clean FORCE

all: epoll-echo echo-bench

run: epoll-echo
	./epoll-echo

# install(1) replaces a program that is running, where cp would fail.
epoll-echo: $(B)/epoll-echo
	install $< $@

$(B)/epoll-echo: $(DAEMON_OBJECTS) $(B)/flags
	$(CC) -o $@ $(DAEMON_OBJECTS) $(ALL_LDFLAGS)

echo-bench: $(B)/echo-bench
	install $< $@

$(B)/echo-bench: $(BENCH_OBJECTS) $(B)/flags
	$(CC) -o $@ $(BENCH_OBJECTS) $(ALL_LDFLAGS)

$(B)/bench/%.o: bench/src/%.c $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Isrc -MMD -MP -c -o $@ $<

$(B)/src/%.o: src/%.c $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Isrc -MMD -MP -c -o $@ $<

# Changes only when the flags do, and then everything is built anew.
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(subst ','\'',$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS))' | cmp -s - $@ || \
		echo '$(subst ','\'',$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS))' >$@

-include $(DAEMON_OBJECTS:.o=.d) $(BENCH_OBJECTS:.o=.d)

# The designs that the project measures itself against. One that cannot be built is left out: the
# report says so, with the compiler's words.
MODELS = $(patsubst bench/models/%.c,$(B)/models/%,$(wildcard bench/models/*.c))
LIBRARY_thread = -pthread
LIBRARY_libevent = -levent
LIBRARY_libuv = -luv
LIBRARY_io_uring = -luring
# Without what hardens the daemon: a probed stack would make each thread heavier than it has to be.
MODEL_CFLAGS = -std=c11 -D_GNU_SOURCE $(WARNINGS) $(CFLAGS)

models: $(MODELS)

$(B)/models/%: bench/models/%.c $(wildcard bench/models/*.h) $(B)/flags
	@mkdir -p $(@D)
	@$(CC) $(MODEL_CFLAGS) -o $@ $< $(LIBRARY_$*) 2>$@.log || \
		{ rm -f $@; echo "left out: $*, see $@.log"; }

# QUICK=1 takes less than two minutes.
bench: all models
	/usr/bin/python3 bench/run.py --models=$(B)/models $(if $(QUICK),--quick)

# SOURCE:DESTINATION below PREFIX. What is not there or not built is not installed.
PROGRAMS = $(B)/epoll-echo:bin/epoll-echo $(B)/echo-bench:bin/echo-bench
DATA = $(foreach f,$(notdir $(wildcard man/*.8)),man/$f:share/man/man8/$f) \
	$(foreach f,$(notdir $(wildcard man/*.1)),man/$f:share/man/man1/$f) \
	$(foreach f,$(notdir $(wildcard completions/*.bash)),completions/$f:share/bash-completion/completions/$(basename $f)) \
	$(foreach f,$(notdir $(wildcard completions/*.fish)),completions/$f:share/fish/vendor_completions.d/$f) \
	$(foreach f,$(notdir $(wildcard completions/_*)),completions/$f:share/zsh/site-functions/$f)
UNITS = $(patsubst systemd/%.in,%,$(wildcard systemd/*.in))
UNIT_DIR = $(DESTDIR)$(PREFIX)/lib/systemd/system

install: $(B)/epoll-echo $(B)/echo-bench $(if $(filter 1,$(ENABLE_SYSTEMD)),install-units)
	@set -e; for f in $(PROGRAMS); do \
		install -D "$${f%%:*}" "$(DESTDIR)$(PREFIX)/$${f#*:}"; done
	@set -e; for f in $(DATA); do \
		install -D -m 644 "$${f%%:*}" "$(DESTDIR)$(PREFIX)/$${f#*:}"; done

install-units:
	@mkdir -p "$(UNIT_DIR)"
	@set -e; for unit in $(UNITS); do \
		sed -e '/^@service@$$/r systemd/service.common' -e '/^@service@$$/d' "systemd/$$unit.in" | \
		sed -e 's|@bindir@|$(PREFIX)/bin|' >"$(UNIT_DIR)/$$unit"; \
		chmod 644 "$(UNIT_DIR)/$$unit"; done

uninstall:
	rm -f $(foreach f,$(PROGRAMS) $(DATA),"$(DESTDIR)$(PREFIX)/$(lastword $(subst :, ,$f))") \
		"$(DESTDIR)$(PREFIX)/bin/echo-bench" $(foreach u,$(UNITS),"$(UNIT_DIR)/$u")

# Debian packages for the tests and the benchmark.
setup:
	tests/setup

# Every test that a change has to pass; PARTS="outside lint" runs some. check-long looks longer, and in
# further ways.
check:
	tests/run $(PARTS)

check-long:
	tests/run --long $(PARTS)

-include examples/examples.mk $(wildcard tests/*/*.mk)

clean:
	rm -rf $(B) epoll-echo echo-bench
