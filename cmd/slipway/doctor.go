package main

import (
	"context"
	"os"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/builder/dockerfile"
	"github.com/slipway-paas/slipway/internal/doctor"
	"github.com/slipway-paas/slipway/internal/fleet"
	"github.com/slipway-paas/slipway/internal/sandbox"
)

// examine is what the control plane answers an admin who asks what is wrong.
func examine(ctx context.Context, o *options, f *fleet.Fleet, offer sandbox.Offer) []doctor.Finding {
	seen := &doctor.Node{Problems: f.Problems()}
	for _, n := range f.Nodes() {
		seen.Connected = seen.Connected || n.Connected
		seen.Runtime = n.Runtime
		seen.Problems = append(seen.Problems, n.Problems...)
	}
	return doctor.Run(ctx, doctor.Options{State: o.State, Ports: o.ports(), Node: seen, Offer: &offer, Dockerfiles: dockerfile.Check})
}

// ports are the doors of both planes.
func (o *options) ports() []doctor.Port {
	return []doctor.Port{{Name: "HTTP edge", Address: o.HTTP}, {Name: "API", Address: o.API}, {Name: "git over SSH", Address: o.SSH}, {Name: "registry", Address: o.Registry}}
}

// localDoctor is what `slipway doctor` says of this machine by itself.
func localDoctor(ctx context.Context) []api.Finding {
	o := options{State: stateFromEnvironment()}
	options := doctor.Options{Dockerfiles: dockerfile.Check}
	if _, err := os.Stat(o.State); err == nil {
		options.State = o.State
		if said, ok := readAnnouncement(&o); ok {
			options.API = "http://" + said.API
		}
	}
	var findings []api.Finding
	for _, f := range doctor.Run(ctx, options) {
		findings = append(findings, api.Finding{Name: f.Name, Status: string(f.Status), Text: f.Text, Cure: f.Cure})
	}
	return findings
}
