package sandbox_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/sandbox"
)

func TestQuick(t *testing.T) {
	t0 := time.Now()
	s := sandbox.New(context.Background(), slog.New(slog.NewTextHandler(os.Stderr, nil)))
	t.Logf("detect %v %+v", time.Since(t0), s.Offer())
	dir := t.TempDir()
	os.MkdirAll(dir+"/tree", 0o755)
	os.Chown(dir+"/tree", 300001, 300001)
	for i := range 5 {
		sc := filepath.Join(dir, "scratch"+string(rune('0'+i)))
		os.Mkdir(sc, 0o755)
		var out strings.Builder
		t0 = time.Now()
		exit, err := s.Run(context.Background(), sandbox.Process{
			Name: "quick", Argv: []string{"sh", "-c", "ls -la /proc/self/fd; id; ls / /app; echo x > /app/f; cat /proc/self/cgroup; ulimit -a; cat /proc/1/cmdline | tr '\\0' ' '; ls /root /home /var /run; mount; touch /dev/shm/x /tmp/y /var/tmp/z; exit 3"},
			Env: []string{"PATH=/usr/bin:/bin", "HOME=/app"}, Dir: "/app", UID: 300001,
			Mounts: []sandbox.Mount{{Source: dir + "/tree", Target: "/app", Scratch: sc}},
		}, sandbox.Streams{Stdout: &out, Stderr: &out})
		t.Log(time.Since(t0), exit, err)
		if i == 0 {
			t.Log(out.String())
		}
	}
}
