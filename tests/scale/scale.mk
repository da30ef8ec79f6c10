# What stops at which size, tests/scale/: included by the root Makefile.
.PHONY: scale-programs check-scale

scale-programs: all $(B)/hold

check-scale: scale-programs
	tests/netns /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/scale
