package controller_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// unrun are options of a platform without a node, where a deploy fails at once.
var unrun = controller.Options{DeployTimeout: 20 * time.Millisecond}

func TestAnImageFromElsewhereIsPinnedBeforeItsRelease(t *testing.T) {
	p := open(t, unrun)
	ann := p.user("ann")
	p.app(ann, "blog")
	digest := p.publish("library/shop:1", "9000/tcp", "8000/tcp")
	_, _, err := p.CreateBuild(t.Context(), ann, "blog", controller.NewBuild{Image: "shop:1"})
	if !errors.Is(err, platform.ErrInvalid) || !strings.HasPrefix(err.Error(), "(app::deploy): ") {
		t.Errorf("got %v", err)
	}
	builds, _, err := p.Builds(t.Context(), ann, "blog", platform.Page{})
	if err != nil || len(builds) != 1 {
		t.Fatalf("builds %v, %v", builds, err)
	}
	if b := builds[0]; b.Image != "blog@"+digest || b.Source != "shop:1" || b.Kind != platform.ImageNamed || !slices.Equal(b.Ports, []int{8000, 9000}) || b.Size == 0 {
		t.Errorf("the build is %+v", b)
	}
	if _, err := remote.Head(must(name.NewDigest(p.registry + "/blog@" + digest))(t)); err != nil {
		t.Errorf("the platform's registry does not have it: %v", err)
	}
	want := []string{"v1 succeeded ann created initial release", "v2 failed ann deployed " + builds[0].UUID[:7] + " which failed"}
	if got := p.summaries("blog"); !slices.Equal(got, want) {
		t.Errorf("the ledger is %q", got)
	}
	if app, err := p.App(t.Context(), ann, "blog"); err != nil || app.Formation["cmd"] != 1 {
		t.Errorf("the formation is %v, %v", app.Formation, err)
	}
	if log := p.logged("blog"); !strings.Contains(log, "Pulling shop:1 from "+p.outside) || !strings.Contains(log, "INFO ann deployed shop:1\n") {
		t.Errorf("the log is %s", log)
	}
}

func TestWhatCannotBeHadOrReachedMakesNoRow(t *testing.T) {
	p := open(t, unrun)
	ann := p.user("ann")
	p.app(ann, "blog")
	p.publish("library/quiet:1")
	p.publish("library/quiet:2", "53/udp")
	deny := func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/ann/private/") {
			w.WriteHeader(http.StatusUnauthorized)
			return false
		}
		return true
	}
	p.asked.Store(&deny)
	const portless = "Expose a port or make the app non routable by changing the process type"
	refused := func(build controller.NewBuild, says string) {
		t.Helper()
		_, _, err := p.CreateBuild(t.Context(), ann, "blog", build)
		if !errors.Is(err, platform.ErrInvalid) || !strings.HasPrefix(err.Error(), says) {
			t.Errorf("%s: %v", build.Image, err)
		}
		if _, count, err := p.Builds(t.Context(), ann, "blog", platform.Page{}); count != 0 || err != nil {
			t.Errorf("%s: %d builds, %v", build.Image, count, err)
		}
		if app, err := p.App(t.Context(), ann, "blog"); err != nil || len(app.Formation) != 0 {
			t.Errorf("%s: the formation is %v, %v", build.Image, app.Formation, err)
		}
	}
	refused(controller.NewBuild{Image: "deis/nonexistent:dummy"}, "image deis/nonexistent:dummy not found")
	refused(controller.NewBuild{Image: "ann/private"}, "Permission Denied attempting to pull image ann/private:latest")
	refused(controller.NewBuild{Image: "registry.localhost:8080/nobody:1"}, "image registry.localhost:8080/nobody:1 not found")
	refused(controller.NewBuild{Image: "quiet:1"}, portless)
	refused(controller.NewBuild{Image: "quiet:2", Procfile: map[string]string{"web": "serve"}}, portless)
	if got := p.summaries("blog"); len(got) != 1 {
		t.Errorf("the ledger is %q", got)
	}
	if log := p.logged("blog"); !strings.Contains(log, "ERROR image deis/nonexistent:dummy not found\n") {
		t.Errorf("the log is %s", log)
	}

	// PORT names one, and an app nobody can reach needs none.
	for _, id := range []string{"told", "hidden"} {
		p.app(ann, id)
	}
	port, off := "8000", false
	if _, err := p.SetConfig(t.Context(), ann, "told", controller.ConfigPatch{Values: map[string]*string{"PORT": &port}}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.SetSettings(t.Context(), ann, "hidden", controller.SettingsPatch{Routable: &off}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"told", "hidden"} {
		_, _, err := p.CreateBuild(t.Context(), ann, id, controller.NewBuild{Image: "quiet:1"})
		if _, count, _ := p.Builds(t.Context(), ann, id, platform.Page{}); count != 1 {
			t.Errorf("%s: %v", id, err)
		}
	}
}

