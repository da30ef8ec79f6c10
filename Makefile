# epoll-echo: `make run` builds and starts the daemon; `make setup check` runs every test.
#
# Variables: CC, CPPFLAGS, CFLAGS, LDFLAGS, PREFIX, DESTDIR, WERROR=1, ENABLE_SYSTEMD=1. With
# SANDBOX_KILL=1, for tests, a system call that the sandbox refuses ends the daemon instead of failing.

# Of the newest release in NEWS.md, the one place that has it.
VERSION := $(shell packaging/news version)
PREFIX ?= /usr/local
CFLAGS ?= -O2 -g
B ?= build

WARNINGS = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
ifdef WERROR
WARNINGS += -Werror
endif
# Asked of the compiler, each with those that it took before: what another architecture or an older
# libc lacks is left out. Unwind tables are for exceptions; gdb reads its own from the debug
# information. Copies of functions of several uses buy nothing here, room in front of what is jumped to
# neither, and nor do stubs for calls that are bound at the start. A sanitizer does without them all.
WISHES = -fPIE
# Assertions are for builds that look for faults: with a sanitizer, or unoptimized.
ifeq (,$(findstring -fsanitize,$(CFLAGS))$(filter -O0,$(CFLAGS)))
WISHES += -DNDEBUG
endif
ifeq (,$(findstring -fsanitize,$(CFLAGS)))
WISHES += -fno-plt -fno-inline-functions -fno-align-jumps -fno-asynchronous-unwind-tables \
	-fstack-protector-strong -fstack-clash-protection -fcf-protection -mbranch-protection=standard -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -D_FORTIFY_SOURCE=2
endif
# What is only read lies beside the code: two pages of padding less, in the file and in memory.
LINK_HARDENING = -Wl,-z,relro,-z,now,-z,noexecstack,-z,noseparate-code
STATIC = $(filter -static -static-pie,$(LDFLAGS))
# What was taken stands in these two files. On 32 bits too, a file has an inode number of 64 bits, and
# time goes on after 2038.
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64 -DVERSION='"$(VERSION)"' \
	$(if $(SANDBOX_KILL),-DSANDBOX_KILL) $(WARNINGS) @$(B)/flags.compile $(CPPFLAGS) $(CFLAGS)
ALL_LDFLAGS = $(LINK_HARDENING) @$(B)/flags.link $(CFLAGS) $(filter-out $(STATIC),$(LDFLAGS))

# What systemd hands to a service: three modules, or one that does nothing.
MANAGED = system/journal system/notify system/passed
UNMANAGED = system/unmanaged
# A sandbox, or none where a sanitizer or gcov has to do what it refuses.
CONFINED = system/sandbox
UNCONFINED = system/unconfined
WATCHED = $(findstring -fsanitize,$(CFLAGS))$(findstring --coverage,$(CFLAGS))
DAEMON = $(filter-out $(if $(filter 1,$(ENABLE_SYSTEMD)),$(UNMANAGED),$(MANAGED)) \
	$(if $(WATCHED),$(CONFINED),$(UNCONFINED)), \
	$(patsubst src/%.c,%,$(wildcard src/*.c src/*/*.c)))
DAEMON_OBJECTS = $(DAEMON:%=$(B)/src/%.o)

BENCH = main bench phase rest turns engine churn lines line datagrams train traffic flow pace dial cost \
	live summary report export warning figure expect results settings payload histogram
BENCH_OBJECTS = $(BENCH:%=$(B)/bench/%.o) $(addprefix $(B)/src/,system/loop.o core/argument.o core/number.o core/address.o ground/text.o)

.PHONY: all run models bench check check-long lint setup setup-long install install-units uninstall clean FORCE

all: epoll-echo echo-bench echo-bench-report

run: epoll-echo
	./epoll-echo

# install(1) replaces a program that is running, where cp would fail.
epoll-echo: $(B)/epoll-echo
	install $< $@

$(B)/epoll-echo: $(DAEMON_OBJECTS) $(B)/flags
	$(CC) -o $@ $(DAEMON_OBJECTS) $(ALL_LDFLAGS)

echo-bench: $(B)/echo-bench
	install $< $@

# What makes a page of the load generator's figures: Python and its standard library.
echo-bench-report: bench/compare.py
	ln -sf $< $@

$(B)/echo-bench: $(BENCH_OBJECTS) $(B)/flags
	$(CC) -o $@ $(BENCH_OBJECTS) $(ALL_LDFLAGS)

$(B)/bench/%.o: bench/src/%.c $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Isrc -MMD -MP -c -o $@ $<

$(B)/src/%.o: src/%.c $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Isrc -MMD -MP -c -o $@ $<

# Changes only when the flags do, and then the compiler is asked and everything is built anew.
FLAGS = $(CC) $(WISHES) $(STATIC) $(ALL_CFLAGS) $(ALL_LDFLAGS)

$(B)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(subst ','\'',$(FLAGS))' | cmp -s - $@ || \
		{ $(ask_compiler) && $(ask_linker) && rm -f $(B)/ask* && echo '$(subst ','\'',$(FLAGS))' >$@; }

# Which fails, with the compiler's words, if it compiles nothing at all.
define ask_compiler
echo '#include <string.h>' >$(B)/ask.c && echo 'int main(void) { return 0; }' >>$(B)/ask.c && \
$(CC) -std=c11 $(CPPFLAGS) $(CFLAGS) -c -o $(B)/ask.o $(B)/ask.c && \
{ taken=; for wish in $(WISHES); do \
	if $(CC) -std=c11 -Werror $$taken $$wish $(CPPFLAGS) $(CFLAGS) -c -o $(B)/ask.o $(B)/ask.c 2>/dev/null; \
	then taken="$$taken $$wish"; fi; done; echo $$taken >$@.compile; }
