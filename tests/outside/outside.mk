# What the tests in tests/outside need beside the daemon: included by the root Makefile.
#
#     build/kill/epoll-echo  the daemon, killed by a system call that the sandbox refuses
#     build/outside/breakout.so
#                            what somebody might try who has taken the daemon over, for LD_PRELOAD

.PHONY: outside-programs

outside-programs: $(B)/kill/epoll-echo $(B)/outside/breakout.so

$(B)/kill/epoll-echo: FORCE
	+@$(MAKE) --no-print-directory SANDBOX_KILL=1 B=$(B)/kill $@

$(B)/outside/%.so: tests/outside/%.c $(B)/flags
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE $(WARNINGS) -shared -fPIC -o $@ $< -ldl
