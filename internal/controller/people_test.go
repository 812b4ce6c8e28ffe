package controller_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
)

// verbs are what somebody may try on an app, and the least role it takes. What
// they answer but whether the caller may is no matter.
func verbs(p *place, app string) map[platform.Role]map[string]func(context.Context, platform.Caller) error {
	page := platform.Page{}
	return map[platform.Role]map[string]func(context.Context, platform.Caller) error{
		platform.RoleViewer: {
			"app": func(ctx context.Context, c platform.Caller) error { _, err := p.App(ctx, c, app); return err },
			"releases": func(ctx context.Context, c platform.Caller) error {
				_, _, err := p.Releases(ctx, c, app, page)
				return err
			},
			"builds": func(ctx context.Context, c platform.Caller) error {
				_, _, err := p.Builds(ctx, c, app, page)
				return err
			},
			"domains": func(ctx context.Context, c platform.Caller) error {
				_, _, err := p.Domains(ctx, c, app, page)
				return err
			},
			"settings": func(ctx context.Context, c platform.Caller) error { _, err := p.Settings(ctx, c, app); return err },
			"pods": func(ctx context.Context, c platform.Caller) error {
				_, err := p.Instances(ctx, c, app, "", "")
				return err
			},
			"crons": func(ctx context.Context, c platform.Caller) error { _, err := p.Crons(ctx, c, app); return err },
			"cron":  func(ctx context.Context, c platform.Caller) error { _, err := p.Cron(ctx, c, app, "none"); return err },
			"cron runs": func(ctx context.Context, c platform.Caller) error {
				_, _, err := p.CronRuns(ctx, c, app, "none", page)
				return err
			},
			"cron run": func(ctx context.Context, c platform.Caller) error {
				_, err := p.CronRun(ctx, c, app, "none", "")
				return err
			},
			"perms": func(ctx context.Context, c platform.Caller) error { _, err := p.Collaborators(ctx, c, app); return err },
			"logs": func(ctx context.Context, c platform.Caller) error {
				return p.Logs(ctx, c, app, controller.LogQuery{}, func(platform.LogLine) bool { return true })
			},
		},
		platform.RoleDeployer: {
			"push":     func(ctx context.Context, c platform.Caller) error { return p.Authorize(ctx, c, app) },
			"rollback": func(ctx context.Context, c platform.Caller) error { _, err := p.Rollback(ctx, c, app, 0); return err },
			"restart": func(ctx context.Context, c platform.Caller) error {
				_, err := p.Restart(ctx, c, app, "", "")
				return err
			},
			"build": func(ctx context.Context, c platform.Caller) error {
				_, _, err := p.CreateBuild(ctx, c, app, controller.NewBuild{Image: "deis/example:1"})
				return err
			},
		},
		platform.RoleOperator: {
			"config": func(ctx context.Context, c platform.Caller) error { _, err := p.Config(ctx, c, app); return err },
			"set": func(ctx context.Context, c platform.Caller) error {
				_, err := p.SetConfig(ctx, c, app, controller.ConfigPatch{})
				return err
			},
			"scale": func(ctx context.Context, c platform.Caller) error { return p.Scale(ctx, c, app, map[string]int{}) },
			"run": func(ctx context.Context, c platform.Caller) error {
				_, err := p.Run(ctx, c, app, "true", platform.IO{})
				return err
			},
			"settings": func(ctx context.Context, c platform.Caller) error {
				_, err := p.SetSettings(ctx, c, app, controller.SettingsPatch{})
				return err
			},
			"set cron": func(ctx context.Context, c platform.Caller) error {
				_, err := p.SetCron(ctx, c, app, "none", controller.CronPatch{})
				return err
			},
			"remove cron": func(ctx context.Context, c platform.Caller) error { return p.RemoveCron(ctx, c, app, "none") },
			"run cron": func(ctx context.Context, c platform.Caller) error {
				_, err := p.RunCron(ctx, c, app, "none")
				return err
			},
			"domain": func(ctx context.Context, c platform.Caller) error {
				_, err := p.AddDomain(ctx, c, app, "blog")
				return err
			},
		},
		platform.RoleAdmin: {
			"remove domain": func(ctx context.Context, c platform.Caller) error { return p.RemoveDomain(ctx, c, app, "other") },
			"grant":         func(ctx context.Context, c platform.Caller) error { return p.Grant(ctx, c, app, "nobody", "viewer") },
			"revoke":        func(ctx context.Context, c platform.Caller) error { return p.Revoke(ctx, c, app, "nobody") },
			"audit": func(ctx context.Context, c platform.Caller) error {
				_, _, err := p.Audit(ctx, c, platform.EventQuery{App: app})
				return err
			},
		},
		platform.RoleOwner: {
			"transfer": func(ctx context.Context, c platform.Caller) error { return p.Transfer(ctx, c, app, "") },
			"rename":   func(ctx context.Context, c platform.Caller) error { _, err := p.Rename(ctx, c, app, app); return err },
		},
	}
}

