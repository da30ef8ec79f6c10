# `make unit`: each tests/unit/NAME.c but unit.c is, with unit.c, a program build/unit/NAME of its own. It
# links what it uses of the daemon, or of the load generator if its name begins with bench_. `make
# unit-asan` runs them once more, built with sanitizers. UNIT_UNDER runs them, if they are for another architecture.

UNIT = $(filter-out unit,$(patsubst tests/unit/%.c,%,$(wildcard tests/unit/*.c)))
UNIT_PROGRAMS = $(UNIT:%=$(B)/unit/%)
# With the sandbox, also where the daemon has none.
UNIT_DAEMON = $(patsubst %,$(B)/src/%.o,$(sort $(filter-out main $(UNCONFINED),$(DAEMON)) $(CONFINED)))
UNIT_BENCH = $(patsubst bench/src/%.c,$(B)/bench/%.o,$(filter-out %/main.c,$(wildcard bench/src/*.c)))
SANITIZE = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all

.PHONY: unit unit-asan unit-programs

unit: unit-programs
	@UNIT_UNDER='$(UNIT_UNDER)' tests/unit/run $(UNIT_PROGRAMS)

unit-asan:
	@$(MAKE) --no-print-directory unit B=build/asan CFLAGS='$(SANITIZE)'

unit-programs: $(UNIT_PROGRAMS)

# An archive, so that a test that brings its own main or its own clock pulls in no more than it uses.
$(B)/unit/daemon.a: $(UNIT_DAEMON)
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $^

$(B)/unit/bench.a: $(UNIT_BENCH)
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $^

$(B)/unit/%.o: tests/unit/%.c $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Isrc -Ibench/src -Itests/model -MMD -MP -c -o $@ $<

# Calls that a test answers itself. With 32 bits, those that know a time of 64 bits have another name in libc.
wrap = $(foreach f,$1,-Wl,--wrap=$f $(foreach name,__$f64 __$f_time64,-Wl,--wrap=$(name),--defsym=__wrap_$(name)=__wrap_$f))
$(B)/unit/listen: UNIT_WRAP = $(call wrap,duty_find net_open)
$(B)/unit/log: UNIT_WRAP = $(call wrap,clock_gettime)
$(B)/unit/conn: UNIT_WRAP = $(call wrap,clock_gettime epoll_ctl getpeername getsockopt malloc malloc_trim \
	realloc recv send setsockopt shutdown)
$(B)/unit/net: UNIT_WRAP = $(call wrap,getsockopt)
$(B)/unit/output: UNIT_WRAP = -Wl,--wrap=open64
$(B)/unit/ports: UNIT_WRAP = $(call wrap,clock_gettime accept4 epoll_ctl recvmmsg sendmmsg setsockopt)
$(B)/unit/loop: UNIT_WRAP = $(call wrap,clock_gettime epoll_wait timerfd_create timerfd_settime)
$(B)/unit/udp: UNIT_WRAP = $(call wrap,net_fragment recvmmsg sendmmsg)
$(B)/unit/credential: UNIT_WRAP = $(call wrap,free malloc)
$(B)/unit/sandbox: UNIT_WRAP = $(call wrap,prctl syscall)
$(B)/unit/user: UNIT_WRAP = $(call wrap,geteuid getresuid prctl setgroups setresgid setresuid syscall) -Wl,--wrap=fopen64
$(B)/unit/peers: UNIT_WRAP = $(call wrap,calloc)
$(B)/unit/state: UNIT_WRAP = $(call wrap,realloc)
$(B)/unit/flight: UNIT_WRAP = $(call wrap,setsockopt)
$(B)/unit/bench_train: UNIT_WRAP = -Wl,--wrap=sendmsg
$(B)/unit/handover: UNIT_WRAP = $(call wrap,clock_gettime malloc realloc)
$(B)/unit/notify: UNIT_WRAP = $(call wrap,sendto)

# Before the archive, which in a plain build has what does nothing instead.
$(B)/unit/notify: $(B)/src/system/notify.o

$(B)/unit/bench_%: $(B)/unit/bench_%.o $(B)/unit/unit.o $(B)/unit/bench.a $(B)/unit/daemon.a
	$(CC) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(ALL_LDFLAGS) $(UNIT_WRAP) -lcmocka

$(B)/unit/%: $(B)/unit/%.o $(B)/unit/unit.o $(B)/unit/daemon.a
	$(CC) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(ALL_LDFLAGS) $(UNIT_WRAP) -lcmocka

.PRECIOUS: $(B)/unit/%.o

-include $(UNIT:%=$(B)/unit/%.d) $(B)/unit/unit.d $(B)/src/$(CONFINED).d
