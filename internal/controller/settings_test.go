package controller_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// says fails the test unless err is of the kind and says what a user shall read.
func says(t *testing.T, err, kind error, words string) {
	t.Helper()
	if !errors.Is(err, kind) || err.Error() != words {
		t.Errorf("got %v\nwant %s, of the kind %v", err, words, kind)
	}
}

// eventsOf lists what the audit trail holds of an app, oldest first, a line
// each: name, user, and what else is said.
func (p *place) eventsOf(app string) []string {
	p.t.Helper()
	var lines []string
	err := p.store.Read(p.t.Context(), func(tx *store.Tx) error {
		events, _, err := tx.EventLog(platform.EventQuery{App: app, Page: platform.Page{Limit: 1000}})
		for _, e := range events {
			var said []string
			for _, key := range slices.Sorted(maps.Keys(e.Attrs)) {
				said = append(said, key+"="+e.Attrs[key])
			}
			lines = append(lines, strings.TrimSpace(e.Name+" "+e.User+" "+strings.Join(said, " ")))
		}
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	slices.Reverse(lines)
	return lines
}

// label is JSON as a patch holds it.
func label(text string) *json.RawMessage {
	raw := json.RawMessage(text)
	return &raw
}

func TestSettingsArePatchedKeyByKey(t *testing.T) {
	p := open(t, controller.Options{})
	bob := p.user("bob")
	p.app(bob, "blog")
	on, branch := true, "trunk"
	first := must(p.SetSettings(t.Context(), bob, "blog", controller.SettingsPatch{
		Maintenance: &on, DeployBranch: &branch, Whitelist: []string{"10.0.0.5/8", "1.2.3.4", "1.2.3.4"},
		Labels:    map[string]*json.RawMessage{"team": label(`{"lead":"ann"}`), "cost": label(`1.50`)},
		Autoscale: map[string]*platform.Autoscale{"web": {Min: 1, Max: 2, CPUPercent: 40}, "worker": {Min: 0, Max: 1, CPUPercent: 100}},
	}))(t)
	second := must(p.SetSettings(t.Context(), bob, "blog", controller.SettingsPatch{
		Labels: map[string]*json.RawMessage{"cost": nil}, Autoscale: map[string]*platform.Autoscale{"worker": nil},
	}))(t)
	if first.UUID == second.UUID {
		t.Error("a change is no new version")
	}
	stored := must(p.Settings(t.Context(), bob, "blog"))(t)
	if diff := cmp.Diff(second, stored); diff != "" {
		t.Errorf("what was answered is not what is kept:\n%s", diff)
	}
	want := platform.Settings{
		UUID: stored.UUID, App: "blog", Owner: "bob", Maintenance: true, Routable: true, DeployBranch: "trunk",
		Whitelist: []string{"10.0.0.5/8", "1.2.3.4"},
		Labels:    map[string]json.RawMessage{"team": json.RawMessage(`{"lead":"ann"}`)},
		Autoscale: map[string]platform.Autoscale{"web": {Min: 1, Max: 2, CPUPercent: 40}},
		Created:   stored.Created, Updated: stored.Updated,
	}
	if diff := cmp.Diff(want, stored); diff != "" {
		t.Error(diff)
	}
	if route := p.fleet.Route("blog"); !route.Maintenance || !slices.Equal(route.Allow, []string{"10.0.0.0/8", "1.2.3.4/32"}) {
		t.Errorf("the route is %+v", route)
	}
	events := p.eventsOf("blog")
	if got, want := events[len(events)-1], "settings.changed bob autoscale=worker label=cost"; got != want {
		t.Errorf("the last event is %q, want %q", got, want)
	}
}

func TestASettingThatSaysNothingNewOrNothingPossibleIsRefused(t *testing.T) {
	p := open(t, controller.Options{})
	bob := p.user("bob")
	p.app(bob, "blog")
	off, branch := false, "../x"
	if _, err := p.SetSettings(t.Context(), bob, "blog", controller.SettingsPatch{
		Whitelist: []string{"1.2.3.4"}, Labels: map[string]*json.RawMessage{"team": label(`{"a":1}`)},
		Autoscale: map[string]*platform.Autoscale{"web": {Min: 1, Max: 2, CPUPercent: 40}},
	}); err != nil {
		t.Fatal(err)
	}
	before := p.eventsOf("blog")
	for name, test := range map[string]struct {
		patch controller.SettingsPatch
		kind  error
		words string
	}{
		"nothing":        {controller.SettingsPatch{}, platform.ErrConflict, "bob changed nothing"},
		"what is so":     {controller.SettingsPatch{Maintenance: &off, Whitelist: []string{"1.2.3.4"}, Labels: map[string]*json.RawMessage{"team": label(`{ "a": 1 }`)}}, platform.ErrConflict, "bob changed nothing"},
		"a ghost label":  {controller.SettingsPatch{Labels: map[string]*json.RawMessage{"not_exist": nil}}, platform.ErrUnprocessable, "not_exist does not exist under label"},
		"a ghost scale":  {controller.SettingsPatch{Autoscale: map[string]*platform.Autoscale{"ghost": nil}}, platform.ErrUnprocessable, "ghost does not exist under autoscale"},
		"no branch":      {controller.SettingsPatch{DeployBranch: &branch}, platform.ErrInvalid, `deploy_branch: "../x" is not a branch name`},
		"nobody allowed": {controller.SettingsPatch{Whitelist: []string{}}, platform.ErrInvalid, "whitelist: This list may not be empty."},
		"no address":     {controller.SettingsPatch{Whitelist: []string{"bogus"}}, platform.ErrInvalid, "whitelist: The address bogus is not valid"},
		"min over max":   {controller.SettingsPatch{Autoscale: map[string]*platform.Autoscale{"web": {Min: 3, Max: 2, CPUPercent: 40}}}, platform.ErrInvalid, "autoscale: could not validate {'min': 3, 'max': 2, 'cpu_percent': 40}: 'min' cannot be above 'max'"},
		"no percentage":  {controller.SettingsPatch{Autoscale: map[string]*platform.Autoscale{"web": {Min: 1, Max: 2, CPUPercent: 101}}}, platform.ErrInvalid, "autoscale: could not validate {'min': 1, 'max': 2, 'cpu_percent': 101}: 'cpu_percent' must be between 1 and 100"},
		"a huge label":   {controller.SettingsPatch{Labels: map[string]*json.RawMessage{"a": label(`"` + strings.Repeat("x", 1<<20) + `"`)}}, platform.ErrInvalid, "label: A label is JSON of at most 16384 bytes."},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := p.SetSettings(t.Context(), bob, "blog", test.patch)
			says(t, err, test.kind, test.words)
		})
	}
	if after := p.eventsOf("blog"); !slices.Equal(before, after) {
		t.Errorf("what was refused left events:\n%q", after)
	}
}

