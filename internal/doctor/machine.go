package doctor

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/sandbox"
)

// machine asks the sandbox what keeps apps apart here, and within bounds.
func machine(ctx context.Context, o Options) []Finding {
	offer := o.Offer
	if offer == nil {
		found := sandbox.Detect(ctx, slog.New(slog.DiscardHandler))
		offer = &found
	}
	found := []Finding{isolation(offer.Isolation)}
	if offer.Cgroup != sandbox.CgroupNone {
		found = append(found, Finding{"limits", OK, fmt.Sprintf("memory, cpu and processes are limited by control groups v%d", offer.Cgroup), ""})
	}
	for _, missing := range offer.Missing {
		found = append(found, lacking("machine", missing))
	}
	return found
}

// lacking is a finding of what the sandbox says in one line: the lack, a
// colon, the cure.
func lacking(name, line string) Finding {
	i := strings.LastIndex(line, ": ")
	if i < 0 {
		return Finding{name, Warn, line, ""}
	}
	return Finding{name, Warn, line[:i], line[i+2:]}
}

func isolation(kind platform.Isolation) Finding {
	f := Finding{Name: "isolation", Status: OK}
	switch kind {
	case platform.IsolationContainer:
		f.Text = "each instance runs in a container"
	case platform.IsolationSandbox:
		f.Text = "each instance has its own mount, pid and ipc namespaces"
		if os.Geteuid() == 0 {
			f.Text += " and its own user"
		}
	case platform.IsolationUser:
		f.Status, f.Text = Warn, "instances have their own user, and see the machine's files and processes"
		f.Cure = "apt-get install bubblewrap"
	default:
		f.Status, f.Text = Fail, "instances can read one another and the platform's state: run only code you trust"
		f.Cure = "apt-get install bubblewrap, and run as root"
	}
	return f
}

func kernel(context.Context, Options) []Finding {
	var found []Finding
	systems, err := os.ReadFile("/proc/filesystems")
	switch {
	case err != nil:
		found = append(found, Finding{"overlay", Warn, "no /proc/filesystems here: " + err.Error(), "mount -t proc proc /proc"})
	case strings.Contains(string(systems), "\toverlay\n"):
		found = append(found, Finding{"overlay", OK, "the kernel has overlayfs: instances share a slug's files", ""})
	default:
		found = append(found, Finding{"overlay", Warn, "the kernel has no overlayfs: every instance copies its slug", "modprobe overlay"})
	}
	return append(found, userNamespaces())
}

func userNamespaces() Finding {
	switch {
	case os.Geteuid() == 0:
		return Finding{"namespaces", OK, "running as root: user namespaces are not needed", ""}
	case number("/proc/sys/user/max_user_namespaces") == 0:
		return Finding{"namespaces", Warn, "user namespaces are turned off, and this is not root", "sysctl -w user.max_user_namespaces=15000"}
	case number("/proc/sys/kernel/unprivileged_userns_clone") == 0:
		return Finding{"namespaces", Warn, "only root may make user namespaces", "sysctl -w kernel.unprivileged_userns_clone=1"}
	case number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") > 0:
		return Finding{"namespaces", Warn, "AppArmor restricts user namespaces", "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"}
	}
	return Finding{"namespaces", OK, "user namespaces may be made", ""}
}

// number reads a file that holds one; -1 when there is none.
func number(path string) int {
	data, err := os.ReadFile(path)
	if err != nil {
		return -1
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return -1
	}
	return n
}

const (
	fewDescriptors  = 8192
	tinyDescriptors = 1024
)

func descriptors(context.Context, Options) []Finding {
	const name, cure = "files", "ulimit -n 65536, or LimitNOFILE=65536 in the service"
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return one(name, Warn, "the limit of open files cannot be read: "+err.Error(), "")
	}
	// Go raises the soft limit to the hard one when it starts.
	text := fmt.Sprintf("a process may open %d files, two a proxied connection", limit.Max)
	switch {
	case limit.Max < tinyDescriptors:
		return one(name, Fail, text, cure)
	case limit.Max < fewDescriptors:
		return one(name, Warn, text, cure)
	}
	return one(name, OK, text, "")
}

// notBefore is a time this code did not exist yet.
var notBefore = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// staUnsync is STA_UNSYNC of adjtimex(2).
const staUnsync = 0x40

func clock(_ context.Context, o Options) []Finding {
	const name, cure = "clock", "timedatectl set-ntp true"
	now := o.Now()
	if now.Before(notBefore) {
		return one(name, Fail, fmt.Sprintf("the clock says %s: certificates and releases get wrong dates", now.UTC().Format(time.DateTime)), cure)
	}
	if info, err := os.Stat(o.State); err == nil && o.State != "" && info.ModTime().After(now.Add(time.Hour)) {
		return one(name, Warn, fmt.Sprintf("%s was changed at %s, which is in the future", o.State, info.ModTime().UTC().Format(time.DateTime)), cure)
	}
	var adjust syscall.Timex
	if _, err := syscall.Adjtimex(&adjust); err == nil && adjust.Status&staUnsync != 0 {
		return one(name, Warn, "the clock is sane and nothing keeps it so: it is not synchronised", cure)
	}
	return one(name, OK, "the clock is sane", "")
}
