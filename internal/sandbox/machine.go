package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/platform"
)

// CgroupVersion is the kind of control groups the machine lets us make.
type CgroupVersion int

// CgroupNone: limits of memory and cpu are not kept.
const (
	CgroupNone CgroupVersion = 0
	CgroupV1   CgroupVersion = 1
	CgroupV2   CgroupVersion = 2
)

// Offer is what this machine can do for a confined process.
type Offer struct {
	Isolation platform.Isolation
	Cgroup    CgroupVersion
	Root      bool
	// Missing says in words what is not there and what that costs, each with
	// its cure, one a line. Empty: everything is there.
	Missing []string

	mode    mode
	cgroups cgroupHost
}

// mode is how a process is confined.
type mode string

const (
	// modeRoot: own mount namespace made here, bubblewrap as root inside it, own uid.
	modeRoot mode = "root"
	// modeUser: bubblewrap with a user namespace; the uid stays the platform's.
	modeUser mode = "user"
	// modePlain: a process group; own uid where the platform is root.
	modePlain mode = "plain"
)

// Detect finds out what this machine offers by really starting a process in
// it. It takes some tens of milliseconds and leaves nothing behind.
func Detect(ctx context.Context, log *slog.Logger) Offer {
	offer := Offer{Isolation: platform.IsolationNone, Root: os.Geteuid() == 0, mode: modePlain}
	offer.cgroups = findCgroups()
	offer.Cgroup = offer.cgroups.version
	if missing := offer.cgroups.missing(); missing != "" {
		offer.Missing = append(offer.Missing, missing)
	}
	for _, program := range []struct{ name, deb string }{{"setpriv", "util-linux"}, {"setsid", "util-linux"}, {"env", "coreutils"}, {"sh", "dash"}, {"bash", "bash"}} {
		if _, err := lookPath(program.name); err != nil {
			offer.Missing = append(offer.Missing, fmt.Sprintf("%s is not installed: apt-get install %s", program.name, program.deb))
		}
	}
	if why := offer.tryBubblewrap(ctx, log); why != "" {
		offer.Missing = append(offer.Missing, why)
		offer.mode = modePlain
		if offer.Root {
			offer.Isolation = platform.IsolationUser
		}
	}
	return offer
}

// tryBubblewrap sets the mode to the first with bubblewrap that works, or says
// why none does.
func (o *Offer) tryBubblewrap(ctx context.Context, log *slog.Logger) string {
	if _, err := lookPath("bwrap"); err != nil {
		return "bubblewrap is not installed, apps can see the machine's files and processes: apt-get install bubblewrap"
	}
	o.mode, o.Isolation = modeUser, platform.IsolationSandbox
	if o.Root {
		o.mode = modeRoot
	}
	err := o.try(ctx, log)
	if err == nil {
		return ""
	}
	o.Isolation = platform.IsolationNone
	if o.Root {
		return fmt.Sprintf("bubblewrap does not work here (%v): give the platform CAP_SYS_ADMIN, in a container with --privileged", err)
	}
	return fmt.Sprintf("bubblewrap does not work here (%v): run as root, or allow user namespaces with sysctl -w kernel.unprivileged_userns_clone=1 and kernel.apparmor_restrict_unprivileged_userns=0", err)
}

// try runs /bin/true with everything an app gets.
func (o *Offer) try(ctx context.Context, log *slog.Logger) error {
	box := with(log, *o)
	forgetProbes(box)
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", probe, os.Getpid()))
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, sub := range []string{"/tree", "/scratch"} {
		if err := os.Mkdir(dir+sub, 0o755); err != nil {
			return err
		}
	}
	const nobody = 65534
	if o.Root {
		if err := os.Chown(dir+"/tree", nobody, nobody); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var said strings.Builder
	exit, err := box.Run(ctx, Process{
		Name: filepath.Base(dir), Status: filepath.Join(dir, "status"), Argv: []string{"sh", "-c", "echo well > /app/written && read _ < /proc/self/stat"},
		Env: []string{"PATH=/usr/bin:/bin"}, Dir: "/app", UID: nobody,
		Mounts: []Mount{{Source: dir + "/tree", Target: "/app", Scratch: dir + "/scratch"}},
	}, Streams{Stdout: &said, Stderr: &said})
	if err == nil && exit.Code != 0 {
		err = fmt.Errorf("exit code %d", exit.Code)
	}
	if err != nil {
		return errors.New(strings.Join(strings.Fields(said.String()+" "+err.Error()), " "))
	}
	return nil
}

const probe = "slipway-probe-"

// forgetProbes removes what a platform killed in the middle of its own try left.
func forgetProbes(box *Sandbox) {
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), probe+"*"))
	for _, dir := range left {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), probe), "-")
		if _, err := os.Stat("/proc/" + pid); pid == "" || err == nil {
			continue
		}
		box.Clear(filepath.Base(dir))
		os.RemoveAll(dir)
	}
}

// lookPath finds a program of the machine, in the system's folders even when
// the platform was started with a poor PATH.
func lookPath(name string) (string, error) {
	for _, dir := range []string{"/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"} {
		if unix.Access(dir+"/"+name, unix.X_OK) == nil {
			return dir + "/" + name, nil
		}
	}
	return exec.LookPath(name)
}
