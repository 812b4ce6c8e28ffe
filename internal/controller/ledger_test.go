package controller_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// sleeper runs for long and needs no port.
var sleeper = map[string]string{"worker": "exec sleep 1000"}

// crasher never comes up, however busy the machine is: its release process fails.
var crasher = map[string]string{"worker": "exec sleep 1000", "release": "exit 3"}

func set(key, value string) controller.ConfigPatch {
	return controller.ConfigPatch{Values: map[string]*string{key: &value}}
}

// deployed is an app of ann with one worker.
func (p *place) deployed(id string) (ann platform.Caller) {
	p.t.Helper()
	ann = p.user("ann")
	p.app(ann, id)
	if err := p.push(ann, id, "1234567890", sleeper); err != nil {
		p.t.Fatal(err)
	}
	if err := p.Scale(p.t.Context(), ann, id, map[string]int{"worker": 1}); err != nil {
		p.t.Fatal(err)
	}
	return ann
}

func TestTheLedgerTellsWhatFailedAndTheNextReleaseBeginsFromTheLastGoodOne(t *testing.T) {
	p := open(t, controller.Options{}).withNode()
	ann, bob := p.deployed("blog"), p.user("bob")
	if err := p.Grant(t.Context(), ann, "blog", "bob", platform.RoleOperator); err != nil {
		t.Fatal(err)
	}
	err := p.push(bob, "blog", "2234567890", crasher)
	if err == nil || !strings.HasPrefix(err.Error(), "(app::deploy): There was a problem deploying v3. Rolling back process types to release v2.\nthe release process exited with code 3") {
		t.Errorf("the push: %v", err)
	}
	// No node has so much memory as to start it with so little.
	small := "1K"
	if _, err := p.SetConfig(t.Context(), bob, "blog", controller.ConfigPatch{Memory: map[string]*string{"worker": &small}}); err == nil {
		t.Error("an instance came up with 1K of memory")
	}
	if config, err := p.Config(t.Context(), ann, "blog"); err != nil || len(config.Memory) != 0 {
		t.Errorf("the config is %v, %v", config.Memory, err)
	}
	if _, err := p.SetConfig(t.Context(), bob, "blog", set("A", "1")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Rollback(t.Context(), bob, "blog", 3); err == nil || err.Error() != "Cannot roll back to failed release." {
		t.Errorf("back to a failed one: %v", err)
	}
	if release, err := p.Rollback(t.Context(), bob, "blog", 0); err != nil || release.Version != 6 {
		t.Errorf("back: %+v, %v", release, err)
	}
	builds, _, err := p.Builds(t.Context(), ann, "blog", platform.Page{})
	if err != nil || builds[0].SHA != "22345678" {
		t.Fatal(builds, err)
	}
	want := []string{
		"v1 succeeded ann created initial release", "v2 succeeded ann deployed 1234567",
		"v3 failed bob deployed " + builds[0].UUID[:7] + " which failed", "v4 failed bob deployed a config that failed",
		"v5 succeeded bob added A", "v6 succeeded bob rolled back to v2",
	}
	if got := p.summaries("blog"); !slices.Equal(got, want) {
		t.Errorf("the ledger is\n%s", strings.Join(got, "\n"))
	}
}

func TestAFailedRollbackNamesTheOwnerOfItsBase(t *testing.T) {
	p := open(t, controller.Options{}).withNode()
	ann, bob := p.deployed("blog"), p.user("bob")
	if err := p.Grant(t.Context(), ann, "blog", "bob", platform.RoleOperator); err != nil {
		t.Fatal(err)
	}
	if _, err := p.SetConfig(t.Context(), ann, "blog", set("A", "1")); err != nil {
		t.Fatal(err)
	}
	p.write(func(tx *store.Tx) error { // v2's build goes bad
		build, err := tx.Release("blog", 2)
		if err != nil {
			return err
		}
		broken, err := tx.Build("blog", build.Build)
		if err != nil {
			return err
		}
		broken.UUID, broken.Procfile = "broken", crasher
		if err := tx.InsertBuild(broken); err != nil {
			return err
		}
		_, err = tx.InsertRelease(platform.Release{UUID: "r-4", App: "blog", Owner: "ann", Config: build.Config, Build: "broken", State: platform.ReleaseSucceeded})
		if err != nil {
			return err
		}
		build.UUID = "r-5"
		_, err = tx.InsertRelease(build)
		return err
	})
	if _, err := p.Rollback(t.Context(), bob, "blog", 4); err == nil {
		t.Fatal("it came up")
	}
	if got := p.summaries("blog"); got[5] != "v6 failed ann performed roll back to a release that failed" {
		t.Errorf("the ledger is\n%s", strings.Join(got, "\n"))
	}
}

func TestAFirstDeployThatFailsKeepsItsFormation(t *testing.T) {
	p := open(t, controller.Options{}).withNode()
	ann := p.user("ann")
	p.app(ann, "blog")
	if err := p.push(ann, "blog", "1234567890", map[string]string{"web": "exit 3"}); err == nil {
		t.Fatal("it came up")
	}
	if app, err := p.App(t.Context(), ann, "blog"); err != nil || app.Formation["web"] != 1 {
		t.Errorf("the formation is %v, %v", app.Formation, err)
	}
	if err := p.Scale(t.Context(), ann, "blog", map[string]int{"web": 2}); err == nil || err.Error() != "No build associated with this release" {
		t.Errorf("scaling: %v", err)
	}
}

// hang is a release that waits for instances that come up late or never.
func (p *place) hang(ann platform.Caller, app string) (ended <-chan error) {
	p.t.Helper()
	done := make(chan error, 1)
	probe := platform.Probe{InitialDelaySeconds: 3600, Exec: &platform.Exec{Command: []string{"true"}}}
	patch := controller.ConfigPatch{Healthchecks: platform.HealthPatch{"worker": {platform.ProbeReadiness: &probe}}}
	go func() {
		_, err := p.SetConfig(context.Background(), ann, app, patch)
		done <- err
	}()
	p.awaitLine(app, "added healthcheck info")
	return done
}

func TestARollbackTakesThePlaceOfAReleaseUnderWayAndOthersAreRefused(t *testing.T) {
	p := open(t, controller.Options{}).withNode()
	ann := p.deployed("blog")
	ended := p.hang(ann, "blog")
	busy := "Deployment for blog-worker is already in progress"
	if _, err := p.SetConfig(t.Context(), ann, "blog", set("A", "1")); !errors.Is(err, platform.ErrBusy) || err.Error() != busy {
		t.Errorf("a config: %v", err)
	}
	if _, _, err := p.CreateBuild(t.Context(), ann, "blog", controller.NewBuild{Image: "deis/example:1"}); !errors.Is(err, platform.ErrInvalid) || err.Error() != busy {
		t.Errorf("a build: %v", err)
	}
	if _, err := p.Rename(t.Context(), ann, "blog", "other"); !errors.Is(err, platform.ErrBusy) || err.Error() != busy {
		t.Errorf("a rename: %v", err)
	}
	release, err := p.Rollback(t.Context(), ann, "blog", 2)
	if err != nil || release.Tag() != "v4" {
		t.Errorf("the rollback: %+v, %v", release, err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "v4 took its place") {
		t.Errorf("the release that was under way: %v", err)
	}
}

func TestAVerbsWorkGoesOnWhenItsClientLeaves(t *testing.T) {
	p := open(t, controller.Options{}).withNode()
	ann := p.deployed("blog")
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := p.SetConfig(gone, ann, "blog", set("A", "1")); !errors.Is(err, context.Canceled) {
		t.Errorf("the config: %v", err)
	}
	pushing, leave := context.WithCancel(t.Context())
	p.builds = func(builder.Request) (builder.Result, error) {
		leave()
		return builder.Result{Image: p.image("blog"), Procfile: map[string]string{"worker": "exec sleep 2000"}}, nil
	}
	err := p.Push(pushing, ann, "blog", platform.Source{Commit: "2234567890", Tree: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("x")), nil
	}}, io.Discard)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the push: %v", err)
	}
	p.awaitLine("blog", "release v4 deployed")
	if err := p.Scale(gone, ann, "blog", map[string]int{"worker": 2}); !errors.Is(err, context.Canceled) {
		t.Errorf("the scale: %v", err)
	}
	if err := p.Scale(t.Context(), ann, "blog", map[string]int{"worker": 2}); err != nil {
		t.Error(err)
	}
	instances, err := p.Instances(t.Context(), ann, "blog", "worker", "")
	want := []string{
		"v1 succeeded ann created initial release", "v2 succeeded ann deployed 1234567",
		"v3 succeeded ann added A", "v4 succeeded ann deployed 2234567",
	}
	if got := p.summaries("blog"); !slices.Equal(got, want) || err != nil {
		t.Errorf("the ledger is\n%s\n%d instances, %v", strings.Join(got, "\n"), len(instances), err)
	}
}

