# What is handed out: Debian packages, static programs for seven architectures, an image of them, and
# the release of all that. Everything is written to dist/, and comes out the same bit by bit from the
# same sources and the same tools: the only time that gets into it is the release's, in NEWS.md.

.PHONY: deb

EPOCH = $(shell packaging/news time)

deb: export SOURCE_DATE_EPOCH = $(EPOCH)
deb:
	packaging/deb $(VERSION)
