package containerd_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/porttest"
	"github.com/slipway-paas/slipway/internal/runtime"
	"github.com/slipway-paas/slipway/internal/runtime/process"
)

// dockerEnv is the socket of a Docker to be compared with: see bench/start.
const dockerEnv = "SLIPWAY_BENCH_DOCKER"

const rounds = 15

// TestStartsBesideDocker prints how long it takes from asking for an instance
// to its first answer, turn by turn with Docker.
func TestStartsBesideDocker(t *testing.T) {
	socket := os.Getenv(dockerEnv)
	if socket == "" {
		t.Skip("bench/start runs it")
	}
	w := newOwnWorld(t)
	r := w.open(t)
	const program = `$| = 1; my $s = IO::Socket::INET->new(LocalAddr => "0.0.0.0", LocalPort => $ENV{PORT} || 5000, Listen => 5, ReuseAddr => 1) or die; while (my $c = $s->accept) { print $c "well\n"; close $c }`
	image := push(t, w.host, v1.Config{
		Entrypoint: []string{"/usr/bin/perl", "-MIO::Socket::INET", "-e", program},
		Labels:     map[string]string{platform.LabelSlug: "1"},
	}, debian(t), layer(t, 1000, folder("app"), folder("slipway"), file("slipway/launch", "#!/bin/bash\nexec perl -MIO::Socket::INET -e '"+program+"'\n")))
	wish := platform.InstanceSpec{App: "blog", Process: "web", Release: 1, Spec: platform.Spec{Image: image, Args: []string{"x"}, Env: map[string]string{}, Port: true, Grace: time.Second}}

	processes, err := process.New(logger(), process.Options{Dir: filepath.Join(w.dir, "processes"), FirstUID: 420_000})
	if err != nil {
		t.Fatal(err)
	}
	defer processes.Close()
	processes.SetRegistry(w.host, "", "")
	docker := func(args ...string) string {
		out, err := exec.Command("/usr/bin/docker", append([]string{"-H", "unix://" + socket}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("docker %v: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	docker("pull", w.host+"/"+image)

	ours := func(rt runtime.Runtime) func() (string, func()) {
		return func() (string, func()) {
			s := wish
			s.ID = spec(image).ID
			running, err := rt.Start(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			return running.Address, func() { _ = rt.Stop(context.Background(), s.ID, 0) }
		}
	}
	kinds := []struct {
		name  string
		start func() (address string, stop func())
		took  []time.Duration
	}{
		{name: "containerd", start: ours(r)},
		{name: "docker", start: func() (string, func()) {
			address := "127.0.0.1:" + strconv.Itoa(freePort(t))
			id := docker("run", "-d", "-p", address+":5000", w.host+"/"+image)
			return address, func() { docker("rm", "-f", id) }
		}},
		{name: "process", start: ours(processes)},
	}
	for round := range rounds + 1 {
		for k := range kinds {
			began := time.Now()
			address, stop := kinds[k].start()
			for !well(address) {
				time.Sleep(time.Millisecond)
			}
			if round > 0 { // the first finds nothing cached
				kinds[k].took = append(kinds[k].took, time.Since(began))
			}
			stop()
		}
	}
	median := make(map[string]time.Duration)
	for _, k := range kinds {
		slices.Sort(k.took)
		median[k.name] = k.took[len(k.took)/2]
		fmt.Printf("%-10s first answer after %4d ms (median of %d; %d to %d)\n", k.name, median[k.name].Milliseconds(), rounds, k.took[0].Milliseconds(), k.took[len(k.took)-1].Milliseconds())
	}
	fmt.Printf("containerd takes %.2f of docker run's time\n", float64(median["containerd"])/float64(median["docker"]))
	namespace, _, _ := r.Names()
	counts := []int{1, 10, 20, 40}
	own, peer := make([]float64, len(counts)), make([]float64, len(counts))
	for n, count := range counts {
		own[n] = shimMemory(namespace, count, func(i int) func() { // as many apps
			wish.App = "app" + strconv.Itoa(i)
			_, stop := ours(r)()
			return stop
		})
		peer[n] = shimMemory("moby", count, func(int) func() { _, stop := kinds[1].start(); return stop })
		fmt.Printf("%2d instances, each of an app of its own: %5.2f MB of shims an instance (docker run %5.2f MB)\n", count, own[n]/float64(count), peer[n]/float64(count))
	}
	last := len(counts) - 1
	more := float64(counts[last] - counts[0])
	fmt.Printf("each of the instances after the first: %.2f MB (docker run %.2f MB)\n", (own[last]-own[0])/more, (peer[last]-peer[0])/more)
}

// shimMemory is what the shims of a namespace take, in MB, while as many
// instances run.
func shimMemory(namespace string, count int, start func(i int) (stop func())) float64 {
	for i := range count {
		defer start(i)()
	}
	var kib int
	for _, pid := range shims(namespace) {
		kib += pss(pid)
	}
	return float64(kib) / 1024
}

// well reports whether the program itself answers: a port may be open before.
func well(address string) bool {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	text, _ := io.ReadAll(conn)
	return string(text) == "well\n"
}

// pss is a process's share of memory in KiB: proc(5), smaps_rollup.
func pss(pid int) (kib int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			_, _ = fmt.Sscan(rest, &kib)
		}
	}
	return kib
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := porttest.Free(1)
	if err != nil {
		t.Fatal(err)
	}
	return port
}