var refusal = regexp.MustCompile(`^Deployment for shop-cmd is already in progress$`)

func TestConcurrentChangesLoseNothingAndLeaveNoGap(t *testing.T) {
	p := open(t, unrun)
	ann := p.user("ann")
	p.app(ann, "shop")
	p.publish("deis/example:1", "8000")
	page := platform.Page{Limit: 1000}
	var mu sync.Mutex
	kept := make(map[string]string)
	var work sync.WaitGroup
	for worker := range 20 {
		work.Go(func() {
			ctx := context.Background()
			for turn := range 10 {
				key, value := fmt.Sprintf("KEY_%d", worker), fmt.Sprint(turn)
				var err error
				switch (worker + turn) % 4 {
				case 0:
					_, _, err = p.CreateBuild(ctx, ann, "shop", controller.NewBuild{Image: "deis/example:1"})
					if strings.HasPrefix(fmt.Sprint(err), "(app::deploy): ") {
						err = nil
					}
				case 1:
					err = p.Grant(ctx, ann, "shop", "ann", platform.RoleViewer)
				default:
					if _, err = p.SetConfig(ctx, ann, "shop", set(key, value)); err == nil {
						mu.Lock()
						kept[key] = value
						mu.Unlock()
					}
				}
				if err != nil && !refusal.MatchString(err.Error()) {
					t.Errorf("%d/%d: %v", worker, turn, err)
				}
			}
		})
	}
	work.Wait()
	config, err := p.Config(t.Context(), ann, "shop")
	if err != nil || len(kept) == 0 {
		t.Fatalf("%d were kept, %v", len(kept), err)
	}
	for key, value := range kept {
		if config.Values[key] != value {
			t.Errorf("%s was set to %s and is %s", key, value, config.Values[key])
		}
	}
	releases, count, err := p.Releases(t.Context(), ann, "shop", page)
	if err != nil || count != len(releases) {
		t.Fatal(count, len(releases), err)
	}
	for i, release := range releases {
		if want := count - i; release.Version != want || !release.State.Done() {
			t.Errorf("release %d of %d is %s, %s", want, count, release.Tag(), release.State)
		}
	}
}
