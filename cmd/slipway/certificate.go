package main

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// edgePause is the time between two looks at whether the edge's certificate and
// the keys of session tickets, which are for an hour each, are to be renewed.
const edgePause = 10 * time.Minute

// keepCertificate sets the edge again whenever its certificate has to change:
// now and then, so that it is renewed before it ends, and when an app comes whose
// name no wildcard stands for. It blocks until ctx ends.
func (p *plane) keepCertificate(ctx context.Context, log *slog.Logger, o *options) {
	came := make(chan struct{}, 1)
	go func() {
		for range p.fleet.Changes(ctx) {
			select {
			case came <- struct{}{}:
			default:
			}
		}
	}()
	tick := time.NewTicker(edgePause)
	defer tick.Stop()
	for {
		if err := p.setEdge(ctx, o); err != nil {
			log.Warn("the edge's certificate was not renewed", "err", err)
		}
		listed := strings.Join(p.certificateHosts(o), " ")
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				waiting = false
			case <-came:
				waiting = strings.Join(p.certificateHosts(o), " ") == listed
			}
		}
	}
}

// certificateHosts are the names the certificate lists besides the domain and
// its wildcard: every one when the domain is a single label such as localhost,
// because OpenSSL, and so curl, takes no wildcard there.
func (p *plane) certificateHosts(o *options) []string {
	if strings.Contains(o.Domain, ".") {
		return nil
	}
	hosts := []string{"slipway." + o.Domain, "deis." + o.Domain, "git." + o.Domain, "registry." + o.Domain}
	for _, app := range p.fleet.Apps() {
		hosts = append(hosts, app+"."+o.Domain)
	}
	slices.Sort(hosts)
	return hosts
}
