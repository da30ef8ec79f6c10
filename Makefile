# epoll-echo: `make run` builds and starts the daemon; `make setup check` runs every test.
#
# Variables: CC, CFLAGS, LDFLAGS, PREFIX, DESTDIR, WERROR=1.

VERSION = 1.0.0
PREFIX ?= /usr/local
CFLAGS ?= -O2 -g
B ?= build

WARNINGS = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
ifdef WERROR
WARNINGS += -Werror
endif
# Unwind tables are for exceptions; gdb reads its own from the debug information.
HARDENING = -fno-asynchronous-unwind-tables -fstack-protector-strong -fstack-clash-protection -fcf-protection -U_FORTIFY_SOURCE \
	-D_FORTIFY_SOURCE=2 -fPIE
LINK_HARDENING = -Wl,-z,relro,-z,now,-z,noexecstack
ifeq (,$(findstring -static,$(LDFLAGS)))
LINK_HARDENING += -pie
endif
ifneq (,$(findstring -fsanitize,$(CFLAGS)))
HARDENING = -fPIE
endif
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -DVERSION='"$(VERSION)"' $(WARNINGS) $(HARDENING) $(CFLAGS)
ALL_LDFLAGS = $(LINK_HARDENING) $(CFLAGS) $(LDFLAGS)

DAEMON = main server listen tcp conn udp credential net loop service stream answer gate guard \
	peers siphash options address timeouts log text
ifdef ENABLE_SYSTEMD
DAEMON += systemd
ALL_CFLAGS += -DENABLE_SYSTEMD
endif
DAEMON_OBJECTS = $(DAEMON:%=$(B)/src/%.o)

.PHONY: all run check lint setup install uninstall clean FORCE

all: epoll-echo

run: epoll-echo
	./epoll-echo

epoll-echo: $(B)/epoll-echo
	cp $< $@

$(B)/epoll-echo: $(DAEMON_OBJECTS) $(B)/flags
	$(CC) -o $@ $(DAEMON_OBJECTS) $(ALL_LDFLAGS)

$(B)/src/%.o: src/%.c $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# Changes only when the flags do, and then everything is built anew.
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(subst ','\'',$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS))' | cmp -s - $@ || \
		echo '$(subst ','\'',$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS))' >$@

-include $(DAEMON_OBJECTS:.o=.d)

clean:
	rm -rf $(B) epoll-echo echo-bench
