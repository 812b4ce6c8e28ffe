package auth_test

import (
	"errors"
	"testing"

	"github.com/slipway-paas/slipway/internal/auth"
	"github.com/slipway-paas/slipway/internal/platform"
)

func TestASecretIsATokenOrAPassword(t *testing.T) {
	r := withUsers(t)
	token := r.login("bob")
	bounded := r.create("ci", platform.Scope{Role: platform.RoleViewer}, 0)
	for name, c := range map[string]struct {
		user, secret string
		want         platform.Caller
	}{
		"password":            {"ann", "ann", platform.Caller{User: "ann", Admin: true, From: home}},
		"token":               {"bob", token, platform.Caller{User: "bob", From: home}},
		"token without name":  {"", token, platform.Caller{User: "bob", From: home}},
		"token of a scope":    {"bob", bounded, platform.Caller{User: "bob", From: home, Token: "ci", Scope: platform.Scope{Role: platform.RoleViewer}}},
		"token of another":    {"ann", token, platform.Caller{}},
		"wrong password":      {"ann", "bob", platform.Caller{}},
		"nobody":              {"eve", "eve", platform.Caller{}},
		"no token":            {"bob", "0123456789012345678901234567890123456789", platform.Caller{}},
		"nothing":             {"", "", platform.Caller{}},
		"no password, a name": {"ann", "", platform.Caller{}},
	} {
		caller, err := r.BySecret(r.Context(), c.user, c.secret, home)
		if c.want.User == "" {
			if !errors.Is(err, platform.ErrUnauthenticated) {
				t.Errorf("%s: %+v %v", name, caller, err)
			}
			continue
		}
		if err != nil || caller.User != c.want.User || caller.Admin != c.want.Admin || caller.From != home || caller.Token != c.want.Token || caller.Scope.Role != c.want.Scope.Role {
			t.Errorf("%s: %+v %v", name, caller, err)
		}
	}
}

func TestSecretsAreThrottledAsLoginsAre(t *testing.T) {
	r := withUsers(t)
	var refused *auth.ThrottledError
	for range 20 {
		if _, err := r.BySecret(r.Context(), "bob", "wrong", "203.0.113.9"); errors.As(err, &refused) {
			break
		}
	}
	if refused == nil {
		t.Fatal("twenty wrong passwords were looked at")
	}
	if _, err := r.Login(r.Context(), "bob", "bob", "203.0.113.9"); !errors.As(err, &refused) {
		t.Errorf("a login after them: %v", err)
	}
	if token := r.login("bob"); token == "" { // from elsewhere
		t.Error("no token")
	}
}
