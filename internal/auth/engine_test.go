package auth_test

import (
	"errors"
	"os"
	"testing"

	"github.com/slipway-paas/slipway/internal/postgrestest"
)

// onEach runs a test on a fresh database of each engine.
func onEach(t *testing.T, registration string, test func(r rig)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { test(newRig(t, registration)) })
	t.Run("PostgreSQL", func(t *testing.T) { test(openRig(t, registration, postgres.Database(t))) })
}

var postgres postgrestest.Server

func TestMain(m *testing.M) {
	code := m.Run()
	postgres.Stop()
	slapd.stop()
	os.Exit(code)
}

// errNotInstalled skips the tests that need what this machine has not.
var errNotInstalled = errors.New("not installed: scripts/deps --all")
