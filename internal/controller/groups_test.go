package controller_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// group makes a group of the caller.
func (p *place) group(caller platform.Caller, name string, values ...string) {
	p.t.Helper()
	if _, err := p.CreateGroup(p.t.Context(), caller, name); err != nil {
		p.t.Fatal(err)
	}
	if len(values) > 0 {
		p.regroup(caller, name, values...)
	}
}

// regroup sets values of a group and tells what came of it: "blog v3 <error>".
func (p *place) regroup(caller platform.Caller, name string, values ...string) (deploys []string) {
	p.t.Helper()
	_, all, err := p.SetGroup(p.t.Context(), caller, name, texts(values...))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, d := range all {
		deploys = append(deploys, strings.TrimSuffix(fmt.Sprintf("%s v%d %v", d.App, d.Release, d.Err), " <nil>"))
	}
	return deploys
}

func (p *place) attach(caller platform.Caller, app, name string) {
	p.t.Helper()
	if _, err := p.AttachGroup(p.t.Context(), caller, app, name); err != nil {
		p.t.Fatal(err)
	}
}

// env is what the app's current release runs with, of what was set.
func (p *place) env(caller platform.Caller, app string) map[string]string {
	p.t.Helper()
	config := must(p.Config(p.t.Context(), caller, app))(p.t)
	return config.Env()
}

// states are an app's groups: "shared current".
func (p *place) states(caller platform.Caller, app string) (states []string) {
	p.t.Helper()
	for _, g := range must(p.GroupsOf(p.t.Context(), caller, app))(p.t) {
		states = append(states, g.Group+" "+g.State())
	}
	return states
}

func TestAGroupIsOneReleaseOfEachOfItsApps(t *testing.T) {
	p := open(t, controller.Options{}).withNode()
	ann := p.user("ann")
	p.app(ann, "blog")
	p.app(ann, "shop")
	p.group(ann, "base", "A", "base", "B", "base", "C", "base")
	p.group(ann, "mail", "B", "mail", "C", "mail")
	_ = must(p.SetConfig(t.Context(), ann, "blog", controller.ConfigPatch{Values: texts("C", "own")}))(t)
	p.attach(ann, "blog", "base")
	p.attach(ann, "blog", "mail")
	p.attach(ann, "shop", "base")
	if env := p.env(ann, "blog"); fmt.Sprint(env) != "map[A:base B:mail C:own]" {
		t.Errorf("blog sees %v", env)
	}
	if own := must(p.Config(t.Context(), ann, "blog"))(t).Values; fmt.Sprint(own) != "map[C:own]" {
		t.Errorf("blog's own are %v", own)
	}
	wantLines(t, p.regroup(ann, "base", "A", "hunter2", "D", "new"), "blog v5", "shop v3")
	if env := p.env(ann, "shop"); fmt.Sprint(env) != "map[A:hunter2 B:base C:base D:new]" {
		t.Errorf("shop sees %v", env)
	}
	// A change of its own keeps the groups as they are.
	_ = must(p.SetConfig(t.Context(), ann, "blog", controller.ConfigPatch{Values: texts("E", "own")}))(t)
	if env := p.env(ann, "blog"); fmt.Sprint(env) != "map[A:hunter2 B:mail C:own D:new E:own]" {
		t.Errorf("blog sees %v", env)
	}
	wantLines(t, p.summaries("blog")[2:],
		"v3 succeeded ann attached group base", "v4 succeeded ann attached group mail",
		"v5 succeeded ann changed group base: added D, changed A", "v6 succeeded ann added E")

	// An old release is old throughout, until the app takes over what is so now.
	if _, err := p.Rollback(t.Context(), ann, "blog", 4); err != nil {
		t.Fatal(err)
	}
	wantLines(t, p.states(ann, "blog"), "base behind", "mail current")
	if env := p.env(ann, "blog"); env["A"] != "base" || env["D"] != "" {
		t.Errorf("after a rollback blog sees %v", env)
	}
	p.attach(ann, "blog", "base")
	wantLines(t, p.states(ann, "blog"), "base current", "mail current")
	_, err := p.AttachGroup(t.Context(), ann, "blog", "base")
	says(t, err, platform.ErrConflict, "ann changed nothing")

	// It follows a rename, and goes when no app has it.
	if _, err := p.Rename(t.Context(), ann, "shop", "store"); err != nil {
		t.Fatal(err)
	}
	wantLines(t, p.regroup(ann, "base", "D", "newer"), "blog v9", "store v4")
	err = p.DestroyGroup(t.Context(), ann, "base")
	says(t, err, platform.ErrConflict, "Group base is attached to blog.\nDetach it from all of its apps first.")
	if err := p.DestroyApp(t.Context(), ann, "store"); err != nil {
		t.Fatal(err)
	}
	if err := p.DetachGroup(t.Context(), ann, "blog", "base"); err != nil {
		t.Fatal(err)
	}
	if env := p.env(ann, "blog"); fmt.Sprint(env) != "map[B:mail C:own]" {
		t.Errorf("without base blog sees %v", env)
	}
	if err := p.DestroyGroup(t.Context(), ann, "base"); err != nil {
		t.Fatal(err)
	}
	for _, app := range []string{"", "blog"} {
		if all := strings.Join(p.eventsOf(app), "\n"); strings.Contains(all, "hunter") {
			t.Errorf("an event holds a value:\n%s", all)
		}
	}
	if strings.Contains(p.logged("blog"), "hunter") {
		t.Error("the log holds a value")
	}
}

