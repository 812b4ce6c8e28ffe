package controller_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

func TestAnImageFromElsewhereFailsInTheLedger(t *testing.T) {
	p := open(t, controller.Options{})
	ann := p.user("ann")
	p.app(ann, "blog")
	_, _, err := p.CreateBuild(t.Context(), ann, "blog", controller.NewBuild{Image: "deis/example:1"})
	if !errors.Is(err, platform.ErrInvalid) || !strings.HasPrefix(err.Error(), "(app::deploy): ") || !strings.Contains(err.Error(), "container runtime") {
		t.Errorf("got %v", err)
	}
	builds, _, err := p.Builds(t.Context(), ann, "blog", platform.Page{})
	if err != nil || len(builds) != 1 || builds[0].Image != "deis/example:1" {
		t.Fatalf("builds %v, %v", builds, err)
	}
	want := []string{"v1 succeeded ann created initial release", "v2 failed ann deployed " + builds[0].UUID[:7] + " which failed"}
	if got := p.summaries("blog"); !slices.Equal(got, want) {
		t.Errorf("the ledger is %q", got)
	}
	if app, err := p.App(t.Context(), ann, "blog"); err != nil || app.Formation["cmd"] != 1 {
		t.Errorf("the formation is %v, %v", app.Formation, err)
	}
}

func TestReservedRepositoriesAreRefused(t *testing.T) {
	p := open(t, controller.Options{})
	ann := p.user("ann")
	p.app(ann, "blog")
	for _, image := range []string{"deis/router", "deis/router:v2", "deis/router@sha256:" + strings.Repeat("0", 64)} {
		_, _, err := p.CreateBuild(t.Context(), ann, "blog", controller.NewBuild{Image: image})
		if err == nil || err.Error() != "Repository name deis/router is not allowed, as it is reserved by Deis" {
			t.Errorf("%s: %v", image, err)
		}
	}
	if got := p.summaries("blog"); len(got) != 1 {
		t.Errorf("the ledger is %q", got)
	}
}

func TestAnImageThatAPushMadeIsDeployedAgainWhereTheCallerMay(t *testing.T) {
	p := open(t, controller.Options{}).withNode()
	ann, eve := p.user("ann"), p.user("eve")
	p.app(ann, "blog")
	p.app(ann, "stage")
	p.app(eve, "thief")
	if err := p.push(ann, "blog", "1234567890", map[string]string{"web": hello}); err != nil {
		t.Fatal(err)
	}
	pushed, _, err := p.Builds(t.Context(), ann, "blog", platform.Page{})
	if err != nil {
		t.Fatal(err)
	}
	for i, image := range []string{pushed[0].Image, "blog:v2", "blog:latest"} {
		build, release, err := p.CreateBuild(t.Context(), ann, "stage", controller.NewBuild{Image: image})
		if err != nil || build.Image != pushed[0].Image || release.Version != 2+i || release.State != platform.ReleaseSucceeded {
			t.Fatalf("%s: %+v, %+v, %v", image, build, release, err)
		}
		if release.Summary != "ann deployed "+pushed[0].Image {
			t.Errorf("the summary is %q", release.Summary)
		}
	}
	if _, body, err := p.get("stage.localhost"); body != "stage v4" || err != nil {
		t.Errorf("served is %q, %v", body, err)
	}
	for range 2 { // the second time the digest is in the thief's own builds
		for _, image := range []string{pushed[0].Image, "blog:v2", "blog:latest"} {
			if _, _, err := p.CreateBuild(t.Context(), eve, "thief", controller.NewBuild{Image: image}); err == nil || !strings.Contains(err.Error(), "container runtime") {
				t.Errorf("a stranger deploys %s: %v", image, err)
			}
		}
	}
	// A Procfile of one's own counts, and what it lacks goes.
	if _, _, err := p.CreateBuild(t.Context(), ann, "stage", controller.NewBuild{Image: "blog:v2", Procfile: map[string]string{"worker": "sleep 1000"}}); err != nil {
		t.Fatal(err)
	}
	if app, err := p.App(t.Context(), ann, "stage"); err != nil || app.Formation["web"] != 0 {
		t.Errorf("the formation is %v, %v", app.Formation, err)
	}
	_, _, err = p.CreateBuild(t.Context(), ann, "stage", controller.NewBuild{Image: "deis/example:1"})
	if err == nil || !strings.HasPrefix(err.Error(), "(app::deploy): There was a problem deploying v6. Rolling back process types to release v5.\n") {
		t.Errorf("got %v", err)
	}
}

func TestALostProcfileIsRefusedOrKeptAsTheOptionsSay(t *testing.T) {
	web := map[string]string{"web": "true"}
	for name, options := range map[string]controller.Options{
		"refused": {RejectLostProcfile: true},
		"kept":    {KeepLostProcfile: true},
		"gone":    {},
	} {
		t.Run(name, func(t *testing.T) {
			p := open(t, options)
			ann := p.user("ann")
			p.app(ann, "blog")
			p.write(func(tx *store.Tx) error {
				first, err := tx.Release("blog", 1)
				if err != nil {
					return err
				}
				build := platform.Build{UUID: "b-1", App: "blog", Owner: "ann", Image: "x", Procfile: web}
				if err := tx.InsertBuild(build); err != nil {
					return err
				}
				_, err = tx.InsertRelease(platform.Release{UUID: "r-2", App: "blog", Owner: "ann", Config: first.Config, Build: "b-1", State: platform.ReleaseSucceeded})
				return err
			})
			_, _, err := p.CreateBuild(t.Context(), ann, "blog", controller.NewBuild{Image: "deis/example:1"})
			if refused := errors.Is(err, platform.ErrConflict); refused != options.RejectLostProcfile {
				t.Fatalf("got %v", err)
			}
			builds, _, err := p.Builds(t.Context(), ann, "blog", platform.Page{Limit: 1})
			if err != nil {
				t.Fatal(err)
			}
			if kept := builds[0].Image != "x" && builds[0].Procfile["web"] != ""; kept != options.KeepLostProcfile {
				t.Errorf("the Procfile is %v", builds[0].Procfile)
			}
		})
	}
}
