package containerd

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/platform"
)

// The default of images that say nothing.
const programs = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment is what an instance sees: the app's config over the image's own
// over ours. PORT is always ours, and a slug's HOME.
func environment(spec platform.Spec, img image, in insides) []string {
	env := map[string]string{"PATH": programs, "HOME": in.home}
	if in.name != "" {
		env["USER"] = in.name
	}
	if img.isSlug() {
		env["LANG"], env["SHELL"], env["USER"], env["LOGNAME"] = "C.UTF-8", "/bin/bash", "app", "app"
	}
	for _, entry := range img.config.Env {
		if key, value, ok := strings.Cut(entry, "="); ok {
			env[key] = value
		}
	}
	maps.Copy(env, spec.Env)
	if img.isSlug() {
		env["HOME"], env["TMPDIR"] = "/app", "/tmp"
	}
	if spec.Port {
		env["PORT"] = strconv.Itoa(listenPort(spec))
	}
	for _, port := range spec.Ports {
		env[fmt.Sprintf("PORT_%d", port)] = strconv.Itoa(port)
	}
	var entries []string
	for _, key := range slices.Sorted(maps.Keys(env)) {
		if key != "" && !strings.Contains(key, "=") {
			entries = append(entries, key+"="+env[key])
		}
	}
	return entries
}

// command is what an instance runs: see platform.Spec.
func command(spec platform.Spec, img image, in insides) ([]string, error) {
	entrypoint, args := spec.Entrypoint, spec.Args
	if entrypoint == nil {
		entrypoint = img.config.Entrypoint
		if args == nil {
			args = img.config.Cmd
		}
	} else if shell, ok := in.shell(entrypoint[0]); slices.Contains(shells, entrypoint[0]) {
		if !ok {
			return nil, errNoShell
		}
		entrypoint = append([]string{shell}, entrypoint[1:]...)
	}
	argv := append(slices.Clone(entrypoint), args...)
	if len(argv) == 0 || argv[0] == "" {
		return nil, platform.Invalid("image", "the image says neither ENTRYPOINT nor CMD: say what to run in a Procfile")
	}
	return argv, nil
}

// shell is the wanted shell of an image, or the one that stands in for it.
func (in insides) shell(wanted string) (string, bool) {
	for _, shell := range append([]string{wanted}, shells...) {
		if in.has[shell] {
			return shell, true
		}
	}
	return "", false
}

var errNoShell error = &platform.UserError{
	Kind:    platform.ErrInvalid,
	Message: "the image has no shell; a command line cannot be run in it",
	Cure:    "Add /bin/sh to the image, or let its ENTRYPOINT and CMD say what to run and declare no command line for the process type.",
}

// plan is all that a container's OCI specification is made of.
type plan struct {
	id, hostname string
	argv, env    []string
	cwd          string
	in           insides
	spec         platform.Spec
	volumes      []specs.Mount
	dir          string // of this copy
	cgroup       string
	group        string
	terminal     bool
	dns          []byte
	addr         netip.Addr
}

// ociSpec says all of it: runtime-spec 1.0, for runc.
func (p plan) ociSpec(ctx context.Context) (*specs.Spec, error) {
	s, err := oci.GenerateSpec(ctx, nil, &containers.Container{ID: p.id},
		oci.WithoutRunMount, oci.WithHostname(p.hostname), seccomp.WithDefaultProfile())
	if err != nil {
		return nil, err
	}
	s.Root = &specs.Root{Path: "rootfs", Readonly: p.spec.ReadOnly}
	s.Process.Args, s.Process.Env, s.Process.Cwd, s.Process.Terminal = p.argv, p.env, p.cwd, p.terminal
	s.Process.User = specs.User{UID: uint32(p.in.uid), GID: uint32(p.in.gid)}
	for _, group := range p.in.groups {
		s.Process.User.AdditionalGids = append(s.Process.User.AdditionalGids, uint32(group))
	}
	s.Process.NoNewPrivileges = true
	s.Process.Capabilities = capabilities(p.in.uid)
	s.Process.Rlimits = rlimits()
	s.Linux.CgroupsPath = p.cgroup
	s.Linux.Resources = resources(p.spec.Limits, s.Linux.Resources)
	s.Linux.Sysctl = sysctls()
	s.Mounts = append(s.Mounts, p.mounts()...)
	s.Annotations = map[string]string{"io.containerd.runc.v2.group": p.group}
	return s, nil
}

// capabilities are Docker's defaults but for raw sockets and devices; a user
// other than root has none.
func capabilities(uid int) *specs.LinuxCapabilities {
	all := []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP",
		"CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE", "CAP_MKNOD",
	}
	if uid != 0 {
		return &specs.LinuxCapabilities{Bounding: all}
	}
	return &specs.LinuxCapabilities{Bounding: all, Permitted: all, Effective: all}
}

