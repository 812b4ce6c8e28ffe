package auth_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-paas/slipway/internal/auth"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// create makes a named token of bob's.
func (r rig) create(name string, scope platform.Scope, lifetime time.Duration) string {
	r.Helper()
	secret, _, err := r.CreateToken(r.Context(), bob, name, scope, lifetime)
	if err != nil {
		r.Fatal(err)
	}
	return secret
}

func (r rig) withApp(id, owner string) {
	r.Helper()
	r.write(func(tx *store.Tx) error { return tx.InsertApp(platform.App{UUID: id, ID: id, Owner: owner}) })
}

// events are the names of all events of the user, oldest first.
func (r rig) events(user string) (events []platform.Event) {
	r.Helper()
	err := r.store.Read(r.Context(), func(tx *store.Tx) (err error) {
		events, _, err = tx.EventLog(platform.EventQuery{User: user})
		return err
	})
	if err != nil {
		r.Fatal(err)
	}
	slices.Reverse(events)
	return events
}

func TestANamedTokenIsItsUserWithinItsScope(t *testing.T) {
	onEach(t, auth.RegistrationEnabled, func(r rig) {
		r.withUsers()
		r.withApp("blog", "bob")
		scope := platform.Scope{Role: platform.RoleDeployer, Apps: []string{"blog", "blog"}}
		secret, made, err := r.CreateToken(r.Context(), bob, "ci ✓", scope, time.Hour)
		if err != nil || made.Name != "ci ✓" || made.Expires.Sub(made.Created) != time.Hour {
			r.Fatalf("got %+v, %v", made, err)
		}
		caller, user, err := r.ByToken(r.Context(), secret)
		if err != nil || caller.User != "bob" || caller.Token != "ci ✓" || caller.Scope.Role != platform.RoleDeployer ||
			!slices.Equal(caller.Scope.Apps, []string{"blog"}) || user.Username != "bob" {
			r.Errorf("got %+v, %+v, %v", caller, user, err)
		}
		if caller, _, err := r.ByToken(r.Context(), r.login("bob")); err != nil || caller.Token != "" || caller.Scope.Bounded() {
			r.Errorf("a login has %+v, %v", caller, err)
		}
		r.create("all", platform.Scope{}, 0)
		tokens, err := r.Tokens(r.Context(), bob)
		if err != nil || len(tokens) != 2 || tokens[0].Name != "all" || !tokens[0].Expires.IsZero() || !tokens[1].Expires.Equal(made.Expires) {
			r.Errorf("got %+v, %v", tokens, err)
		}
		if tokens, err := r.Tokens(r.Context(), ann); err != nil || len(tokens) != 0 {
			r.Errorf("ann has %+v, %v", tokens, err)
		}
	})
}

func TestARevokedTokenEndsAtOnce(t *testing.T) {
	onEach(t, auth.RegistrationEnabled, func(r rig) {
		r.withUsers()
		secret := r.create("ci", platform.Scope{}, 0)
		wantKind(r.T, r.RevokeToken(r.Context(), ann, "ci"), platform.ErrNotFound)
		if err := r.RevokeToken(r.Context(), bob, "ci"); err != nil {
			r.Fatal(err)
		}
		_, _, err := r.ByToken(r.Context(), secret)
		wantWords(r.T, err, platform.ErrUnauthenticated, "Invalid token.")
		wantKind(r.T, r.RevokeToken(r.Context(), bob, "ci"), platform.ErrNotFound)
		r.create("ci", platform.Scope{}, 0) // the name is free again
	})
}

func TestATokenExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := withUsers(t)
		secret := r.create("ci", platform.Scope{}, time.Hour)
		time.Sleep(time.Hour - time.Second) // of the bubble's clock
		if _, _, err := r.ByToken(t.Context(), secret); err != nil {
			t.Errorf("a second before: %v", err)
		}
		time.Sleep(time.Second)
		_, _, err := r.ByToken(t.Context(), secret)
		wantWords(t, err, platform.ErrUnauthenticated, "Token has expired.")
	})
}

