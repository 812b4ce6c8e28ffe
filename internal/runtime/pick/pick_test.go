package pick_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime"
	"github.com/slipway-paas/slipway/internal/runtime/pick"
)

// memory is a runtime whose instances are names.
type memory struct {
	started []string
	forgot  []string
	exits   *runtime.Exits
	told    []string
}

func newMemory() *memory { return &memory{exits: runtime.NewExits()} }

func (m *memory) Start(_ context.Context, s platform.InstanceSpec) (runtime.Running, error) {
	m.started = append(m.started, s.ID)
	return runtime.Running{Spec: s}, nil
}
func (m *memory) Stop(context.Context, string, time.Duration) error { return nil }
func (m *memory) Adopt(context.Context) ([]runtime.Running, error) {
	return []runtime.Running{{Spec: platform.InstanceSpec{ID: "adopted"}}}, nil
}

func (m *memory) Run(context.Context, platform.InstanceSpec, platform.IO) (int, error) { return 3, nil }

func (m *memory) Exec(_ context.Context, id string, _ []string, _ platform.IO) (int, error) {
	if !slices.Contains(m.started, id) {
		return 0, platform.ErrNotFound
	}
	return 4, nil
}

func (m *memory) Shell(ctx context.Context, id, _ string, stream platform.IO) (int, error) {
	return m.Exec(ctx, id, nil, stream)
}

func (m *memory) Watch(ctx context.Context) iter.Seq[runtime.Exit] {
	return func(yield func(runtime.Exit) bool) {
		for {
			exit, ok := m.exits.Next(ctx)
			if !ok {
				return
			}
			more := yield(exit)
			m.told = append(m.told, exit.ID)
			if !more {
				return
			}
		}
	}
}
func (m *memory) Forget(id string) error { m.forgot = append(m.forgot, id); return nil }

var (
	bare  = platform.Spec{Bare: true, Args: []string{"./app"}}
	slug  = platform.Spec{Args: []string{"./app"}}
	image = platform.Spec{}
	line  = platform.Spec{Entrypoint: []string{"/bin/bash", "-c"}, Args: []string{"./app"}}
	lacks = []string{"containers need containerd: apt-get install containerd"}
)

func TestEachSpecGoesWhereItCanRun(t *testing.T) {
	const processes, containers = "processes", "containers"
	for _, c := range []struct {
		name    string
		mode    pick.Mode
		missing []string
		spec    platform.Spec
		want    string // a runtime, or what the error says
	}{
		{"a bare build", pick.Auto, nil, bare, processes},
		{"a build on a stack", pick.Auto, nil, slug, containers},
		{"an image", pick.Auto, nil, image, containers},
		{"a command line in an image", pick.Auto, nil, line, containers},
		{"a bare build without containers", pick.Auto, lacks, bare, processes},
		{"a build on a stack without containers", pick.Auto, lacks, slug, processes},
		{"an image without containers", pick.Auto, lacks, image, "this machine cannot run images: containers need containerd"},
		{"a command line without containers", pick.Auto, lacks, line, "apt-get install containerd"},
		{"an image where processes are asked for", pick.Process, nil, image, "--runtime auto"},
		{"a build where processes are asked for", pick.Process, nil, slug, processes},
		{"a build where containers are asked for", pick.Containerd, nil, slug, containers},
		{"a build where containers are asked for and missing", pick.Containerd, lacks, slug, "apt-get install containerd"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, q := newMemory(), newMemory()
			r := pick.New(c.mode, p, q, c.missing)
			_, err := r.Start(t.Context(), platform.InstanceSpec{ID: "a", Spec: c.spec})
			var user *platform.UserError
			switch {
			case c.want == processes && len(p.started) == 1 && err == nil:
			case c.want == containers && len(q.started) == 1 && err == nil:
			case errors.As(err, &user) && user.Cure != "" && strings.Contains(user.Message+user.Cure, c.want):
			default:
				t.Errorf("processes %v, containers %v, %v; want %s", p.started, q.started, err, c.want)
			}
		})
	}
}

func TestWhatRunsIsAskedOfWhoRunsIt(t *testing.T) {
	p, q := newMemory(), newMemory()
	r := pick.New(pick.Auto, p, q, nil)
	for id, s := range map[string]platform.Spec{"one": bare, "two": image} {
		if _, err := r.Start(t.Context(), platform.InstanceSpec{ID: id, Spec: s}); err != nil {
			t.Fatal(err)
		}
		if code, err := r.Exec(t.Context(), id, []string{"true"}, platform.IO{}); code != 4 || err != nil {
			t.Errorf("Exec in %s: %d, %v", id, code, err)
		}
	}
	if _, err := r.Shell(t.Context(), "nobody", "true", platform.IO{}); !errors.Is(err, platform.ErrNotFound) {
		t.Errorf("Shell in nobody: %v", err)
	}
	// The same id moves with its build.
	if _, err := r.Start(t.Context(), platform.InstanceSpec{ID: "one", Spec: image}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p.forgot, []string{"one"}) || !slices.Contains(q.started, "one") {
		t.Errorf("it did not move: %v, %v", p.forgot, q.started)
	}
}

func TestEveryEndIsToldOnceByBoth(t *testing.T) {
	p, q := newMemory(), newMemory()
	r := pick.New(pick.Auto, p, q, nil)
	want := []string{"p1", "p2", "p3", "q1", "q2", "q3"}
	for _, id := range want {
		map[byte]*memory{'p': p, 'q': q}[id[0]].exits.Add(runtime.Exit{ID: id})
	}
	var got []string
	for range want { // one watcher after the other, each leaving after its first
		for exit := range r.Watch(t.Context()) {
			got = append(got, exit.ID)
			break
		}
	}
	first := func(of string) (ids []string) {
		for _, id := range got {
			if strings.HasPrefix(id, of) {
				ids = append(ids, id)
			}
		}
		return ids
	}
	if !slices.Equal(first("p"), want[:3]) || !slices.Equal(first("q"), want[3:]) {
		t.Errorf("told were %v", got)
	}
}
