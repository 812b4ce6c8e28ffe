package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	// ErrGone says that the process of a Handle does not run any more.
	ErrGone = errors.New("process is gone")
	// ErrDescription says that the description of a process breaks a rule.
	ErrDescription = errors.New("bad process description")
	// errHeld: the process ended before its command could begin.
	errHeld = errors.New("the sandbox ended before its command began")
)

// Sandbox starts confined processes. Safe for concurrent use; it holds
// nothing open.
type Sandbox struct {
	log   *slog.Logger
	offer Offer
	hide  []string
}

// New detects what the machine offers: see Detect. hide are folders no process
// shall see even when they lie below /usr, /etc or /opt, such as the
// platform's state; a Mount from inside them still works.
func New(ctx context.Context, log *slog.Logger, hide ...string) *Sandbox {
	return with(log, Detect(ctx, log), hide...)
}

func with(log *slog.Logger, offer Offer, hide ...string) *Sandbox {
	return &Sandbox{log: log, offer: offer, hide: append([]string{"/etc/slipway"}, hide...)}
}

// Offer returns what the machine offered when the Sandbox was made.
func (s *Sandbox) Offer() Offer { return s.offer }

// Start begins a process and returns once its sandbox stands. The process
// exists, but is held and has run nothing, while recorded is called with its
// handle; when recorded fails, or the platform dies in it, the process ends
// without having begun. recorded may be nil.
//
// The process does not end with the platform: its session is its own, and it
// holds nothing of the platform's but Stdin, Stdout and Stderr.
func (s *Sandbox) Start(p Process, recorded func(Handle) error) (*Confined, error) {
	if err := s.check(p); err != nil {
		return nil, err
	}
	group, err := s.offer.cgroups.make(p.Name, p.Limits)
	if err != nil {
		return nil, fmt.Errorf("control group of %s: %w", p.Name, err)
	}
	c, err := s.startIn(group, p, recorded)
	if err != nil {
		group.kill()
		group.remove()
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	return c, nil
}

func (s *Sandbox) startIn(group cgroup, p Process, recorded func(Handle) error) (*Confined, error) {
	status, err := os.OpenFile(p.Status, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer status.Close()
	h, err := s.hold(p, status)
	if err != nil {
		return nil, err
	}
	defer h.close()
	handle := Handle{
		Name: p.Name, Pid: h.pid, Boot: bootID(), UID: p.UID, Status: p.Status, Mode: string(s.offer.mode),
		Terminal: p.Terminal, Rooted: p.Root != "", Cgroups: group.dirs, MemoryBytes: p.Limits.MemoryBytes, Mounts: h.seen,
	}
	if err := s.bound(h.pid, group, p, &handle); err != nil {
		return nil, h.abort(err)
	}
	if recorded != nil {
		if err := recorded(handle); err != nil {
			return nil, h.abort(err)
		}
	}
	first, err := h.release()
	if err != nil {
		return nil, h.abort(err)
	}
	return watch(s.log, handle, group, h.takePidfd(), first), nil
}

// bound puts a held process into its group and under its limits, all of which
// its children inherit.
func (s *Sandbox) bound(pid int, group cgroup, p Process, handle *Handle) error {
	var err error
	if handle.Start, err = startTime(pid); err != nil {
		return err
	}
	if err := group.add(pid); err != nil {
		return err
	}
	return limit(pid, p)
}

var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{0,199}$`)

func (s *Sandbox) check(p Process) error {
	switch {
	case !validName.MatchString(p.Name):
		return fmt.Errorf("%w: name %q", ErrDescription, p.Name)
	case len(p.Argv) == 0:
		return fmt.Errorf("%w: %s has no command", ErrDescription, p.Name)
	case s.offer.Root && p.UID <= 0:
		return fmt.Errorf("%w: %s needs a uid of its own", ErrDescription, p.Name)
	case p.GID < 0 || p.GID != 0 && p.Root == "":
		return fmt.Errorf("%w: %s has the group %d", ErrDescription, p.Name, p.GID)
	case p.Terminal && p.Stdin == nil:
		return fmt.Errorf("%w: %s has a terminal and no stdin", ErrDescription, p.Name)
	case p.Status == "":
		return fmt.Errorf("%w: %s has no status file", ErrDescription, p.Name)
	}
	for _, text := range append(append([]string{p.Dir}, p.Argv...), p.Env...) {
		if strings.ContainsRune(text, 0) {
			return fmt.Errorf("%w: %s has a zero byte in its arguments or environment", ErrDescription, p.Name)
		}
	}
	for _, m := range p.Mounts {
		if !filepath.IsAbs(m.Source) || !filepath.IsAbs(m.Target) || strings.ContainsRune(m.Source+m.Target, 0) {
			return fmt.Errorf("%w: %s mounts %q at %q", ErrDescription, p.Name, m.Source, m.Target)
		}
	}
	if p.Root != "" {
		return s.checkRoot(p)
	}
	return nil
}
