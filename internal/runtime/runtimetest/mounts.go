package runtimetest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime"
)

// withVolume is an instance that mounts a volume of the app of that uuid.
func (h *home) withVolume(app, command string, mounts ...platform.Mount) platform.InstanceSpec {
	s := h.spec(command)
	s.App, s.Spec.Mounts = app, mounts
	s.ID = strings.Replace(s.ID, "blog", app, 1)
	return s
}

// startsWithVolume starts it, or skips the test where the machine cannot.
func (h *home) startsWithVolume(s platform.InstanceSpec) runtime.Running {
	h.Helper()
	running, err := h.r.Start(h.ctx, s)
	if errors.Is(err, platform.ErrUnavailable) {
		h.Skipf("this machine has no mounts for instances, and says so: %v", err)
	}
	if err != nil {
		h.Fatalf("Start %s: %v", s.ID, err)
	}
	h.stopAtEnd(s.ID)
	return running
}

func volumeOf(uuid, at string) platform.Mount {
	return platform.Mount{App: uuid, Volume: "data", Path: at}
}

func volumeOutlives(t *testing.T, m Machine) {
	h, _ := open(t, m)
	writer := h.withVolume("blog", `echo kept > /data/note; chmod 600 /data/note; stat -c %a /data; echo written; exec sleep 1000`, volumeOf("u-1", "/data"))
	out := h.printed(h.startsWithVolume(writer), "written")
	if !strings.Contains(out, "700") {
		t.Errorf("others may look into the volume: %q", out)
	}
	h.stop(writer.ID, patience)
	h.exit(writer.ID)
	reader := h.withVolume("blog", `cat /var/kept/note; echo more >> /var/kept/note && echo done; exec sleep 1000`, volumeOf("u-1", "/var/kept"))
	if out := h.printed(h.startsWithVolume(reader), "done"); !strings.Contains(out, "kept") {
		t.Errorf("the next instance found %q", out)
	}
}

func volumeFollows(t *testing.T, m Machine) {
	h, _ := open(t, m)
	before := h.withVolume("blog", `mkdir /data/deep && umask 077 && echo kept > /data/deep/note; ln -s /etc/passwd /data/link; echo written; exec sleep 1000`, volumeOf("u-1", "/data"))
	h.printed(h.startsWithVolume(before), "written")
	h.stop(before.ID, patience)
	h.exit(before.ID)
	// The app has got another id, and with it perhaps another user.
	after := h.withVolume("diary", `cat /data/deep/note && echo more >> /data/deep/note && echo done; exec sleep 1000`, volumeOf("u-1", "/data"))
	if out := h.printed(h.startsWithVolume(after), "done"); !strings.Contains(out, "kept") {
		t.Errorf("under another id it found %q", out)
	}
	// Another app with the first id has nothing of it.
	other := h.withVolume("blog", `ls -A /data; echo end; exec sleep 1000`, volumeOf("u-2", "/data"))
	if out := h.printed(h.startsWithVolume(other), "end"); strings.Contains(out, "deep") {
		t.Errorf("another app found %q", out)
	}
}

func volumeHasOneWriter(t *testing.T, m Machine) {
	h, _ := open(t, m)
	first := h.withVolume("blog", `echo first; exec sleep 1000`, volumeOf("u-1", "/data"))
	h.printed(h.startsWithVolume(first), "first")
	second := h.withVolume("blog", `echo second; exec sleep 1000`, volumeOf("u-1", "/data"))
	if p, ok := h.r.(runtime.Preparer); ok {
		if err := p.Prepare(h.ctx, second); err != nil {
			t.Errorf("it cannot be prepared while another has the volume: %v", err)
		}
	}
	if _, err := h.r.Start(h.ctx, second); !errors.Is(err, platform.ErrBusy) || !strings.Contains(err.Error(), first.ID) {
		_ = h.r.Stop(context.Background(), second.ID, 0)
		t.Fatalf("while another has the volume Start is %v, want one that it is busy and names %s", err, first.ID)
	}
	// Other volumes of the app, and that name of another app, are free.
	free := h.withVolume("blog", `echo free; exec sleep 1000`, platform.Mount{App: "u-1", Volume: "other", Path: "/data"}, volumeOf("u-2", "/more"))
	h.printed(h.startsWithVolume(free), "free")
	h.stop(first.ID, patience)
	h.exit(first.ID)
	h.printed(h.startsWithVolume(second), "second")
}

func volumeHeldByAdopted(t *testing.T, m Machine) {
	before, _ := open(t, m)
	holder := before.withVolume("blog", "echo began; exec sleep 1000", volumeOf("u-1", "/data"))
	before.printed(before.startsWithVolume(holder), "began")
	before.leave()
	h, _ := open(t, m)
	h.image = before.image
	next := h.withVolume("blog", "echo next; exec sleep 1000", volumeOf("u-1", "/data"))
	if _, err := h.r.Start(h.ctx, next); !errors.Is(err, platform.ErrBusy) {
		_ = h.r.Stop(context.Background(), next.ID, 0)
		t.Errorf("while an adopted instance has the volume Start is %v, want one that it is busy", err)
	}
	h.stop(holder.ID, patience)
	h.exit(holder.ID)
	h.printed(h.startsWithVolume(next), "next")
}

func volumeClimbs(t *testing.T, m Machine) {
	h, _ := open(t, m)
	for _, mount := range []platform.Mount{
		{App: "../etc", Volume: "data", Path: "/data"},
		{App: "", Volume: "data", Path: "/data"},
		{App: "u-1", Volume: "../data", Path: "/data"},
		{App: "u-1", Volume: ".", Path: "/data"},
		{App: "u-1", Volume: "data", Path: "/"},
		{App: "u-1", Volume: "data", Path: "/proc/x"},
		{App: "u-1", Volume: "data", Path: "data"},
		{App: "u-1", Volume: "data", Path: "/data/../etc"},
	} {
		s := h.withVolume("blog", "exec sleep 1000", mount)
		if _, err := h.r.Start(h.ctx, s); err == nil {
			t.Errorf("it starts with the mount %+v", mount)
			h.stop(s.ID, 0)
			h.exit(s.ID)
		}
	}
	h.noExit()
}
