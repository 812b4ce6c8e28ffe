package node

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// What a node cannot have as it is meant, it refuses app by app and certificate
// by certificate: those stay as they were, and nobody else waits for them. The
// whole of a state is refused only when its format is a newer one, or when it
// makes no sense as a whole.

// told is a state as it came, each app and certificate of it read for itself.
type told struct {
	platform.NodeState
	garbled map[string]string // what made no sense, and why: see state.Refused
}

// UnmarshalJSON fails when there is no telling whom a part is about.
func (t *told) UnmarshalJSON(data []byte) error {
	var parts struct {
		platform.NodeState
		Apps         []readAlone[platform.AppState]        `json:"apps"`
		Certificates []readAlone[platform.EdgeCertificate] `json:"certificates"`
	}
	if err := json.Unmarshal(data, &parts); err != nil {
		return err
	}
	t.NodeState, t.garbled = parts.NodeState, make(map[string]string)
	for _, part := range parts.Apps {
		if part.why != "" {
			part.value = platform.AppState{App: part.name}
			t.garbled[part.name] = part.why
		}
		t.Apps = append(t.Apps, part.value)
	}
	for _, part := range parts.Certificates {
		if part.why != "" {
			part.value = platform.EdgeCertificate{Name: part.name}
			t.garbled[certificateMark+part.name] = part.why
		}
		t.Certificates = append(t.Certificates, part.value)
	}
	return nil
}

// readAlone is a value whose faults are its own.
type readAlone[T any] struct {
	value     T
	name, why string // when it has faults
}

func (r *readAlone[T]) UnmarshalJSON(data []byte) error {
	err := json.Unmarshal(data, &r.value)
	if err == nil {
		return nil
	}
	var named struct{ App, Name string }
	if json.Unmarshal(data, &named) != nil || cmp.Or(named.App, named.Name) == "" {
		return err
	}
	r.name, r.why = cmp.Or(named.App, named.Name), "it cannot be read: "+err.Error()
	return nil
}

// sift is what of t can be had after s, and what is refused, by the keys of
// state.Refused: instead of that the result has what is served. An error says
// why nothing of it can be had.
func (s state) sift(t told) (good platform.NodeState, refused map[string]platform.Refusal, err error) {
	good, refused = t.NodeState, make(map[string]platform.Refusal)
	if good.Format > platform.StateFormat {
		return good, nil, errors.New(newerFormat(good.Format))
	}
	refuse := func(key, app, why string) {
		refused[key] = platform.Refusal{App: app, Version: good.Version, Why: why}
	}
	for i, app := range good.Apps {
		if app.App == "" {
			return good, nil, errors.New("an app in it has no name")
		}
		before := s.Apps[app.App]
		if why := cmp.Or(t.garbled[app.App], wrongWith(before, app)); why != "" {
			refuse(app.App, app.App, why)
			good.Apps[i] = served(app, before, t.garbled[app.App] != "")
		}
	}
	var certificates []platform.EdgeCertificate
	for _, c := range good.Certificates {
		before, known := s.Certificates[c.Name]
		why := t.garbled[certificateMark+c.Name]
		if why == "" && (!known || !platform.Same(before, c)) {
			why = wordsOf(router.Check(nil, []platform.EdgeCertificate{c}))
		}
		switch {
		case why == "":
			certificates = append(certificates, c)
		case known:
			certificates = append(certificates, before)
			fallthrough
		default:
			refuse(certificateMark+c.Name, "", why)
		}
	}
	good.Certificates = certificates
	return good, refused, nil
}

func newerFormat(n int) string {
	return fmt.Sprintf("it has format %d and this node reads up to %d: run the node of the same version as the control plane", n, platform.StateFormat)
}

func wordsOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// wrongWith says why an app cannot be had as it is told; empty: it can. What
// differs from what is served is looked at.
func wrongWith(before, app platform.AppState) string {
	switch {
	case app.Format > platform.StateFormat:
		return newerFormat(app.Format)
	case app.Route == nil:
		return ""
	case app.Route.App != app.App:
		return fmt.Sprintf("the route of app %s is told as one of %q", app.App, app.Route.App)
	case before.Route != nil && platform.Same(*before.Route, *app.Route):
		return ""
	}
	return wordsOf(router.Check([]platform.Route{*app.Route}, nil))
}

