package doctor

import (
	"context"
	"sync"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/sandbox"
)

// Status is how a finding stands.
type Status string

// Warn costs something and leaves the platform running; Fail keeps it, or a
// part that users need, from working.
const (
	OK   Status = "ok"
	Warn Status = "warn"
	Fail Status = "fail"
)

// Finding is one thing that was looked at. Cure is what to do, most often a
// command to paste; it is empty when there is nothing to do.
type Finding struct {
	Name   string
	Status Status
	Text   string
	Cure   string
}

// Options says where to look. What is zero is not looked at.
type Options struct {
	// State is the platform's state directory.
	State string
	// Ports are the addresses the platform listens on, or is about to.
	Ports []Port
	// API is the base URL of a control plane that should answer.
	API string
	// Node is what the control plane knows of its node.
	Node *Node
	// Offer is what this machine was found to offer, when somebody has asked
	// already. Nil: it is found out, in some tens of milliseconds.
	Offer *sandbox.Offer
	// Dockerfiles says why this machine builds none; nil from it: it does.
	Dockerfiles func() *platform.UserError
	// Now is the clock to judge; nil means the machine's.
	Now func() time.Time
}

// Port is an address to listen on and what for, such as {"HTTP edge", ":8080"}.
type Port struct{ Name, Address string }

// Node is a node as the control plane sees it.
type Node struct {
	Connected bool
	Runtime   platform.RuntimeInfo
	// Problems are the node's own words for what keeps it from its work.
	Problems []string
}

// checkTimeout bounds each check: a program that hangs is a finding as well.
const checkTimeout = 10 * time.Second

// Run looks at everything and returns what it found, always in the same order.
// It changes nothing, and takes a second at most on a machine that is well.
func Run(ctx context.Context, o Options) []Finding {
	if o.Now == nil {
		o.Now = time.Now
	}
	checks := []func(context.Context, Options) []Finding{
		git, toolchains, dockerfiles, machine, kernel, state, disk, ports, descriptors, clock, apiAnswers, node,
	}
	found := make([][]Finding, len(checks))
	var running sync.WaitGroup
	for i, check := range checks {
		running.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, checkTimeout)
			defer cancel()
			found[i] = check(ctx, o)
		})
	}
	running.Wait()
	var all []Finding
	for _, findings := range found {
		all = append(all, findings...)
	}
	return all
}

// Worst is the worst status of all findings.
func Worst(findings []Finding) Status {
	worst := OK
	for _, f := range findings {
		if f.Status == Fail || f.Status == Warn && worst == OK {
			worst = f.Status
		}
	}
	return worst
}

func one(name string, status Status, text, cure string) []Finding {
	return []Finding{{Name: name, Status: status, Text: text, Cure: cure}}
}