func TestAPrivateRegistryWantsAPortAndIsShownTheAppsCredentials(t *testing.T) {
	p := open(t, unrun)
	ann := p.user("ann")
	p.app(ann, "blog")
	p.publish("ann/private:1", "8000")
	guard := func(w http.ResponseWriter, r *http.Request) bool {
		if user, password, _ := r.BasicAuth(); user == "ann" && password == "hunter22" {
			return true
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
		return false
	}
	p.asked.Store(&guard)
	port, user, password, host := "8000", "ann", "hunter22", p.outside
	_, err := p.SetConfig(t.Context(), ann, "blog", controller.ConfigPatch{
		Values: map[string]*string{"PORT": &port}, Registry: map[string]*string{"username": &user, "password": &password, "hostname": &host},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = p.CreateBuild(t.Context(), ann, "blog", controller.NewBuild{Image: "ann/private:1"})
	if builds, _, _ := p.Builds(t.Context(), ann, "blog", platform.Page{}); len(builds) != 1 || !strings.HasPrefix(builds[0].Image, "blog@") {
		t.Errorf("builds %+v, %v", builds, err)
	}
	if strings.Contains(p.logged("blog"), password) {
		t.Error("the log tells the password")
	}

	// A config of before that rule was kept has no PORT.
	p.app(ann, "old")
	p.write(func(tx *store.Tx) error {
		if err := tx.InsertConfig(platform.Config{UUID: "c-2", App: "old", Owner: "ann", Registry: map[string]string{"username": "ann"}}); err != nil {
			return err
		}
		_, err := tx.InsertRelease(platform.Release{UUID: "r-2", App: "old", Owner: "ann", Config: "c-2", State: platform.ReleaseSucceeded})
		return err
	})
	_, _, err = p.CreateBuild(t.Context(), ann, "old", controller.NewBuild{Image: "ann/private:1"})
	if err == nil || err.Error() != "PORT needs to be set in the application config when using a private registry" {
		t.Errorf("got %v", err)
	}
}

func TestAPullGoesOnWithoutItsClientAndKeepsOthersOut(t *testing.T) {
	p := open(t, unrun)
	ann := p.user("ann")
	p.app(ann, "blog")
	p.publish("library/shop:1", "8000")
	begun, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	hold := func(http.ResponseWriter, *http.Request) bool {
		once.Do(func() { close(begun) })
		<-goOn
		return true
	}
	p.asked.Store(&hold)
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, _, err := p.CreateBuild(ctx, ann, "blog", controller.NewBuild{Image: "shop:1"})
		left <- err
	}()
	<-begun
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	_, _, err := p.CreateBuild(t.Context(), ann, "blog", controller.NewBuild{Image: "shop:1"})
	if !errors.Is(err, platform.ErrInvalid) || err.Error() != "Deployment for blog-cmd is already in progress" {
		t.Errorf("got %v", err)
	}
	// The app is free for changes meanwhile.
	value := "1"
	if _, err := p.SetConfig(t.Context(), ann, "blog", controller.ConfigPatch{Values: map[string]*string{"A": &value}}); err != nil {
		t.Error(err)
	}
	close(goOn)
	for err != nil && strings.Contains(err.Error(), "already in progress") {
		_, _, err = p.CreateBuild(t.Context(), ann, "blog", controller.NewBuild{Image: "shop:1"})
	}
	if got := p.summaries("blog"); len(got) != 4 {
		t.Errorf("the ledger is %q", got)
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
		if _, digest, _ := strings.Cut(pushed[0].Image, "@"); err != nil || build.Image != "stage@"+digest || build.Source != image || release.Version != 2+i || release.State != platform.ReleaseSucceeded {
			t.Fatalf("%s: %+v, %+v, %v", image, build, release, err)
		}
		if release.Summary != "ann deployed "+image {
			t.Errorf("the summary is %q", release.Summary)
		}
	}
	if _, body, err := p.get("stage.localhost"); body != "stage v4" || err != nil {
		t.Errorf("served is %q, %v", body, err)
	}
	for range 2 { // the second time the digest is in the thief's own builds
		for _, image := range []string{pushed[0].Image, "blog:v2", "blog:latest"} {
			if _, _, err := p.CreateBuild(t.Context(), eve, "thief", controller.NewBuild{Image: image}); err == nil || !strings.HasSuffix(err.Error(), " not found") {
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
	// What an app runs stays when the app it is from goes.
	if err := p.DestroyApp(t.Context(), ann, "blog"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.CreateBuild(t.Context(), ann, "stage", controller.NewBuild{Image: "stage:v2"}); err != nil {
		t.Error(err)
	}
}

func TestAnImageThatWasPushedToTheRegistryIsDeployedByItsTag(t *testing.T) {
	p := open(t, unrun)
	ann, eve := p.user("ann"), p.user("eve")
	p.app(ann, "blog")
	p.app(ann, "stage")
	p.app(eve, "thief")
	digest := p.publish("blog:green", "8000")
	from, to := p.outside, p.registry
	image := must(remote.Image(must(name.ParseReference(from+"/blog:green", name.Insecure))(t)))(t)
	if err := remote.Write(must(name.ParseReference(to+"/blog:green", name.Insecure))(t), image); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ app, image string }{
		{"blog", "blog:green"}, {"stage", "registry.localhost/blog:green"}, {"stage", "Registry.localhost:8080/blog@" + digest},
	} {
		_, _, _ = p.CreateBuild(t.Context(), ann, c.app, controller.NewBuild{Image: c.image})
		builds, _, err := p.Builds(t.Context(), ann, c.app, platform.Page{Limit: 1})
		if err != nil || len(builds) != 1 || builds[0].Image != c.app+"@"+digest || builds[0].Source != c.image || builds[0].Kind != platform.ImageNamed {
			t.Errorf("%s: %+v, %v", c.image, builds, err)
		}
	}
	for _, image := range []string{"blog:green", "registry.localhost/blog:green", "blog@" + digest} {
		_, _, err := p.CreateBuild(t.Context(), eve, "thief", controller.NewBuild{Image: image})
		if err == nil || err.Error() != "image "+image+" not found" {
			t.Errorf("a stranger deploys %s: %v", image, err)
		}
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
			options.DeployTimeout = unrun.DeployTimeout
			p := open(t, options)
			ann := p.user("ann")
			p.app(ann, "blog")
			p.publish("library/shop:1", "8000")
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
			_, _, err := p.CreateBuild(t.Context(), ann, "blog", controller.NewBuild{Image: "shop:1"})
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