func TestAGroupIsItsOwnersAndTheAppsThatMayOperate(t *testing.T) {
	p := open(t, controller.Options{})
	ann, bob := p.user("ann"), p.user("bob")
	p.app(ann, "blog")
	p.app(ann, "shop")
	p.group(ann, "shared", "A", "1")
	for name, ask := range map[string]func() error{
		"show":    func() error { _, err := p.Group(t.Context(), bob, "shared"); return err },
		"set":     func() error { _, _, err := p.SetGroup(t.Context(), bob, "shared", texts("A", "2")); return err },
		"destroy": func() error { return p.DestroyGroup(t.Context(), bob, "shared") },
	} {
		if err := ask(); !errors.Is(err, platform.ErrNotFound) {
			t.Errorf("%s by another: %v", name, err)
		}
	}
	bounded := ann
	bounded.Scope = platform.Scope{Apps: []string{"blog"}}
	if _, err := p.Group(t.Context(), bounded, "shared"); !errors.Is(err, platform.ErrForbidden) {
		t.Errorf("a bounded token: %v", err)
	}
	if _, err := p.AttachGroup(t.Context(), bounded, "blog", "shared"); !errors.Is(err, platform.ErrForbidden) {
		t.Errorf("a bounded token attaches: %v", err)
	}
	if err := p.Grant(t.Context(), ann, "blog", "bob", platform.RoleOperator); err != nil {
		t.Fatal(err)
	}
	// Who operates the app and has not the group, and the other way round.
	if _, err := p.AttachGroup(t.Context(), bob, "blog", "shared"); !errors.Is(err, platform.ErrNotFound) {
		t.Errorf("somebody else's group: %v", err)
	}
	p.group(bob, "bobs", "B", "1")
	if _, err := p.AttachGroup(t.Context(), bob, "shop", "bobs"); !errors.Is(err, platform.ErrForbidden) {
		t.Errorf("somebody else's app: %v", err)
	}
	p.attach(ann, "blog", "shared")
	p.attach(bob, "blog", "bobs")
	if env := p.env(bob, "blog"); fmt.Sprint(env) != "map[A:1 B:1]" {
		t.Errorf("who operates the app sees %v", env)
	}

	// Who may no longer operate an app changes nothing of it.
	if err := p.Revoke(t.Context(), ann, "blog", "bob"); err != nil {
		t.Fatal(err)
	}
	wantLines(t, p.regroup(bob, "bobs", "B", "2"),
		"blog v0 bob may not operate blog, which stays as it is\nWho may takes the new values with: slipway groups attach NAME -a blog")
	wantLines(t, p.states(ann, "blog"), "shared current", "bobs behind")
	p.attach(ann, "blog", "bobs")
	if env := p.env(ann, "blog"); env["B"] != "2" {
		t.Errorf("taken over: %v", env)
	}
	if err := p.DetachGroup(t.Context(), ann, "blog", "bobs"); err != nil {
		t.Fatal(err)
	}
}