endef

# A static program that is position-independent too has no interpreter. musl-gcc does not know of
# such, but musl does: then its start files are named, from beside the one that the linker reads. They
# add where the program lies to what is relative, and look up no symbol: so none is to be exported, which
# linkers for riscv64 and s390x would do otherwise.
ask_linker = echo -pie >$@.link
ifneq (,$(STATIC))
define ask_linker
{ echo '{ local: *; };' >$@.local && at=$$($(CC) $(CFLAGS) -static -Wl,--trace -o $(B)/ask $(B)/ask.c | sed -n 's,/S*crt1\.o$$,,p'); \
for wish in -static-pie \
	"-static -nostartfiles -Wl,-pie,--no-dynamic-linker,-z,text,--version-script=$@.local $$at/rcrt1.o $$at/crti.o $$at/crtn.o"; do \
	echo $$wish >$@.link; \
	$(CC) @$@.compile $(ALL_LDFLAGS) -o $(B)/ask $(B)/ask.c 2>/dev/null && \
		readelf -hlW $(B)/ask >$(B)/ask.elf && grep -q DYN $(B)/ask.elf && \
		! grep -q INTERP $(B)/ask.elf && break; \
	echo -static >$@.link; done; }
endef
endif

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

models: $(MODELS) $(B)/calls

# What entering the kernel costs, and who does it how often.
$(B)/calls: bench/calls/calls.c $(B)/flags
	$(CC) $(MODEL_CFLAGS) -o $@ $<

$(B)/models/%: bench/models/%.c $(wildcard bench/models/*.h) $(B)/flags
	@mkdir -p $(@D)
	@$(CC) $(MODEL_CFLAGS) -o $@ $< $(LIBRARY_$*) 2>$@.log || \
		{ rm -f $@; echo "left out: $*, see $@.log"; }

# Holds connections that say nothing, for what is measured beside them.
$(B)/hold: bench/hold/hold.c $(B)/src/core/number.o $(B)/flags
	$(CC) $(ALL_CFLAGS) -Isrc -Ibench/src -o $@ $< $(B)/src/core/number.o $(ALL_LDFLAGS)

# QUICK=1 takes less than two minutes: fewer servers and loads, as many rounds.
bench: all models
	/usr/bin/python3 bench/run.py --models=$(B)/models $(if $(QUICK),--quick)

# A million idle connections, if there is memory for them; MILLION="--connections=20000 --wait=10
# --rest=5" takes half a minute. The daemons take the sockets that they share as systemd passes them.
.PHONY: million million-programs
million: million-programs
	/usr/bin/python3 bench/million.py $(MILLION)

million-programs: all $(B)/hold
	+@$(MAKE) --no-print-directory -s ENABLE_SYSTEMD=1 B=build/million build/million/epoll-echo

# SOURCE:DESTINATION below PREFIX. What is not there or not built is not installed.
PROGRAMS = $(B)/epoll-echo:bin/epoll-echo $(B)/echo-bench:bin/echo-bench bench/compare.py:share/epoll-echo/compare.py
DATA = $(foreach f,$(notdir $(wildcard man/*.8)),man/$f:share/man/man8/$f) \
	$(foreach f,$(notdir $(wildcard man/*.1)),man/$f:share/man/man1/$f) \
	$(foreach p,epoll-echo echo-bench,completions/both.bash:share/bash-completion/completions/$p \
		completions/both.fish:share/fish/vendor_completions.d/$p.fish) \
	completions/both.zsh:share/zsh/site-functions/_epoll-echo bench/chart.py:share/epoll-echo/chart.py
UNITS = $(patsubst systemd/%.in,%,$(wildcard systemd/*.in))
UNIT_DIR = $(DESTDIR)$(PREFIX)/lib/systemd/system

install: $(B)/epoll-echo $(B)/echo-bench $(if $(filter 1,$(ENABLE_SYSTEMD)),install-units)
	@set -e; for f in $(PROGRAMS); do \
		install -D "$${f%%:*}" "$(DESTDIR)$(PREFIX)/$${f#*:}"; done
	@set -e; for f in $(DATA); do \
		install -D -m 644 "$${f%%:*}" "$(DESTDIR)$(PREFIX)/$${f#*:}"; done
	@ln -sf ../share/epoll-echo/compare.py "$(DESTDIR)$(PREFIX)/bin/echo-bench-report"

install-units:
	@mkdir -p "$(UNIT_DIR)"
	@set -e; for unit in $(UNITS); do \
		sed -e '/^@service@$$/r systemd/service.common' -e '/^@service@$$/d' "systemd/$$unit.in" | \
		sed -e 's|@bindir@|$(PREFIX)/bin|' >"$(UNIT_DIR)/$$unit"; \
		chmod 644 "$(UNIT_DIR)/$$unit"; done

uninstall:
	rm -f $(foreach f,$(PROGRAMS) $(DATA),"$(DESTDIR)$(PREFIX)/$(lastword $(subst :, ,$f))") \
		"$(DESTDIR)$(PREFIX)/bin/echo-bench-report" $(foreach u,$(UNITS),"$(UNIT_DIR)/$u")

# Debian packages for the tests and the benchmark; setup-long adds compilers for other architectures.
setup:
	tests/setup

setup-long:
	tests/setup packages-long

# Every test that a change has to pass; PARTS="outside lint" runs some. check-long looks longer, and in
# further ways.
check:
	tests/run $(PARTS)

check-long:
	tests/run --long $(PARTS)

-include examples/examples.mk packaging/packaging.mk $(wildcard tests/*/*.mk)

clean:
	rm -rf $(B) dist epoll-echo echo-bench echo-bench-report