const maxOpenFiles = 1 << 20

// rlimits: many files, as far as this machine lets anybody have, and no core dumps.
func rlimits() []specs.POSIXRlimit {
	limits := []specs.POSIXRlimit{{Type: "RLIMIT_CORE"}}
	var own unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &own) == nil {
		most := min(own.Max, maxOpenFiles)
		limits = append(limits, specs.POSIXRlimit{Type: "RLIMIT_NOFILE", Hard: most, Soft: min(most, 1<<16)})
	}
	return limits
}

// sysctls of the instance's own network: IPv4 alone, and ports below 1024 for
// everybody in it, as with Docker.
func sysctls() map[string]string {
	all := map[string]string{"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
	if _, err := os.Stat("/proc/sys/net/ipv6/conf/all/disable_ipv6"); err == nil {
		all["net.ipv6.conf.all.disable_ipv6"], all["net.ipv6.conf.default.disable_ipv6"] = "1", "1"
	}
	return all
}

const (
	cpuPeriodMicros  = 100_000
	defaultProcesses = 4096
)

// resources are the limits, for control groups of both versions.
func resources(limits platform.Limits, base *specs.LinuxResources) *specs.LinuxResources {
	if base == nil {
		base = &specs.LinuxResources{}
	}
	processes := cmp.Or(limits.Processes, defaultProcesses)
	base.Pids = &specs.LinuxPids{Limit: &processes}
	if limits.MemoryBytes > 0 {
		base.Memory = &specs.LinuxMemory{Limit: &limits.MemoryBytes}
		if hasSwapLimit() {
			base.Memory.Swap = &limits.MemoryBytes // memory and swap together
		}
		if unified() {
			base.Unified = map[string]string{"memory.oom.group": "1"}
		}
	}
	if limits.MilliCPU > 0 {
		period, quota := uint64(cpuPeriodMicros), max(1000, limits.MilliCPU*cpuPeriodMicros/1000)
		base.CPU = &specs.LinuxCPU{Period: &period, Quota: &quota}
	}
	return base
}

// mounts are what an instance sees besides its image.
func (p plan) mounts() []specs.Mount {
	bind := func(source, target string, options ...string) specs.Mount {
		return specs.Mount{Type: "bind", Source: source, Destination: target, Options: append([]string{"rbind", "rprivate", "nosuid", "nodev"}, options...)}
	}
	all := []specs.Mount{bind(filepath.Join(p.dir, "tmp"), "/tmp", "rw")}
	for _, name := range files {
		all = append(all, bind(filepath.Join(p.dir, name), "/etc/"+name, "rw"))
	}
	return append(all, p.volumes...)
}

// files are those of /etc that say where an instance is.
var files = []string{"hosts", "resolv.conf", "hostname"}

// write makes what the mounts of a copy lead to.
func (p plan) write() error {
	if err := os.MkdirAll(p.dir, 0o711); err != nil {
		return err
	}
	tmp := filepath.Join(p.dir, "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o777|os.ModeSticky); err != nil {
		return err
	}
	hosts := "127.0.0.1\tlocalhost\n" + p.addr.String() + "\t" + p.hostname + "\n"
	for name, text := range map[string]string{"hosts": hosts, "hostname": p.hostname + "\n", "resolv.conf": string(p.dns)} {
		file := filepath.Join(p.dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil { //nolint:gosec // the instance reads it as its own user
			return err
		}
		if err := os.Chmod(file, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// nameservers is the machine's resolv.conf without servers of its own loopback,
// which an instance would look for in itself.
func nameservers() []byte {
	var kept, lost []string
	for _, file := range []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"} {
		text, _ := os.ReadFile(file)
		kept, lost = nil, nil
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) < 2 || strings.HasPrefix(fields[0], "#") {
				continue
			}
			if addr, err := netip.ParseAddr(fields[1]); fields[0] == "nameserver" && (err != nil || addr.IsLoopback() || !addr.Is4()) {
				lost = append(lost, fields[1])
				continue
			}
			kept = append(kept, strings.Join(fields, " "))
		}
		if slices.ContainsFunc(kept, func(line string) bool { return strings.HasPrefix(line, "nameserver") }) || len(lost) == 0 {
			break
		}
	}
	return []byte(strings.Join(kept, "\n") + "\n")
}

// workingDir is the image's, absolute.
func workingDir(img image) string {
	if img.config.WorkingDir == "" && img.isSlug() {
		return "/app"
	}
	return path.Join("/", img.config.WorkingDir)
}
