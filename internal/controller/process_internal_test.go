package controller

import (
	"slices"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
)

func TestEachKindOfImageStartsItsProcessesItsOwnWay(t *testing.T) {
	types := map[string]string{"web": "node server.js", "release": "node migrate.js"}
	for _, c := range []struct {
		kind             platform.ImageKind
		process          string
		entrypoint, args []string
	}{
		{platform.ImageSlug, "web", nil, []string{"node server.js"}},
		{platform.ImageNamed, "web", []string{"/bin/bash", "-c"}, []string{"node server.js"}},
		{platform.ImageNamed, "cmd", nil, nil},
		// The image knows how: in a shell or not, with which arguments, where.
		{platform.ImageCNB, "web", []string{"/cnb/process/web"}, nil},
		{platform.ImageCNB, "release", []string{"/cnb/process/release"}, nil},
	} {
		entrypoint, args := start(platform.Build{Kind: c.kind, Procfile: types}, c.process)
		if !slices.Equal(entrypoint, c.entrypoint) || !slices.Equal(args, c.args) {
			t.Errorf("%s of %s: %q %q", c.process, c.kind, entrypoint, args)
		}
	}
	build := platform.Build{Kind: platform.ImageCNB, Procfile: types}
	if entrypoint, args := startLine(build, "ls | wc"); !slices.Equal(entrypoint, []string{"/cnb/lifecycle/launcher"}) || !slices.Equal(args, []string{"ls | wc"}) {
		t.Errorf("a command line: %q %q", entrypoint, args)
	}
	if got := processesOf(build); !slices.Equal(got, []string{"web"}) {
		t.Errorf("what can be kept running is %q", got)
	}
}