// served is a refused app: its last good routes, the instances that it shall
// have, and those that the routes lead to for as long as their process type is
// wanted at all. Of one that is unclear everything stays.
func served(told, before platform.AppState, unclear bool) platform.AppState {
	if before.App = told.App; unclear || told.Format > platform.StateFormat {
		return before
	}
	kept := platform.AppState{App: told.App, Instances: slices.Clone(told.Instances), Route: before.Route}
	if before.Route == nil {
		return kept
	}
	stays := func(i platform.InstanceSpec) bool {
		return !slices.ContainsFunc(told.Instances, func(t platform.InstanceSpec) bool { return t.ID == i.ID }) &&
			slices.ContainsFunc(told.Instances, func(t platform.InstanceSpec) bool { return t.Process == i.Process }) &&
			slices.ContainsFunc(before.Route.Backends, func(b platform.Backend) bool { return b.Instance == i.ID })
	}
	for _, i := range before.Instances {
		if stays(i) {
			kept.Instances = append(kept.Instances, i)
		}
	}
	return kept
}

// refusedAfter is what is refused after news, of which changed apps differ.
func (s state) refusedAfter(news platform.NodeState, changed []string, refused map[string]platform.Refusal) map[string]platform.Refusal {
	next := maps.Clone(s.Refused)
	for _, id := range changed {
		delete(next, id)
	}
	maps.DeleteFunc(next, func(key string, _ platform.Refusal) bool {
		name, is := strings.CutPrefix(key, certificateMark)
		return is && (news.Full || slices.Contains(news.CertificatesGone, name) ||
			slices.ContainsFunc(news.Certificates, func(c platform.EdgeCertificate) bool { return c.Name == name }))
	})
	if next == nil {
		return refused
	}
	maps.Copy(next, refused)
	return next
}

// maxRefused bounds what of the refused a report has.
const maxRefused = 1000

// refusedApps are those of apps, for a report.
func (s state) refusedApps() (all []platform.Refusal) {
	for _, id := range slices.Sorted(maps.Keys(s.Refused)) {
		if r := s.Refused[id]; r.App != "" && len(all) < maxRefused {
			all = append(all, r)
		}
	}
	return all
}

// tellRefused says what is refused where people look: in the log of each app, in
// the node's own and among its problems.
func (p *puller) tellRefused(old, next state) {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(next.Refused)) {
		r, before := next.Refused[key], old.Refused[key]
		what := cmp.Or(r.App, key)
		all = append(all, what+": "+r.Why)
		if r.Why == before.Why {
			continue
		}
		p.log.Error("part of the state was refused", "of", what, "version", r.Version, "err", r.Why)
		p.sayTo(r.App, "ERROR (edge): what the router was told of %s was refused, its last good routes serve: %s", r.App, r.Why)
	}
	for key, r := range old.Refused {
		_, still := next.Refused[key]
		if _, there := next.Apps[r.App]; there && !still {
			p.sayTo(r.App, "INFO (edge): the router has the routes of %s again as they shall be", r.App)
		}
	}
	problem := ""
	if n := len(all); n > 0 {
		const some = 3
		if n > some {
			all = append(all[:some], fmt.Sprintf("and %d more", n-some))
		}
		problem = "what the control plane said was refused in part, and that is served as before: " + strings.Join(all, "; ")
	}
	p.reports.problem("table", problem)
}

// sayTo puts a line into an app's log.
func (p *puller) sayTo(app, format string, args ...any) {
	if app != "" {
		p.logs.tell(platform.NodeLogLine{LogLine: platform.LogLine{
			At: time.Now(), App: app, Source: platform.LogController, Text: fmt.Sprintf(format, args...),
		}})
	}
}

// refuse says why nothing of what came is had: what is served stays. It is asked
// for again after a while.
func (p *puller) refuse(ctx context.Context, have state, why error) {
	said := fmt.Sprintf("the control plane's state was refused, the one of version %d is served: %v", have.Version, why)
	p.mu.Lock()
	before := p.refused
	p.refused = said
	p.mu.Unlock()
	if before != said {
		p.log.Error("state was refused", "version", have.Version, "err", why)
	}
	p.reports.problem("table", said)
	sleep(ctx, longestRetry)
}

// refusalOf says why an app is not served as it shall be; empty: it is.
func (p *puller) refusalOf(app string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return cmp.Or(p.refused, p.have.Refused[app].Why)
}
