# make run     the platform on this machine, with an example app pushed to it
# make test    every test
# make build   bin/slipway
# make bench   the measurements, each beside a peer
# make lint    gofumpt and golangci-lint, from tools/go.mod

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
export CGO_ENABLED ?= 0

.PHONY: run test build bench lint deps

run: deps build
	@scripts/run

test: deps
	@scripts/test

build:
	go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/slipway ./cmd/slipway

bench: deps build
	@bench/push && bench/idle && bench/live

lint:
	go tool -modfile=tools/go.mod gofumpt -l -d cmd internal
	go tool -modfile=tools/go.mod golangci-lint run ./...

# What the platform uses of the machine. Installs as root, else says what is missing.
deps:
	@scripts/deps
