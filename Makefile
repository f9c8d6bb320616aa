# The commands of this repository. `make check` and `make prove` are what CI runs.
SHELL := /bin/bash -o pipefail
.DEFAULT_GOAL := run

# modernc's SQLite is C turned into Go: the race detector has nothing to find in
# it and makes it 37 times slower.
RACE := -race -gcflags='modernc.org/...=-race=false'

.PHONY: run check unit lint browsers clients prove bench bench-import screenshots vendor need need-browsers

run: ## the whole system on this machine
	go run . demo

check: need lint unit browsers ## everything that must hold, under 30 minutes

need:
	scripts/need postgresql ca-certificates
	@command -v cc >/dev/null || scripts/need gcc libc6-dev
	@command -v node >/dev/null || scripts/need nodejs
	@command -v npm >/dev/null || scripts/need npm

need-browsers: need
	scripts/need chromium firefox-esr libnotify4 xvfb dbus python3-dbus python3-gi apache2 libapache2-mod-auth-openidc fonts-dejavu-core
	cd tests/browser && npm ci --no-audit --no-fund --loglevel=error

lint: need-browsers
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "gofmt wants:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet -tags prove ./...
	go tool staticcheck -tags prove ./...
	cd tests/browser && npx tsc -p .

unit: need ## unit tests and stories, with the race detector, on both databases
	go test $(RACE) -json -timeout 25m ./... | go run ./internal/testcount -strict

browsers: need-browsers ## real browsers and clients that we did not write
	go build -o tmp/vigie .
	cd tests/browser && VIGIE=$(CURDIR)/tmp/vigie node --test --test-concurrency=1 --test-timeout=600000 .

prove: need ## kill -9, imports at size, timing: short settings
	go test -tags prove -run '^TestProve' -json -timeout 20m ./... | go run ./internal/testcount -logs

bench: need ## what a sign-in costs
	go test -run '^$$' -bench SignIn -benchtime 5s .
	go test -run '^$$' -bench CodeFlow -benchtime 3s ./oidc/

bench-import: need ## 1.9 million people
	go test -run '^$$' -bench BenchmarkImport -benchtime 1x -timeout 30m ./directory/

screenshots: need-browsers ## docs/screenshots
	go build -o tmp/vigie .
	cd tests/browser && VIGIE=$(CURDIR)/tmp/vigie node screenshots.mjs

vendor: ## web/static/vendor, from npm by lock file
	cd web/npm && npm ci --no-audit --no-fund --loglevel=error
	go generate ./web
