.PHONY: lint
lint:
	@tests/lint/lint
