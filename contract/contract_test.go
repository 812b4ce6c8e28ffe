package contract_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/postgrestest"
)

// bin is the directory of the real binary, built once.
var bin string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "slipway-bin")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", dir, "../cmd/slipway")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	bin = dir
	return m.Run()
}

// check is one test of a row: a sentence, and what it asks.
type check struct {
	row, sentence string
	ask           func(t *testing.T, p *platform)
}

// checks are all tests, section by section.
var checks = slices.Concat(
	rootChecks, authChecks, userChecks, appChecks, buildChecks, configChecks, releaseChecks, podChecks,
	domainChecks, certChecks, keyChecks, permChecks, settingsChecks, edgeChecks, serviceChecks, hookChecks,
)

func TestEveryRowOfTheContractHoldsOnSQLite(t *testing.T) {
	t.Parallel()
	holds(t, "")
}

func TestEveryRowOfTheContractHoldsOnPostgreSQL(t *testing.T) {
	t.Parallel()
	var server postgrestest.Server
	t.Cleanup(server.Stop)
	holds(t, server.Database(t))
}

func holds(t *testing.T, database string) {
	p := startPlatform(t, "SLIPWAY_DATABASE="+database, "SLIPWAY_REGISTRATION=admin_only")
	t.Cleanup(func() { count(t, database) })
	for _, row := range rows {
		t.Run(strings.ReplaceAll(row, "/", "|"), func(t *testing.T) {
			t.Parallel()
			tested := false
			for _, c := range checks {
				if c.row != row {
					continue
				}
				tested = true
				t.Run(c.sentence, func(t *testing.T) { c.ask(t, p) })
			}
			if !tested {
				t.Error("this row of the contract has no test")
			}
		})
	}
}

// count prints how many rows there are and how many tests, side by side.
func count(t *testing.T, database string) {
	engine := "SQLite"
	if database != "" {
		engine = "PostgreSQL"
	}
	tested := map[string]int{}
	for _, c := range checks {
		if !slices.Contains(rows, c.row) {
			t.Errorf("a test of %q, which is no row", c.row)
		}
		tested[c.row]++
	}
	fmt.Printf("contract on %s: %d rows, %d of them tested by %d tests\n", engine, len(rows), len(tested), len(checks))
}