func TestAVerbNeedsItsRoleAndATokenGivesNoMore(t *testing.T) {
	p := open(t, controller.Options{})
	ann := p.user("ann")
	p.app(ann, "blog")
	p.app(ann, "shop")
	roles := []platform.Role{"", platform.RoleViewer, platform.RoleDeployer, platform.RoleOperator, platform.RoleAdmin, platform.RoleOwner}
	callers := map[string]platform.Role{"ann": platform.RoleOwner}
	every := map[string]platform.Caller{"ann": ann, "nobody at all": {}}
	for _, role := range roles {
		if role != "" && role != platform.RoleOwner {
			caller := p.user("some-" + string(role))
			if err := p.Grant(t.Context(), ann, "blog", caller.User, role); err != nil {
				t.Fatal(err)
			}
			callers[caller.User], every[caller.User] = role, caller
		}
		bounded := ann
		bounded.Scope = platform.Scope{Role: role, Apps: []string{"blog"}}
		name := "ann's token of " + string(role)
		callers[name], every[name] = role, bounded
		if role == "" {
			callers[name] = platform.RoleOwner
		}
	}
	every["stranger"] = p.user("eve")
	elsewhere := ann
	elsewhere.Scope = platform.Scope{Apps: []string{"shop"}}
	every["ann's token for another app"] = elsewhere
	every["a superuser"], callers["a superuser"] = platform.Caller{User: "root", Admin: true}, platform.RoleOwner
	p.user("root")

	for who, caller := range every {
		for need, ones := range verbs(p, "blog") {
			for verb, try := range ones {
				err := try(t.Context(), caller)
				forbidden := errors.Is(err, platform.ErrForbidden)
				if may := callers[who].Covers(need); may == forbidden {
					t.Errorf("%s, %s: %v", who, verb, err)
				}
			}
		}
		for _, ones := range verbs(p, "unknown") {
			for verb, try := range ones {
				if err := try(t.Context(), caller); verb != "audit" && !errors.Is(err, platform.ErrNotFound) {
					t.Errorf("%s, %s of no app: %v", who, verb, err)
				}
			}
		}
	}
}

