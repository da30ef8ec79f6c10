.PHONY: prove
prove:
	@tests/prove/prove
