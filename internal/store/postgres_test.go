package store_test

import (
	"os"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/postgrestest"
)

var server postgrestest.Server

func TestMain(m *testing.M) {
	childMain()
	code := m.Run()
	server.Stop()
	os.Exit(code)
}

func containsSecret(text string) bool { return strings.Contains(text, "secret") }
