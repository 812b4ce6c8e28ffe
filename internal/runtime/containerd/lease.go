package containerd

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/leases"
)

// labelOwner names the process a lease belongs to: its id, and when it began.
const labelOwner = "io.slipway.owner"

// lease keeps containerd from collecting what is being made until release.
func (e *engine) lease(ctx context.Context) (leased context.Context, release func(), err error) {
	leased, done, err := e.client.WithLease(ctx, leases.WithRandomID(), leases.WithExpiration(24*time.Hour),
		leases.WithLabel(labelOwner, owner(os.Getpid())))
	if err != nil {
		return nil, nil, err
	}
	return leased, func() { _ = done(context.WithoutCancel(ctx)) }, nil
}

// dropLeases ends those of processes that are gone. A node that hands over may
// be in the middle of a start, and keeps its own.
func (e *engine) dropLeases(ctx context.Context) error {
	left, err := e.client.LeasesService().List(ctx)
	if err != nil {
		return err
	}
	var opts []leases.DeleteOpt
	for n, lease := range left {
		var pid int
		_, _ = fmt.Sscanf(lease.Labels[labelOwner], "%d", &pid)
		if pid != 0 && owner(pid) == lease.Labels[labelOwner] {
			continue
		}
		if n == len(left)-1 {
			opts = []leases.DeleteOpt{leases.SynchronousDelete} // and collect what they kept
		}
		_ = e.client.LeasesService().Delete(ctx, lease, opts...)
	}
	return nil
}

// owner tells a process from later ones with its id: proc(5), stat.
func owner(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	const startTime = 22 - 3 // after the name, counted from the state
	if len(fields) <= startTime {
		return ""
	}
	return fmt.Sprintf("%d-%s", pid, fields[startTime])
}
