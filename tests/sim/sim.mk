# The simulated kernel and the test build with allocations that fail: included by the root Makefile.
#
#     build/sim/sim          the daemon in simulated universes
#     build/sim/sim-asan     the same under ASan and UBSan
#     build/alloc/epoll-echo the daemon whose Nth allocation fails
#     build/static/epoll-echo
#                            one whose first system calls are its own, for strace, and that is
#                            killed by one that the sandbox refuses
#
#     check-sim              a few thousand seeds of each, in half a minute
#     check-sim-long         a hundred thousand seeds
#     check-faults           fault injection on the real binary; check-faults-long: every case
#
# SIM_B may name another directory to build in.

SIM_B ?= $(B)/sim
# A sandbox would hold the simulation too.
SIM_DAEMON = $(sort $(filter-out main probe $(CONFINED),$(DAEMON)) $(UNCONFINED))
SIM = main universe world fault files netsock flow header expect judge questions calls calls_udp memory \
	client talk sender fifo reader successor
# What is between a process and the one that goes on after it.
SIM_SUCCESSION = arrival_close arrival_next arrival_open flight_close flight_flush flight_open flight_send \
	flight_send_bytes notify_has_store notify_store successor_given
SIM_WRAPPED = $(SIM_SUCCESSION) accept4 bind calloc clock_gettime close dup2 epoll_create1 epoll_ctl epoll_wait free fstat \
	fstatat geteuid getpeername getrandom getrlimit getsockname getsockopt if_nametoindex isatty listen malloc open \
	read realloc recv recvmmsg send sendmmsg setrlimit setsockopt shutdown signal signalfd \
	sigprocmask socket timerfd_create timerfd_settime write
# Objects that know 64-bit files on every architecture call these by another name.
SIM_WRAPPED_64 = fstat fstatat getrlimit open setrlimit
SIM_LINK = $(SIM_WRAPPED:%=-Wl,--wrap=%) \
	$(foreach f,$(SIM_WRAPPED_64),-Wl,--wrap=$f64,--defsym=__wrap_$f64=__wrap_$f)
# Fortified calls have other names (__read_chk), which could not be wrapped.
SIM_OPTIMIZE = -O2 -g
SIM_CFLAGS = -std=c11 -D_GNU_SOURCE -DVERSION='"sim"' $(WARNINGS) $(SIM_OPTIMIZE) -Itests/model -U_FORTIFY_SOURCE
ifeq ($(ENABLE_SYSTEMD),1)
SIM_CFLAGS += -DENABLE_SYSTEMD
endif
SIM_ASAN = -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

SIM_OBJECTS = $(SIM:%=$(SIM_B)/own/%.o) $(SIM_DAEMON:%=$(SIM_B)/src/%.o)
SIM_ASAN_OBJECTS = $(SIM:%=$(SIM_B)/asan/own/%.o) $(SIM_DAEMON:%=$(SIM_B)/asan/src/%.o)

$(SIM_B)/sim: $(SIM_OBJECTS)
	$(CC) -o $@ $(SIM_OBJECTS) $(SIM_CFLAGS) $(SIM_LINK)

$(SIM_B)/sim-asan: $(SIM_ASAN_OBJECTS)
	$(CC) -o $@ $(SIM_ASAN_OBJECTS) $(SIM_CFLAGS) $(SIM_ASAN) $(SIM_LINK)

$(SIM_B)/own/%.o: tests/sim/%.c
	@mkdir -p $(@D)
	$(CC) $(SIM_CFLAGS) -Isrc -MMD -MP -c -o $@ $<

$(SIM_B)/src/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(SIM_CFLAGS) -Isrc -MMD -MP -c -o $@ $<

$(SIM_B)/asan/own/%.o: tests/sim/%.c
	@mkdir -p $(@D)
	$(CC) $(SIM_CFLAGS) $(SIM_ASAN) -Isrc -MMD -MP -c -o $@ $<

$(SIM_B)/asan/src/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(SIM_CFLAGS) $(SIM_ASAN) -Isrc -MMD -MP -c -o $@ $<

-include $(SIM_OBJECTS:.o=.d) $(SIM_ASAN_OBJECTS:.o=.d)

# Fault injection, tests/faults/. The static binary is built by the root's rules.
$(B)/alloc/epoll-echo: $(DAEMON_OBJECTS) $(B)/alloc/fail.o
	$(CC) -o $@ $^ $(ALL_LDFLAGS) -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc

$(B)/alloc/fail.o: tests/faults/fail.c $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/static/epoll-echo: FORCE
	+@$(MAKE) --no-print-directory LDFLAGS=-static SANDBOX_KILL=1 B=$(B)/static $@

.PHONY: check-sim check-sim-long check-faults check-faults-long

check-sim: $(SIM_B)/sim $(SIM_B)/sim-asan
	$(SIM_B)/sim --seeds 1-8000
	$(SIM_B)/sim-asan --seeds 8001-9500

check-sim-long: $(SIM_B)/sim $(SIM_B)/sim-asan
	$(SIM_B)/sim --seeds 1-100000
	$(SIM_B)/sim-asan --seeds 100001-110000

check-faults: $(B)/static/epoll-echo $(B)/alloc/epoll-echo
	/usr/bin/python3 -m pytest -q tests/faults

check-faults-long: $(B)/static/epoll-echo $(B)/alloc/epoll-echo
	FAULTS=all /usr/bin/python3 -m pytest -q tests/faults
