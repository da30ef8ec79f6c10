# `make coverage`: which lines and branches of src/ the tests reach; tests/coverage/check.
.PHONY: coverage
coverage:
	@tests/run --long coverage