func TestTheUseOfANamedTokenIsNotedToTenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := withUsers(t)
		secret := r.create("ci", platform.Scope{}, 0)
		start := time.Now()
		used := func() time.Duration {
			t.Helper()
			if _, _, err := r.ByToken(t.Context(), secret); err != nil {
				t.Fatal(err)
			}
			r.Close() // waits for the note
			r = r.restarted()
			tokens, err := r.Tokens(t.Context(), bob)
			if err != nil {
				t.Fatal(err)
			}
			return tokens[0].LastUsed.Sub(start)
		}
		for _, step := range []struct{ wait, want time.Duration }{
			{time.Minute, time.Minute},
			{9 * time.Minute, time.Minute},
			{time.Minute, 11 * time.Minute},
		} {
			time.Sleep(step.wait)
			if got := used(); got != step.want {
				t.Errorf("after %v: noted %v, want %v", time.Since(start), got, step.want)
			}
		}
	})
}

func TestNotingAUseHoldsUpNoRequest(t *testing.T) {
	r := withUsers(t)
	secret := r.create("ci", platform.Scope{}, 0)
	// Within a write no other is possible: a request that waited for one would wait for ever.
	r.write(func(*store.Tx) error {
		for range 20 {
			if _, _, err := r.ByToken(t.Context(), secret); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestANamedTokenHasBounds(t *testing.T) {
	r := withUsers(t)
	r.withApp("blog", "bob")
	r.withApp("shop", "ann")
	r.withApp("wiki", "ann")
	r.write(func(tx *store.Tx) error { return tx.SetCollaborator("wiki", "bob", platform.RoleViewer) })
	r.create("taken", platform.Scope{}, 0)
	for _, c := range []struct {
		name           string
		scope          platform.Scope
		lifetime       time.Duration
		field, message string
	}{
		{name: "", field: "name", message: "This field may not be blank."},
		{name: " \t", field: "name", message: "This field may not be blank."},
		{name: "a\nb", field: "name", message: "Only printable characters are allowed."},
		{name: "a\u202eb", field: "name", message: "Only printable characters are allowed."},
		{name: "a\xff", field: "name", message: "Only printable characters are allowed."},
		{name: strings.Repeat("ä", 129), field: "name", message: "Ensure this field has no more than 128 characters."},
		{name: "taken", field: "name", message: "Token with this name already exists."},
		{name: "x", scope: platform.Scope{Role: "king"}, field: "role", message: `"king" is none of viewer, deployer, operator, admin and owner.`},
		{name: "x", scope: platform.Scope{Apps: []string{"Blog"}}, field: "apps", message: `"Blog" is no name of an app.`},
		{name: "x", scope: platform.Scope{Apps: []string{"nope"}}, field: "apps", message: "You have no app nope."},
		{name: "x", scope: platform.Scope{Apps: []string{"blog", "shop"}}, field: "apps", message: "You have no app shop."},
		{name: "x", scope: platform.Scope{Apps: make([]string, 101)}, field: "apps", message: "Ensure this list has no more than 100 apps."},
		{name: "x", lifetime: -1, field: "expires_in", message: "A token lives at most ten years, or for ever with 0."},
		{name: "x", lifetime: 11 * 365 * 24 * time.Hour, field: "expires_in", message: "A token lives at most ten years, or for ever with 0."},
	} {
		_, _, err := r.CreateToken(t.Context(), bob, c.name, c.scope, c.lifetime)
		wantField(t, err, c.field, c.message)
	}
	r.create(strings.Repeat("ä", 128), platform.Scope{Role: platform.RoleOwner, Apps: []string{"wiki", "blog"}}, 10*365*24*time.Hour)
	for n := range 98 {
		r.create(fmt.Sprint(n), platform.Scope{}, 0)
	}
	_, _, err := r.CreateToken(t.Context(), bob, "x", platform.Scope{}, 0)
	wantField(t, err, "name", "You have 100 tokens: revoke one first.")
}

func TestLoginsEndNoNamedToken(t *testing.T) {
	r := withUsers(t)
	secret := r.create("ci", platform.Scope{}, 0)
	r.write(func(tx *store.Tx) (err error) {
		for n := range 100 {
			err = errors.Join(err, tx.InsertToken(fmt.Sprint(n), platform.Token{User: "bob", Created: time.Now()}, false))
		}
		return err
	})
	r.login("bob")
	if _, _, err := r.ByToken(t.Context(), secret); err != nil {
		t.Error(err)
	}
}

// accountVerbs are all verbs on users, keys and tokens.
func (r rig) accountVerbs(caller platform.Caller, ctx context.Context) map[string]error {
	_, register := r.Register(ctx, caller, auth.NewUser{Username: "eve", Password: "eve"})
	_, _, users := r.Users(ctx, caller, platform.Page{})
	_, _, superusers := r.Superusers(ctx, caller, platform.Page{})
	_, own := r.User(ctx, caller)
	_, _, keys := r.Keys(ctx, caller, platform.Page{})
	_, key := r.Key(ctx, caller, "laptop")
	_, add := r.AddKey(ctx, caller, "laptop", "")
	_, tokens := r.Tokens(ctx, caller)
	_, _, create := r.CreateToken(ctx, caller, "x", platform.Scope{}, 0)
	_, regenerate := r.RegenerateTokens(ctx, caller, "")
	return map[string]error{
		"Register": register, "Users": users, "Superusers": superusers, "User": own,
		"Keys": keys, "Key": key, "AddKey": add, "DeleteKey": r.DeleteKey(ctx, caller, "laptop"),
		"Tokens": tokens, "CreateToken": create, "RevokeToken": r.RevokeToken(ctx, caller, "ci"),
		"RegenerateTokens": regenerate, "RegenerateAll": r.RegenerateAll(ctx, caller),
		"SetPassword":  r.SetPassword(ctx, caller, "", "ann", "new"),
		"SetSuperuser": r.SetSuperuser(ctx, caller, "bob", true),
		"Cancel":       r.Cancel(ctx, caller, ""),
	}
}

func TestABoundedTokenReachesNoAccount(t *testing.T) {
	r := withUsers(t)
	for _, scope := range []platform.Scope{{Role: platform.RoleOwner}, {Apps: []string{"blog"}}} {
		caller := ann
		caller.Token, caller.Scope = "ci", scope
		for verb, err := range r.accountVerbs(caller, t.Context()) {
			if !errors.Is(err, platform.ErrForbidden) {
				t.Errorf("%s with %+v: got %v", verb, scope, err)
			}
		}
	}
	if users, count, err := r.Users(t.Context(), ann, platform.Page{}); err != nil || count != 2 || users[1].Superuser {
		t.Errorf("something changed: %+v, %v", users, err)
	}
}

func TestNobodyReachesNoAccount(t *testing.T) {
	r := withUsers(t)
	for verb, err := range r.accountVerbs(nobody, t.Context()) {
		if verb != "Register" && !errors.Is(err, platform.ErrUnauthenticated) {
			t.Errorf("%s: got %v", verb, err)
		}
	}
}

func TestATokenThatExpiresMakesNothingThatOutlivesIt(t *testing.T) {
	onEach(t, auth.RegistrationEnabled, func(r rig) {
		r.withUsers()
		brief, _, err := r.CreateToken(r.Context(), ann, "brief", platform.Scope{}, time.Hour)
		if err != nil {
			r.Fatal(err)
		}
		caller, _, err := r.ByToken(r.Context(), brief)
		if err != nil {
			r.Fatal(err)
		}
		_, line := newEd25519(r.T)
		_, _, create := r.CreateToken(r.Context(), caller, "x", platform.Scope{}, 0)
		_, regenerate := r.RegenerateTokens(r.Context(), caller, "")
		_, add := r.AddKey(r.Context(), caller, "laptop", line)
		for _, err := range []error{create, regenerate, add, r.SetPassword(r.Context(), caller, "", "", "new")} {
			wantKind(r.T, err, platform.ErrForbidden)
		}
		if _, _, err := r.Users(r.Context(), caller, platform.Page{}); err != nil {
			r.Errorf("it may all else: %v", err)
		}
		if err := r.RevokeToken(r.Context(), caller, "brief"); err != nil {
			r.Errorf("it may end itself: %v", err)
		}
		_, _, err = r.CreateToken(r.Context(), caller, "x", platform.Scope{}, 0)
		wantKind(r.T, err, platform.ErrUnauthenticated)
	})
}

func TestWhoIsNotActiveHasNeitherTokenNorKey(t *testing.T) {
	r := withUsers(t)
	wire, line := newEd25519(t)
	inactive := platform.User{Username: "dora", Directory: true, Active: true}
	r.write(func(tx *store.Tx) error { return tx.PutDirectoryUser(inactive, nil) })
	dora := platform.Caller{User: "dora"}
	secret, _, err := r.CreateToken(t.Context(), dora, "ci", platform.Scope{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	key, err := r.AddKey(t.Context(), dora, "laptop", line)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := r.KeyByMD5(t.Context(), key.Fingerprint); err != nil || found.Owner != "dora" {
		t.Errorf("got %+v, %v", found, err)
	}
	if keys, err := r.KeysOf(t.Context(), "dora"); err != nil || len(keys) != 1 {
		t.Errorf("got %+v, %v", keys, err)
	}
	inactive.Active = false
	r.write(func(tx *store.Tx) error { return tx.PutDirectoryUser(inactive, nil) })
	_, _, err = r.ByToken(t.Context(), secret)
	wantWords(t, err, platform.ErrUnauthenticated, "User inactive or deleted.")
	_, _, err = r.ByKey(t.Context(), wire.Marshal())
	wantWords(t, err, platform.ErrUnauthenticated, "User inactive or deleted.")
	_, err = r.KeyByMD5(t.Context(), key.Fingerprint)
	wantKind(t, err, platform.ErrNotFound)
	if keys, err := r.KeysOf(t.Context(), "dora"); err != nil || keys == nil || len(keys) != 0 {
		t.Errorf("got %+v, %v", keys, err)
	}
	_, err = r.KeysOf(t.Context(), "nobody")
	wantKind(t, err, platform.ErrNotFound)
}

func TestAdministratorsAreMadeAndUnmade(t *testing.T) {
	onEach(t, auth.RegistrationEnabled, func(r rig) {
		r.withUsers()
		secret := r.login("bob")
		set := func(caller platform.Caller, name string, superuser bool) error {
			return r.SetSuperuser(r.Context(), caller, name, superuser)
		}
		wantKind(r.T, set(bob, "bob", true), platform.ErrForbidden)
		wantKind(r.T, set(ann, "nobody", true), platform.ErrNotFound)
		for range 2 { // idempotent, and one event
			if err := set(ann, "bob", true); err != nil {
				r.Fatal(err)
			}
		}
		if caller, _, err := r.ByToken(r.Context(), secret); err != nil || !caller.Admin {
			r.Errorf("got %+v, %v", caller, err)
		}
		admins, count, err := r.Superusers(r.Context(), ann, platform.Page{Limit: 1, Offset: 1})
		if err != nil || count != 2 || len(admins) != 1 || admins[0].Username != "bob" {
			r.Errorf("got %+v, %d, %v", admins, count, err)
		}
		for range 2 {
			if err := set(ann, "bob", false); err != nil {
				r.Fatal(err)
			}
		}
		if caller, _, err := r.ByToken(r.Context(), secret); err != nil || caller.Admin {
			r.Errorf("got %+v, %v", caller, err)
		}
		var names []string
		for _, event := range r.events("ann") {
			names = append(names, event.Name+" "+event.Attrs["user"])
		}
		if want := []string{"user.registered ann", "admin.granted bob", "admin.revoked bob"}; !slices.Equal(names, want) {
			r.Errorf("got %v, want %v", names, want)
		}
		if err := set(ann, "ann", false); err != nil {
			r.Errorf("the last administrator may step down: %v", err)
		}
		if next := r.register("carol"); !next.Superuser {
			r.Errorf("got %+v, want that who registers next is the first again", next)
		}
	})
}

func TestAllTokensOfAllEndAtOnce(t *testing.T) {
	onEach(t, auth.RegistrationEnabled, func(r rig) {
		r.withUsers()
		secrets := []string{r.login("ann"), r.login("bob"), r.create("ci", platform.Scope{}, 0)}
		wantKind(r.T, r.RegenerateAll(r.Context(), bob), platform.ErrForbidden)
		if _, _, err := r.ByToken(r.Context(), secrets[1]); err != nil {
			r.Errorf("after a refusal: %v", err)
		}
		if err := r.RegenerateAll(r.Context(), ann); err != nil {
			r.Fatal(err)
		}
		for n, secret := range secrets {
			if _, _, err := r.ByToken(r.Context(), secret); !errors.Is(err, platform.ErrUnauthenticated) {
				r.Errorf("token %d: got %v", n, err)
			}
		}
		r.login("bob")
	})
}

func TestEveryChangeLeavesAnEventAndNoSecretInIt(t *testing.T) {
	onEach(t, auth.RegistrationEnabled, func(r rig) {
		r.withUsers()
		secret := r.login("bob")
		caller, _, err := r.ByToken(r.Context(), r.create("deploy", platform.Scope{}, 0))
		if err != nil {
			r.Fatal(err)
		}
		caller.From = home
		_, line := newEd25519(r.T)
		_, key := r.AddKey(r.Context(), caller, "laptop", line)
		made, _, create := r.CreateToken(r.Context(), caller, "ci", platform.Scope{Role: platform.RoleViewer}, time.Hour)
		err = errors.Join(key, create, r.DeleteKey(r.Context(), caller, "laptop"), r.RevokeToken(r.Context(), caller, "ci"),
			r.SetPassword(r.Context(), caller, "", "bob", "hush-hush"))
		if err != nil {
			r.Fatal(err)
		}
		fresh, err := r.RegenerateTokens(r.Context(), bob, "")
		if err != nil {
			r.Fatal(err)
		}
		if err := r.Cancel(r.Context(), bob, ""); err != nil {
			r.Fatal(err)
		}
		var names []string
		for _, event := range r.events("bob") {
			names = append(names, event.Name)
			byToken := slices.Contains([]string{"key.added", "token.created", "key.removed", "token.revoked", "password.changed"}, event.Name) && event.Attrs["token"] != "deploy"
			if byToken != (event.Token == "deploy") || (event.Name != "user.registered" && event.From != home) {
				r.Errorf("got %+v", event)
			}
			text := fmt.Sprintf("%+v", event)
			for _, secret := range []string{secret, made, fresh, "hush-hush", strings.Fields(line)[1]} {
				if strings.Contains(text, secret) {
					r.Errorf("a secret is in %s", text)
				}
			}
		}
		want := []string{
			"user.registered", "user.logged_in", "token.created", "key.added", "token.created", "key.removed", "token.revoked",
			"password.changed", "tokens.regenerated", "user.cancelled",
		}
		if !slices.Equal(names, want) {
			r.Errorf("got  %v\nwant %v", names, want)
		}
		if strings.Contains(r.log.String(), "hush-hush") || strings.Contains(r.log.String(), made) || strings.Contains(r.log.String(), fresh) {
			r.Errorf("a secret is in the log:\n%s", r.log)
		}
	})
}
