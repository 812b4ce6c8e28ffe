package controller

import (
	"maps"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
)

func TestTheFormationFollowsTheBuild(t *testing.T) {
	pushed := func(types ...string) *deployable {
		d := &deployable{release: platform.Release{Build: "b"}, build: platform.Build{SHA: "1234", Procfile: map[string]string{}}}
		for _, process := range types {
			d.build.Procfile[process] = "true"
		}
		return d
	}
	image := func(types ...string) *deployable {
		d := pushed(types...)
		d.build.SHA = ""
		return d
	}
	type formation = map[string]int
	for name, test := range map[string]struct {
		before        formation
		current, next *deployable
		after         formation
	}{
		"counts stay":                       {formation{"web": 3, "worker": 0}, pushed("web", "worker"), pushed("web", "worker"), formation{"web": 3, "worker": 0}},
		"a new type begins at none":         {formation{"web": 3}, pushed("web"), pushed("web", "worker"), formation{"web": 3}},
		"a lost type goes to none":          {formation{"web": 3, "worker": 2}, pushed("web", "worker"), pushed("web"), formation{"web": 3, "worker": 0}},
		"an image's cmd stays beside web":   {formation{"cmd": 1}, image(), image("web"), formation{"cmd": 1}},
		"a push after an image begins anew": {formation{"cmd": 2, "worker": 1}, image("worker"), pushed("web", "worker"), formation{"cmd": 0, "web": 1, "worker": 1}},
		"an image after a push begins anew": {formation{"web": 2}, pushed("web"), image(), formation{"cmd": 1, "web": 0}},
		"a config changes nothing":          {formation{"web": 2}, pushed("web"), pushed("web"), formation{"web": 2}},
		"a first build has been given its":  {formation{"web": 1}, nil, pushed("web"), formation{"web": 1}},
	} {
		if got := nextFormation(test.before, test.current, test.next); !maps.Equal(got, test.after) {
			t.Errorf("%s: %v, want %v", name, got, test.after)
		}
	}
	for name, test := range map[string]struct {
		build *deployable
		want  formation
	}{
		"a push with web":          {pushed("web", "worker"), formation{"web": 1}},
		"a push without web":       {pushed("worker"), formation{}},
		"a push without Procfile":  {pushed(), formation{"web": 1}},
		"an image without one":     {image(), formation{"cmd": 1}},
		"an image with web":        {image("web"), formation{"web": 1}},
		"an image with others yet": {image("worker"), formation{"cmd": 1}},
	} {
		if got := defaultFormation(test.build.build); !maps.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
