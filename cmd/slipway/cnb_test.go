package main_test

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slipway-paas/slipway/internal/builder/cnb/cnbtest"
)

// builderImageCommand starts a registry with a builder image and a run image
// and makes the first the platform's builder.
func builderImageCommand(t *testing.T) func(*testscript.TestScript, bool, []string) {
	t.Helper()
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) > 0 {
			ts.Fatalf("usage: builder-image")
		}
		server := httptest.NewServer(registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo))))
		ts.Defer(server.Close)
		host := strings.TrimPrefix(server.URL, "http://")
		put(ts, host+"/packs/run:1", cnbtest.Run(t, "1"))
		put(ts, host+"/packs/builder:1", cnbtest.Builder(t, host+"/packs/run:1", nil))
		ts.Setenv("SLIPWAY_INSECURE_REGISTRIES", host)
		ts.Setenv("SLIPWAY_CNB_BUILDER", host+"/packs/builder:1")
	}
}