func TestABoundedTokenListsItsAppsAndMakesNone(t *testing.T) {
	p := open(t, controller.Options{})
	ann, bob := p.user("ann"), p.user("bob")
	for _, id := range []string{"c-app", "a-app", "b-app"} {
		p.app(ann, id)
	}
	p.app(bob, "bobs")
	if err := p.Grant(t.Context(), bob, "bobs", "ann", platform.RoleViewer); err != nil {
		t.Fatal(err)
	}
	listed := func(caller platform.Caller, page platform.Page) (ids []string, count int) {
		apps, count, err := p.Apps(t.Context(), caller, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, app := range apps {
			ids = append(ids, app.ID)
		}
		return ids, count
	}
	if got, n := listed(ann, platform.Page{}); n != 4 || !slices.Equal(got, []string{"a-app", "b-app", "bobs", "c-app"}) {
		t.Errorf("ann sees %v, %d", got, n)
	}
	ann.Scope.Apps = []string{"c-app", "gone", "a-app", "bobs"}
	if got, n := listed(ann, platform.Page{Limit: 1, Offset: 1}); n != 3 || !slices.Equal(got, []string{"bobs"}) {
		t.Errorf("the token sees %v, %d", got, n)
	}
	if _, err := p.CreateApp(t.Context(), ann, "new"); !errors.Is(err, platform.ErrForbidden) {
		t.Errorf("the token made an app: %v", err)
	}
}

func TestATransferTakesEverythingAlongAndEndsTheOldOwnersAccess(t *testing.T) {
	p := open(t, controller.Options{})
	ann, bob := p.user("ann"), p.user("bob")
	p.app(ann, "blog")
	if err := p.Grant(t.Context(), ann, "blog", "bob", platform.RoleViewer); err != nil {
		t.Fatal(err)
	}
	if err := p.Transfer(t.Context(), ann, "blog", ""); err != nil {
		t.Errorf("to nobody: %v", err)
	}
	var missing *platform.NotFoundError
	if err := p.Transfer(t.Context(), ann, "blog", "nobody"); !errors.As(err, &missing) || missing.Kind != "User" {
		t.Errorf("to a stranger: %v", err)
	}
	if err := p.Transfer(t.Context(), ann, "blog", "bob"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.App(t.Context(), ann, "blog"); !errors.Is(err, platform.ErrForbidden) {
		t.Errorf("the old owner: %v", err)
	}
	config, err := p.Config(t.Context(), bob, "blog")
	if err != nil || config.Owner != "bob" {
		t.Errorf("the config is %s's, %v", config.Owner, err)
	}
	if shared, err := p.Collaborators(t.Context(), bob, "blog"); err != nil || len(shared) != 0 {
		t.Errorf("shared with %v, %v", shared, err)
	}
}

func TestAccessIsGrantedAndRevokedInTheContractsWords(t *testing.T) {
	p := open(t, controller.Options{})
	ann, bob, eve := p.user("ann"), p.user("bob"), p.user("eve")
	p.app(ann, "blog")
	for range 2 {
		if err := p.Grant(t.Context(), ann, "blog", "bob", platform.RoleOperator); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Grant(t.Context(), ann, "blog", "bob", platform.RoleOwner); !errors.Is(err, platform.ErrInvalid) {
		t.Errorf("another owner: %v", err)
	}
	if err := p.Revoke(t.Context(), ann, "blog", "eve"); !errors.Is(err, platform.ErrForbidden) {
		t.Errorf("of who has none: %v", err)
	}
	if err := p.Revoke(t.Context(), ann, "blog", "nobody"); !errors.Is(err, platform.ErrNotFound) {
		t.Errorf("of nobody: %v", err)
	}
	if err := p.Revoke(t.Context(), eve, "blog", "eve"); !errors.Is(err, platform.ErrForbidden) {
		t.Errorf("of a stranger by himself: %v", err)
	}
	if err := p.Revoke(t.Context(), bob, "blog", "bob"); err != nil {
		t.Errorf("of himself: %v", err)
	}
	text := p.logged("blog")
	if strings.Count(text, "User bob was granted access to blog") != 1 || strings.Count(text, "User bob was revoked access to blog") != 1 {
		t.Errorf("the log is\n%s", text)
	}
	events, _, err := p.Audit(t.Context(), ann, platform.EventQuery{App: "blog"})
	if err != nil || len(events) < 3 {
		t.Fatalf("%v, %v", events, err)
	}
	if e := events[1]; e.Name != "perms.granted" || e.User != "ann" || e.From != "192.0.2.1" || e.Token != "laptop" || e.Attrs["user"] != "bob" {
		t.Errorf("the event is %+v", e)
	}
}