func TestAWhitelistIsMergedAndTakenApart(t *testing.T) {
	p := open(t, controller.Options{})
	bob, ann := p.user("bob"), p.user("ann")
	p.app(bob, "blog")
	p.write(func(tx *store.Tx) error { return tx.SetCollaborator("blog", "ann", platform.RoleOperator) })
	if got := must(p.Whitelist(t.Context(), bob, "blog"))(t); len(got) != 0 {
		t.Errorf("a new app is served to %q only", got)
	}
	must(p.AddWhitelist(t.Context(), bob, "blog", []string{"1.2.3.4", "2001:db8::/32"}))(t)
	got := must(p.AddWhitelist(t.Context(), ann, "blog", []string{"1.2.3.4", "9.9.9.9"}))(t)
	if want := []string{"1.2.3.4", "2001:db8::/32", "9.9.9.9"}; !slices.Equal(got, want) {
		t.Errorf("merged are %q, want %q", got, want)
	}
	_, err := p.AddWhitelist(t.Context(), bob, "blog", []string{"9.9.9.9", "1.2.3.4"})
	says(t, err, platform.ErrConflict, "bob changed nothing")
	_, err = p.AddWhitelist(t.Context(), bob, "blog", []string{"1.2.3.4.5"})
	says(t, err, platform.ErrInvalid, "addresses: The address 1.2.3.4.5 is not valid")
	if err := p.RemoveWhitelist(t.Context(), ann, "blog", []string{"9.9.9.9"}); !errors.Is(err, platform.ErrForbidden) {
		t.Errorf("a collaborator removes: %v", err)
	}
	err = p.RemoveWhitelist(t.Context(), bob, "blog", []string{"8.8.8.8", "9.9.9.9", "7.7.7.7"})
	says(t, err, platform.ErrUnprocessable, "addresses {'8.8.8.8', '7.7.7.7'} does not exist in whitelist")
	if err := p.RemoveWhitelist(t.Context(), bob, "blog", []string{"9.9.9.9", "1.2.3.4"}); err != nil {
		t.Fatal(err)
	}
	if route := p.fleet.Route("blog"); !slices.Equal(route.Allow, []string{"2001:db8::/32"}) {
		t.Errorf("the route allows %q", route.Allow)
	}
	if events := p.eventsOf("blog"); !slices.Contains(events, "whitelist.changed ann whitelist=9.9.9.9") || !slices.Contains(events, "whitelist.changed bob whitelist=1.2.3.4, 9.9.9.9") {
		t.Errorf("events: %q", events)
	}
}

