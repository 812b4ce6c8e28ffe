package doctor_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/doctor"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/porttest"
	"github.com/slipway-paas/slipway/internal/sandbox"
)

// offer spares the tests the look into the sandbox.
var offer = &sandbox.Offer{Isolation: platform.IsolationSandbox, Cgroup: sandbox.CgroupV2}

func find(t *testing.T, findings []doctor.Finding, name string) doctor.Finding {
	t.Helper()
	i := slices.IndexFunc(findings, func(f doctor.Finding) bool { return f.Name == name })
	if i < 0 {
		t.Fatalf("no finding %q in %+v", name, findings)
	}
	return findings[i]
}

func TestEveryTroubleHasWordsAndOrderIsKept(t *testing.T) {
	options := doctor.Options{State: t.TempDir()}
	first, second := doctor.Run(t.Context(), options), doctor.Run(t.Context(), options)
	for i, f := range first {
		if f.Name == "" || f.Text == "" || f.Status == doctor.OK && f.Cure != "" {
			t.Errorf("%+v", f)
		}
		if second[i].Name != f.Name {
			t.Errorf("%s came second as %s", f.Name, second[i].Name)
		}
	}
	if git := find(t, first, "git"); git.Status != doctor.OK || !strings.HasPrefix(git.Text, "git version 2.") {
		t.Errorf("%+v", git)
	}
}

func TestProgramsThatAreMissingComeWithTheirPackage(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	findings := doctor.Run(t.Context(), doctor.Options{Offer: offer})
	if git := find(t, findings, "git"); git.Status != doctor.Fail || git.Cure != "apt-get install git" {
		t.Errorf("%+v", git)
	}
	if golang := find(t, findings, "buildpack Go"); golang.Status != doctor.Warn || golang.Cure != "apt-get install golang-go" {
		t.Errorf("%+v", golang)
	}
	if doctor.Worst(findings) != doctor.Fail {
		t.Error("the worst is not a failure")
	}
}

func TestAnOldGitIsTooOld(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(bin+"/git", []byte("#!/bin/sh\necho git version 1.8.3.1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	if git := find(t, doctor.Run(t.Context(), doctor.Options{Offer: offer}), "git"); git.Status != doctor.Fail {
		t.Errorf("%+v", git)
	}
}

func TestTheStateDirectoryIsOursAlone(t *testing.T) {
	dir := t.TempDir()
	look := func(path string) doctor.Finding {
		return find(t, doctor.Run(t.Context(), doctor.Options{State: path, Offer: offer}), "state")
	}
	if f := look(dir + "/later/state"); f.Status != doctor.OK {
		t.Errorf("%+v", f)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if f := look(dir); f.Status != doctor.Fail || f.Cure != "chmod go-w "+dir {
		t.Errorf("%+v", f)
	}
	if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if f := look(dir + "/file"); f.Status != doctor.Fail {
		t.Errorf("%+v", f)
	}
	if os.Geteuid() != 0 {
		return
	}
	if err := os.Chown(dir, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if f := look(dir); f.Status != doctor.Fail || !strings.HasPrefix(f.Cure, "chown") {
		t.Errorf("%+v", f)
	}
}

func TestATakenPortNamesWhoHasIt(t *testing.T) {
	ours, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	free, err := porttest.Free(1)
	if err != nil {
		t.Fatal(err)
	}
	findings := doctor.Run(t.Context(), doctor.Options{Offer: offer, Ports: []doctor.Port{
		{"ours", ours.Addr().String()}, {"free", fmt.Sprintf("127.0.0.1:%d", free)}, {"nowhere", "192.0.2.1:1"},
	}})
	if f := find(t, findings, "port ours"); f.Status != doctor.OK || !strings.Contains(f.Text, fmt.Sprintf("pid %d", os.Getpid())) {
		t.Errorf("%+v", f)
	}
	if f := find(t, findings, "port free"); f.Status != doctor.OK || !strings.Contains(f.Text, "free") {
		t.Errorf("%+v", f)
	}
	if f := find(t, findings, "port nowhere"); f.Status != doctor.Fail {
		t.Errorf("%+v", f)
	}
}

func TestAnotherProgramOnAPortIsAFailure(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 to hold a port")
	}
	holder := exec.Command(python, "-u", "-c", "import socket, sys\ns = socket.create_server(('127.0.0.1', 0))\nprint(s.getsockname()[1])\nsys.stdin.read()")
	stdin, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { stdin.Close(); _ = holder.Wait() }()
	var port int
	if _, err := fmt.Fscan(stdout, &port); err != nil {
		t.Fatal(err)
	}
	f := find(t, doctor.Run(t.Context(), doctor.Options{Offer: offer, Ports: []doctor.Port{{"HTTP edge", fmt.Sprintf("127.0.0.1:%d", port)}}}), "port HTTP edge")
	if f.Status != doctor.Fail || !strings.Contains(f.Text, filepath.Base("python3")) || !strings.Contains(f.Cure, fmt.Sprint(holder.Process.Pid)) {
		t.Errorf("%+v", f)
	}
}

func TestAWrongClockIsSeen(t *testing.T) {
	then := func() time.Time { return time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC) }
	if f := find(t, doctor.Run(t.Context(), doctor.Options{Offer: offer, Now: then}), "clock"); f.Status != doctor.Fail {
		t.Errorf("%+v", f)
	}
}

func TestPlanesAreAskedAndReported(t *testing.T) {
	well := true
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readiness" || !well {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	options := doctor.Options{Offer: offer, API: web.URL, Node: &doctor.Node{
		Connected: true,
		Runtime:   platform.RuntimeInfo{Name: "process", Missing: []string{"no bubblewrap: apt-get install bubblewrap"}},
		Problems:  []string{"the registry does not answer"},
	}}
	findings := doctor.Run(t.Context(), options)
	if f := find(t, findings, "api"); f.Status != doctor.OK {
		t.Errorf("%+v", f)
	}
	last := findings[len(findings)-3:]
	if last[0].Status != doctor.OK || last[1].Cure != "apt-get install bubblewrap" || last[2].Status != doctor.Fail {
		t.Errorf("%+v", last)
	}
	well = false
	if f := find(t, doctor.Run(t.Context(), options), "api"); f.Status != doctor.Fail {
		t.Errorf("%+v", f)
	}
	web.Close()
	options.Node.Connected = false
	findings = doctor.Run(t.Context(), options)
	if f := find(t, findings, "api"); f.Status != doctor.Fail || f.Cure != "start it: slipway serve" {
		t.Errorf("%+v", f)
	}
	if f := find(t, findings, "node"); f.Status != doctor.Fail {
		t.Errorf("%+v", f)
	}
}
