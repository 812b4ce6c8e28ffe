package containerd_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime"
	"github.com/slipway-paas/slipway/internal/runtime/containerd"
)

// newOwnWorld has a containerd of its own, which a test may kill.
func newOwnWorld(t *testing.T) world {
	w := newWorld(t)
	w.socket = ""
	own := w
	t.Cleanup(func() { own.retire(t) })
	return w
}

// shims are the processes that hold the containers of a namespace.
func shims(namespace string) []int {
	var pids []int
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		line, _ := os.ReadFile("/proc/" + entry.Name() + "/cmdline")
		words := strings.Split(string(line), "\x00")
		if strings.HasSuffix(words[0], "containerd-shim-runc-v2") && slices.Contains(words, namespace) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

func TestInstancesOutliveTheirContainerd(t *testing.T) {
	w := newOwnWorld(t)
	r := w.open(t)
	image := push(t, w.host, v1.Config{}, debian(t))
	s := sh(image, `trap 'echo finishing; exit 5' TERM; echo ready; while :; do sleep 0.05; done`)
	ward{w, r}.start(t, s, "ready")
	for range 3 {
		pid, err := containerd.Listener(r.EngineSocket())
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "containerd was not started again", func() bool {
			next, err := containerd.Listener(r.EngineSocket())
			return err == nil && next != pid
		})
		if code, err := r.Exec(t.Context(), s.ID, []string{"/bin/sh", "-c", "exit 7"}, platform.IO{}); err != nil || code != 7 {
			t.Errorf("Exec after containerd was killed: %d, %v", code, err)
		}
	}
	if err := r.Stop(t.Context(), s.ID, 5*time.Minute); err != nil {
		t.Fatal(err)
	}
	for exit := range r.Watch(t.Context()) {
		if exit.ID != s.ID || exit.Code != 5 {
			t.Errorf("it ended as %+v, want its exit code", exit)
		}
		break
	}
}

func TestADeadShimIsAnEndThatIsTold(t *testing.T) {
	w := newWard(t)
	image := push(t, w.host, v1.Config{}, debian(t))
	s := sh(image, "echo ready; exec sleep 1000")
	w.start(t, s, "ready")
	namespace, _, _ := w.Names()
	for _, pid := range shims(namespace) {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	for exit := range w.Watch(t.Context()) {
		if exit.ID != s.ID {
			t.Errorf("%+v was told", exit)
		}
		break
	}
	if _, err := w.Start(t.Context(), s); err != nil {
		t.Errorf("it does not start again: %v", err)
	}
}

// TestNothingIsLostOrLeftWhenAnythingIsKilled kills the node, its containerd
// and shims at random while instances start, run and stop.
func TestNothingIsLostOrLeftWhenAnythingIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute")
	}
	w := newOwnWorld(t)
	image := push(t, w.host, v1.Config{}, debian(t))
	var specs []platform.InstanceSpec
	for range 4 {
		s := sh(image, listens+"0.0.0.0")
		s.Spec.Port = true
		specs = append(specs, s)
	}
	first := w.open(t)
	if err := first.Prepare(t.Context(), specs[0]); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for round := range 8 {
		w.crash(t, random, round, specs)
	}
	r := w.open(t)
	adopted, err := r.Adopt(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if engines := r.Engines(); len(engines) != 1 {
		t.Errorf("containerd runs as %v, want one", engines)
	}
	addresses := make(map[string]bool)
	for _, s := range specs {
		running, err := r.Start(t.Context(), s)
		if errors.Is(err, platform.ErrConflict) {
			i := slices.IndexFunc(adopted, func(a runtime.Running) bool { return a.Spec.ID == s.ID })
			if i < 0 {
				t.Fatalf("%s runs and was not adopted", s.ID)
			}
			running, err = adopted[i], nil
		}
		if err != nil {
			t.Fatal(err)
		}
		if addresses[running.Address] {
			t.Errorf("two instances have the address %s", running.Address)
		}
		addresses[running.Address] = true
		eventually(t, s.ID+" is not reached at "+running.Address, func() bool {
			conn, err := net.Dial("tcp", running.Address)
			if err == nil {
				conn.Close()
			}
			return err == nil
		})
	}
	namespace, bridge, _ := r.Names()
	eventually(t, "there are not as many devices on the bridge as instances", func() bool { return ports(t, bridge) == len(specs) })
	eventually(t, "there are more control groups than instances", func() bool { return len(groupsOf(namespace)) == len(specs) })
	for _, s := range specs {
		if err := r.Stop(t.Context(), s.ID, 0); err != nil {
			t.Error(err)
		}
	}
	eventually(t, fmt.Sprintf("shims %v are left", shims(namespace)), func() bool { return len(shims(namespace)) == 0 })
	eventually(t, "control groups are left", func() bool { return len(groupsOf(namespace)) == 0 })
	eventually(t, "mounts are left", func() bool {
		mounts, err := os.ReadFile("/proc/mounts")
		return err == nil && !strings.Contains(string(mounts), w.dir)
	})
	eventually(t, "snapshots are left", func() bool {
		left, err := r.Leftovers(t.Context())
		return err == nil && left == 0
	})
}

// groupsOf are the control groups of one controller, or of all.
func groupsOf(namespace string) (names []string) {
	for _, root := range []string{"/sys/fs/cgroup/pids/", "/sys/fs/cgroup/"} {
		entries, err := os.ReadDir(root + namespace)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			if entry.IsDir() {
				names = append(names, filepath.Base(entry.Name()))
			}
		}
		return names
	}
	return nil
}

// crash runs a node that starts and stops instances, and kills what it uses
// and then itself.
func (w world) crash(t *testing.T, random *rand.Rand, round int, specs []platform.InstanceSpec) {
	t.Helper()
	node, kill := w.node(t, specs)
	namespace, _, _ := node.Names()
	for range 1 + random.IntN(3) {
		time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond)
		switch random.IntN(3) {
		case 0:
			if pid, err := containerd.Listener(node.EngineSocket()); err == nil {
				_ = unix.Kill(pid, unix.SIGKILL)
				t.Logf("round %d: containerd was killed", round)
			}
		case 1:
			for _, pid := range shims(namespace) {
				_ = unix.Kill(pid, unix.SIGKILL)
				t.Logf("round %d: a shim was killed", round)
				break
			}
		}
	}
	kill()
	t.Logf("round %d: the node was killed", round)
}

// node is another process that turns the specs over and over; the runtime is
// for its names alone.
func (w world) node(t *testing.T, specs []platform.InstanceSpec) (names *containerd.Runtime, kill func()) {
	t.Helper()
	names, err := containerd.New(logger(), containerd.Options{Dir: w.dir})
	if err != nil {
		t.Fatal(err)
	}
	process, err := w.orphan(orphanOrder{Dir: w.dir, Registry: w.host, Specs: specs, Churn: true})
	if err != nil {
		t.Fatal(err)
	}
	return names, func() {
		_ = process.Kill()
		_, _ = process.Wait()
		_ = names.Close()
	}
}

// churn is what a node does to its instances until it is killed: whatever
// fails is tried again.
func churn(ctx context.Context, r *containerd.Runtime, specs []platform.InstanceSpec) {
	go func() {
		for range r.Watch(ctx) {
		}
	}()
	for n := 0; ; n++ {
		s := specs[n%len(specs)]
		if _, err := r.Start(ctx, s); errors.Is(err, platform.ErrConflict) && n%3 == 0 {
			_ = r.Stop(ctx, s.ID, 50*time.Millisecond)
		}
	}
}