func TestChangesOfSettingsAtTheSameTimeAreAllKept(t *testing.T) {
	p := open(t, controller.Options{})
	bob := p.user("bob")
	p.app(bob, "blog")
	const each = 12
	var changers sync.WaitGroup
	errs := make(chan error, 2*each)
	for n := range each {
		changers.Go(func() {
			_, err := p.AddWhitelist(t.Context(), bob, "blog", []string{fmt.Sprintf("10.0.0.%d", n)})
			errs <- err
		})
		changers.Go(func() {
			_, err := p.SetSettings(t.Context(), bob, "blog", controller.SettingsPatch{Labels: map[string]*json.RawMessage{fmt.Sprintf("l%d", n): label("1")}})
			errs <- err
		})
	}
	changers.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	settings := must(p.Settings(t.Context(), bob, "blog"))(t)
	if len(settings.Whitelist) != each || len(settings.Labels) != each {
		t.Errorf("%d addresses and %d labels are left of %d each", len(settings.Whitelist), len(settings.Labels), each)
	}
	if route := p.fleet.Route("blog"); len(route.Allow) != each {
		t.Errorf("the route allows %d of %d", len(route.Allow), each)
	}
}

func TestHTTPSIsUndecidedUntilSomebodyEnforcesIt(t *testing.T) {
	p := open(t, controller.Options{})
	bob := p.user("bob")
	p.app(bob, "blog")
	before := must(p.TLS(t.Context(), bob, "blog"))(t)
	if before.Enforced != nil || before.App != "blog" || before.UUID == "" || before.Created.IsZero() {
		t.Errorf("before anybody chose: %+v", before)
	}
	for _, enforced := range []bool{true, false} {
		choice := must(p.SetTLS(t.Context(), bob, "blog", enforced))(t)
		if choice.Enforced == nil || *choice.Enforced != enforced || choice.UUID == before.UUID {
			t.Errorf("chosen %t: %+v", enforced, choice)
		}
		if route := p.fleet.Route("blog"); route.HTTPSOnly != enforced {
			t.Errorf("chosen %t, the route says %t", enforced, route.HTTPSOnly)
		}
		_, err := p.SetTLS(t.Context(), bob, "blog", enforced)
		says(t, err, platform.ErrConflict, "bob changed nothing")
	}
	if events := p.eventsOf("blog"); !slices.Contains(events, "tls.changed bob https_enforced=true") {
		t.Errorf("events: %q", events)
	}
}

func TestWhoMaySeeAnAppMayNotChangeHowItIsServed(t *testing.T) {
	p := open(t, controller.Options{})
	bob, vic := p.user("bob"), p.user("vic")
	p.app(bob, "blog")
	p.write(func(tx *store.Tx) error { return tx.SetCollaborator("blog", "vic", platform.RoleViewer) })
	on := true
	for name, change := range map[string]func() error{
		"settings": func() error {
			_, err := p.SetSettings(t.Context(), vic, "blog", controller.SettingsPatch{Maintenance: &on})
			return err
		},
		"whitelist": func() error { _, err := p.AddWhitelist(t.Context(), vic, "blog", []string{"1.2.3.4"}); return err },
		"tls":       func() error { _, err := p.SetTLS(t.Context(), vic, "blog", true); return err },
		"services":  func() error { _, err := p.SetService(t.Context(), vic, "blog", "hooks", "/hooks"); return err },
		"a service": func() error { return p.RemoveService(t.Context(), vic, "blog", "hooks") },
		"config":    func() error { _, err := p.Config(t.Context(), vic, "blog"); return err },
		"exec":      func() error { _, err := p.Exec(t.Context(), vic, "blog", "web-1", "id", platform.IO{}); return err },
	} {
		if err := change(); !errors.Is(err, platform.ErrForbidden) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, see := range map[string]func() error{
		"settings":  func() error { _, err := p.Settings(t.Context(), vic, "blog"); return err },
		"whitelist": func() error { _, err := p.Whitelist(t.Context(), vic, "blog"); return err },
		"tls":       func() error { _, err := p.TLS(t.Context(), vic, "blog"); return err },
		"services":  func() error { _, err := p.Services(t.Context(), vic, "blog"); return err },
	} {
		if err := see(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
