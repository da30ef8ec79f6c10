# What is handed out: Debian packages, static programs for seven architectures, an image of them, and
# the release of all that. Everything is written to dist/, and comes out the same bit by bit from the
# same sources and the same tools: the only time that gets into it is the release's, in NEWS.md.

.PHONY: deb dist image release version

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

# All of it, from a clean tree, and the source: dist/ holds nothing else then.
release:
	@test -z "$$(git status --porcelain)" || { echo 'release: the tree is not clean: git status' >&2; exit 1; }
	rm -rf dist
	$(MAKE) deb image
	git archive --prefix=epoll-echo-$(VERSION)/ HEAD | gzip -9n >dist/epoll-echo-$(VERSION).tar.gz
	packaging/news notes >dist/epoll-echo-$(VERSION).notes.md
	@$(SUMS)
