# What is handed out: Debian packages, static programs for seven architectures, an image of them, and
# the release of all that. Everything is written to dist/, and comes out the same bit by bit from the
# same sources and the same tools: the only time that gets into it is the release's, in NEWS.md.

.PHONY: deb dist image version

deb dist image: export SOURCE_DATE_EPOCH = $(shell packaging/news time)

version:
	@echo $(VERSION)

# SHA256SUMS is of all that is there of this version.
SUMS = cd dist && sha256sum *[-_]$(VERSION)[-._]* >SHA256SUMS

deb:
	packaging/deb $(VERSION)
	@$(SUMS)

# ARCHITECTURES="arm64 s390x" makes some.
ARCHITECTURES = $(shell sed -n 's/^\([a-z0-9]*\) .*/\1/p' packaging/architectures)

dist:
	packaging/dist $(VERSION) $(ARCHITECTURES)
	packaging/spdx $(VERSION) $(ARCHITECTURES:%=dist/epoll-echo-$(VERSION)-linux-%.tar.gz) \
		>dist/epoll-echo-$(VERSION).spdx.json
	@$(SUMS)

image: dist
	packaging/image $(VERSION) $(ARCHITECTURES)
	@$(SUMS)