func TestAnAppThatFailsDoesNotKeepTheOthersFromAChange(t *testing.T) {
	p := open(t, controller.Options{}).withNode()
	ann := p.deployed("blog")
	for _, app := range []string{"archive", "shop"} {
		p.app(ann, app)
	}
	p.group(ann, "shared", "CODE", "0")
	for _, app := range []string{"archive", "blog", "shop"} {
		p.attach(ann, app, "shared")
	}
	if err := p.push(ann, "blog", "2234567890", map[string]string{"worker": sleeper["worker"], "release": "exit $CODE"}); err != nil {
		t.Fatal(err)
	}
	deploys := p.regroup(ann, "shared", "CODE", "3")
	if len(deploys) != 3 || deploys[0] != "archive v3" || !strings.HasPrefix(deploys[1], "blog v5 (app::deploy): ") || deploys[2] != "shop v3" {
		t.Errorf("got %q", deploys)
	}
	wantLines(t, p.states(ann, "blog"), "shared behind")
	wantLines(t, p.states(ann, "shop"), "shared current")
	if env := p.env(ann, "blog"); env["CODE"] != "0" {
		t.Errorf("blog sees %v", env)
	}
}

func TestAChangeThatACrashBrokeOffReachesItsAppsAtTheNextStart(t *testing.T) {
	p := open(t, controller.Options{})
	ann := p.user("ann")
	p.app(ann, "blog")
	p.group(ann, "shared", "A", "1")
	p.attach(ann, "blog", "shared")
	p.Close()
	p.write(func(tx *store.Tx) error {
		group, err := tx.Group("shared")
		if err != nil {
			return err
		}
		group.Values, group.Version = map[string]string{"A": "2"}, group.Version+1
		return errors.Join(tx.UpdateGroup(group), tx.SetGroupDue(group.UUID))
	})
	p.start()
	p.awaitLine("blog", "ann changed group shared")
	_, err := p.AttachGroup(t.Context(), ann, "blog", "shared") // waits for the release that is under way
	says(t, err, platform.ErrConflict, "ann changed nothing")
	if env := p.env(ann, "blog"); env["A"] != "2" {
		t.Errorf("blog sees %v", env)
	}
	p.Close()
	p.start()
	if all := p.summaries("blog"); len(all) != 3 || !slices.Contains(all, "v3 succeeded ann changed group shared") {
		t.Errorf("the ledger is %q", all)
	}
}

func TestAGroupGrowsOnlySoFar(t *testing.T) {
	p := open(t, controller.Options{})
	ann := p.user("ann")
	p.app(ann, "blog")
	p.group(ann, "shared")
	big := strings.Repeat("x", platform.MaxConfigValue-10)
	p.regroup(ann, "shared", "A", big, "B", big, "C", big)
	_, _, err := p.SetGroup(t.Context(), ann, "shared", texts("D", big, "E", big))
	says(t, err, platform.ErrInvalid, "values: A group has at most 524288 bytes in all")
	p.attach(ann, "blog", "shared")
	_, err = p.SetConfig(t.Context(), ann, "blog", controller.ConfigPatch{Values: texts("D", big, "E", big)})
	says(t, err, platform.ErrInvalid, "values: An app's config has at most 524288 bytes in all")
	_ = must(p.SetConfig(t.Context(), ann, "blog", controller.ConfigPatch{Values: texts("D", big)}))(t)
	deploys := p.regroup(ann, "shared", "E", "x", "F", strings.Repeat("x", 1000))
	wantLines(t, deploys, "blog v0 values: An app's config has at most 524288 bytes in all, those of its groups included")
	for name, words := range map[string]string{"": "at most 63", "a_b": "at most 63", "shared": "name: Group with this name already exists."} {
		if _, err := p.CreateGroup(t.Context(), ann, name); !errors.Is(err, platform.ErrInvalid) || !strings.Contains(err.Error(), words) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
