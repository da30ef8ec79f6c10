# Attacks from outside: tests/attacks/. `make attacks` runs their long form, in six minutes at most,
# and writes build/attacks.md; `tests/run attacks` the short one.

ATTACKS = $(addprefix $(B)/attacks/,forge flood trains constant)

.PHONY: attacks attacks-programs

attacks: all attacks-programs
	tests/attacks/measure

attacks-programs: $(ATTACKS)

# With the daemon's own flags: what is looked at is the machine code that serves.
$(B)/attacks/%: tests/attacks/%.c $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Isrc -MMD -MP -o $@ $< $(ALL_LDFLAGS)

-include $(ATTACKS:=.d)
