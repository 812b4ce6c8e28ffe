package main

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// keepCertificate sets the edge again whenever its certificate has to change:
// once a day, so that it is renewed before it ends, and when an app comes whose
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
	day := time.NewTicker(24 * time.Hour)
	defer day.Stop()
	for {
		if err := p.setEdge(ctx, o); err != nil {
			log.Warn("the edge's certificate was not renewed", "err", err)
		}
		listed := strings.Join(p.certificateHosts(o), " ")
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return
			case <-day.C:
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
