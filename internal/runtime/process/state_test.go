package process_test

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/slipway-paas/slipway/internal/leaktest"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime/process"
)

func TestEachAppHasAUidOfItsOwnForEver(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives uids")
	}
	n := newNode(t)
	image := pushImage(t, n.host, slug(t, nil))
	uid := func(app string) string {
		spec := instance("x-run-abcde", image, "id -u; id -g")
		spec.App = app
		var out strings.Builder
		if _, err := n.Run(t.Context(), spec, platform.IO{Stdout: &out}); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	blog, shop := uid("blog"), uid("shop")
	n.open()
	if blog != "410000\n410000\n" || shop != "410001\n410001\n" || uid("shop") != shop || uid("blog") != blog {
		t.Errorf("blog is %q, shop is %q, after a restart %q and %q", blog, shop, uid("blog"), uid("shop"))
	}
}

func TestDamagedUidsAreNotGuessed(t *testing.T) {
	dir := stateDir(t)
	if err := os.WriteFile(filepath.Join(dir, "uids.json"), []byte(`{"apps": {"blog": 3`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := process.New(slog.New(slog.DiscardHandler), process.Options{Dir: dir, Sandbox: machineSandbox()})
	if err == nil || !strings.Contains(err.Error(), "uids.json") {
		t.Errorf("New: %v", err)
	}
}

func TestAStoppedInstanceLeavesOnlyItsOutputAndNoSecret(t *testing.T) {
	n := newNode(t)
	spec := instance("blog-web-1", pushImage(t, n.host, slug(t, nil)), "echo hello; exit 1")
	spec.Spec.Env = map[string]string{"SECRET": "5ecret"}
	if _, err := n.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	for range n.Watch(t.Context()) {
		break
	}
	entries, err := os.ReadDir(filepath.Join(n.dir, "instances", spec.ID))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if name := entry.Name(); name != "output" && name != "record.json" {
			t.Errorf("%s is left", name)
		}
		text, _ := os.ReadFile(filepath.Join(n.dir, "instances", spec.ID, entry.Name()))
		if strings.Contains(string(text), "5ecret") {
			t.Errorf("%s holds a secret", entry.Name())
		}
		if info, err := entry.Info(); err == nil && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", entry.Name(), info.Mode())
		}
	}
}

