# What npm has of Kubernetes' schemas: 80 MB to download.
.PHONY: schemas
schemas: $(B)/schemas/installed

$(B)/schemas/installed: tests/deploy/deploy.mk
	@mkdir -p $(@D)
	npm install --silent --no-audit --no-fund --prefix $(@D) kubernetes-models@4.5.1 \
		@kubernetes-models/prometheus-operator@4 typescript@5 kubernetes-types@1.30 js-yaml@4
	@touch $@
