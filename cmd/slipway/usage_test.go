package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/cli"
)

func TestWhatADaemonIsGivenWronglyIsWrongUsageWithACure(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end() // one that starts all the same ends at once
	none := filepath.Join(t.TempDir(), "none")
	for line, want := range map[string]struct {
		exit int
		says string
	}{
		"serve stray":                   {cli.ExitUsage, "slipway serve takes no arguments, and got \"stray\"\nUsage and examples: slipway serve --help\n"},
		"node stray":                    {cli.ExitUsage, "slipway node takes no arguments, and got \"stray\"\nUsage and examples: slipway node --help\n"},
		"secrets stray":                 {cli.ExitUsage, "there is no command \"stray\" below slipway secrets\nSee what there is with: slipway secrets --help\n"},
		"secrets status":                {cli.ExitNotFound, "\nName its directory with: --state DIRECTORY\n"},
		"secrets status stray":          {cli.ExitUsage, "slipway secrets status takes no arguments, and got \"stray\"\n"},
		"serve --domain no_name":        {cli.ExitUsage, "--domain: \"no_name\" is not a domain name\nUsage and examples: slipway serve --help\n"},
		"node --http nowhere":           {cli.ExitUsage, "--http: \"nowhere\" is not an address; write host:port or :port\n"},
		"serve --max-push much":         {cli.ExitUsage, "--max-push: \"much\" is not a whole number\n"},
		"serve --drain-time soon":       {cli.ExitUsage, "--drain-time: \"soon\" is not a time, such as 90s or 15m\n"},
		"serve --config " + none:        {cli.ExitNotFound, none},
		"serve --edge-defaults " + none: {cli.ExitNotFound, none},
	} {
		var stderr bytes.Buffer
		root := rootCommand()
		root.SetErr(&stderr)
		root.SetArgs(append(strings.Fields(line), "--state", t.TempDir()))
		if line == "secrets stray" {
			root.SetArgs(strings.Fields(line))
		}
		if got := cli.Execute(ended, root); got != want.exit || !strings.Contains(stderr.String(), want.says) {
			t.Errorf("slipway %s: exit code %d, wants %d; it said:\n%s", line, got, want.exit, stderr.String())
		}
	}
}