func TestWhatACrashLeftHalfMadeIsCleaned(t *testing.T) {
	n := newNode(t)
	instances := filepath.Join(n.dir, "instances")
	for path, text := range map[string]string{
		"cut/scratch/upper/file": "no record yet", "cut/output": "kept",
		"damaged/record.json": `{"spec": {"id": "dam`, "damaged/tmp/x": "",
		"other/record.json": `{"spec": {"id": "another"}}`, "other/tmp/x": "",
	} {
		path = filepath.Join(instances, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(n.dir, "images", "blog", ".new-1", "tree"), 0o700); err != nil {
		t.Fatal(err)
	}
	n.Close()
	n.open()
	for _, gone := range []string{"instances/cut/scratch", "instances/damaged/tmp", "instances/other/tmp", "images/blog/.new-1"} {
		if _, err := os.Stat(filepath.Join(n.dir, gone)); err == nil {
			t.Errorf("%s is left", gone)
		}
	}
	if _, err := os.Stat(filepath.Join(instances, "cut", "output")); err != nil {
		t.Error(err)
	}
	if err := n.Forget("cut"); err != nil {
		t.Error(err)
	}
	if err := n.Forget("../instances"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(instances, "other")); err != nil {
		t.Errorf("Forget climbed: %v", err)
	}
}

func TestCloseEndsEveryGoroutineAndNoInstance(t *testing.T) {
	n := newNode(t)
	image := pushImage(t, n.host, slug(t, nil))
	n.run(image, "true")
	before := goleak.IgnoreCurrent()
	n.Close()
	n.open()
	spec := instance("blog-web-1", image, "exec sleep 1000")
	if _, err := n.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	n.Close()
	leaktest.None(t, before)
	if _, err := n.Start(t.Context(), instance("blog-web-2", image, "true")); err == nil {
		t.Error("a closed runtime started an instance")
	}
	r, err := process.New(slog.New(slog.DiscardHandler), process.Options{Dir: n.dir, Sandbox: machineSandbox(), FirstUID: firstUID})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	adopted, err := r.Adopt(t.Context())
	if err != nil || len(adopted) != 1 {
		t.Errorf("adopted %v, %v", adopted, err)
	}
	if err := r.Stop(t.Context(), spec.ID, 0); err != nil {
		t.Error(err)
	}
}

func TestBadSpecsAreRefused(t *testing.T) {
	n := newNode(t)
	image := pushImage(t, n.host, slug(t, nil))
	for what, spec := range map[string]platform.InstanceSpec{
		"id climbs":  instance("../../etc", image, "true"),
		"id empty":   instance("", image, "true"),
		"id long":    instance(strings.Repeat("a", 200), image, "true"),
		"no command": {ID: "blog-web-1", App: "blog", Spec: platform.Spec{Image: image}},
		"app climbs": {ID: "blog-web-1", App: "../x", Spec: platform.Spec{Image: image, Args: []string{"true"}}},
		"zero byte":  {ID: "blog-web-1", App: "blog", Spec: platform.Spec{Image: image, Args: []string{"true"}, Env: map[string]string{"A": "\x00"}}},
		"huge value": {ID: "blog-web-1", App: "blog", Spec: platform.Spec{Image: image, Args: []string{"true"}, Env: map[string]string{"A": strings.Repeat("x", 200_000)}}},
	} {
		if _, err := n.Start(t.Context(), spec); err == nil {
			t.Errorf("%s: started", what)
		}
	}
	n.run(image, "true")
}

// BenchmarkStart is from Start to the first byte the command prints.
func BenchmarkStart(b *testing.B) {
	host := newRegistry(b)
	image := pushImage(b, host, slug(b, nil))
	r, err := process.New(slog.New(slog.DiscardHandler), process.Options{Dir: stateDir(b)})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	r.SetRegistry(host, "", "")
	number := 0
	for b.Loop() {
		number++
		spec := instance(fmt.Sprintf("blog-web-%d", number), image, "echo x; exec sleep 1000")
		running, err := r.Start(b.Context(), spec)
		if err != nil {
			b.Fatal(err)
		}
		for {
			if info, err := os.Stat(running.Output); err == nil && info.Size() > 0 {
				break
			}
			time.Sleep(100 * time.Microsecond)
		}
		b.StopTimer()
		if err := r.Stop(b.Context(), spec.ID, 0); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func TestACommandLineBesideAnInstanceSeesWhatTheLauncherMakes(t *testing.T) {
	n := newNode(t)
	image := pushImage(t, n.host, slug(t, map[string]string{".profile.d/color.sh": "sleep 0.3; export COLOR=green"}))
	spec := instance("blog-web-1", image, "exec sleep 1000")
	if _, err := n.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	defer n.Stop(t.Context(), spec.ID, 0)
	var out strings.Builder
	// The instance's own launcher is still at it.
	if code, err := n.Shell(t.Context(), spec.ID, `echo "$COLOR"`, platform.IO{Stdout: &out}); code != 0 || err != nil || out.String() != "green\n" {
		t.Errorf("Shell: %d, %v, %q", code, err, out.String())
	}
}

func TestARunGoesOnWhileAnotherRuntimeTakesOver(t *testing.T) {
	n := newNode(t)
	spec := instance("blog-run-abcde", pushImage(t, n.host, slug(t, nil)), "echo ready; read go; echo $go; exit 5")
	keys, typed := io.Pipe()
	said := make(chan string, 1)
	var out strings.Builder
	ended := make(chan error, 1)
	old := n.Runtime
	go func() {
		code, err := old.Run(t.Context(), spec, platform.IO{Stdin: keys, Stdout: writerFunc(func(p []byte) (int, error) {
			if out.Len() == 0 {
				said <- string(p)
			}
			return out.Write(p)
		})})
		if code != 5 {
			err = fmt.Errorf("exit code %d: %w", code, err)
		}
		ended <- err
	}()
	<-said
	next, err := process.New(slog.New(slog.DiscardHandler), process.Options{Dir: n.dir, Sandbox: machineSandbox(), FirstUID: firstUID})
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if adopted, err := next.Adopt(t.Context()); len(adopted) > 0 || err != nil {
		t.Errorf("adopted were %v, %v", adopted, err)
	}
	fmt.Fprintln(typed, "on")
	if err := <-ended; err != nil || out.String() != "ready\non\n" {
		t.Errorf("the run said %q and ended with %v", out.String(), err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
