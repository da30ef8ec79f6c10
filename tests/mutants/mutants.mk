# `make mutants`: small faults made of all of src/, each of which a unit test or the simulation has to
# find; tests/mutants/run.py. Scores and survivors are in build/mutants/score.txt.
.PHONY: mutants mutants-sample
mutants:
	@/usr/bin/python3 tests/mutants/run.py

# The same few of each file every time: for every change.
mutants-sample:
	@/usr/bin/python3 tests/mutants/run.py --sample 64
