package auth_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/auth"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/secret"
	"github.com/slipway-paas/slipway/internal/store"
)

const home = "192.0.2.1:4711"

// rig is an Auth over a real store.
type rig struct {
	*testing.T
	*auth.Auth
	store   *store.Store
	url     string
	options auth.Options
	log     *bytes.Buffer
}

func newRig(t *testing.T, registration string) rig {
	t.Helper()
	return openRig(t, registration, filepath.Join(t.TempDir(), "slipway.db"))
}

func openRig(t *testing.T, registration, url string) rig {
	t.Helper()
	s, err := store.Open(t.Context(), slog.New(slog.DiscardHandler), url, secret.New())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return rig{T: t, store: s, url: url, options: auth.Options{Registration: registration}}.restarted()
}

// restarted is another Auth over the same store, by the options as they are.
func (r rig) restarted() rig {
	r.Helper()
	r.log = &bytes.Buffer{}
	r.Auth = auth.New(slog.New(slog.NewTextHandler(r.log, nil)), r.store, r.options) // a handler locks
	r.Cleanup(r.Close)
	return r
}

// withUsers has ann, who is the first, and bob; their passwords are their names.
func withUsers(t *testing.T) rig {
	t.Helper()
	return newRig(t, auth.RegistrationEnabled).withUsers()
}

func (r rig) withUsers() rig {
	r.Helper()
	r.register("ann")
	r.register("bob")
	return r
}

func (r rig) register(name string) platform.User {
	r.Helper()
	user, err := r.Register(r.Context(), platform.Caller{}, auth.NewUser{Username: name, Password: name})
	if err != nil {
		r.Fatal(err)
	}
	return user
}

func (r rig) login(name string) string {
	r.Helper()
	token, err := r.Login(r.Context(), name, name, home)
	if err != nil {
		r.Fatal(err)
	}
	return token
}

func (r rig) write(fn func(*store.Tx) error) {
	r.Helper()
	if err := r.store.Write(r.Context(), fn); err != nil {
		r.Fatal(err)
	}
}

var (
	nobody = platform.Caller{}
	ann    = platform.Caller{User: "ann", Admin: true, From: home}
	bob    = platform.Caller{User: "bob", From: home}
)

func wantField(t *testing.T, err error, field, message string) {
	t.Helper()
	if !hasField(err, field, message) {
		t.Errorf("got %v, want %s: %s", err, field, message)
	}
}

func hasField(err error, field, message string) bool {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			if hasField(one, field, message) {
				return true
			}
		}
		return false
	}
	var invalid *platform.FieldError
	return errors.As(err, &invalid) && invalid.Field == field && invalid.Message == message
}

func wantWords(t *testing.T, err, kind error, message string) {
	t.Helper()
	var user *platform.UserError
	if !errors.Is(err, kind) || !errors.As(err, &user) || user.Message != message {
		t.Errorf("got %v, want %v: %s", err, kind, message)
	}
}

func TestTheFirstUserBecomesAdministratorAndNoOther(t *testing.T) {
	r := newRig(t, auth.RegistrationEnabled)
	if first := r.register("ann"); !first.Superuser || !first.Active || first.Joined.IsZero() {
		t.Errorf("got %+v", first)
	}
	if second := r.register("bob"); second.Superuser {
		t.Errorf("got %+v", second)
	}
}

func TestOfManyFirstUsersOneBecomesAdministrator(t *testing.T) {
	onEach(t, auth.RegistrationAdminOnly, func(r rig) {
		other := openRig(r.T, r.options.Registration, r.url) // as another process: the two share the database's locks alone
		var all sync.WaitGroup
		for n := range 6 {
			all.Go(func() {
				door := []rig{r, other}[n%2]
				_, _ = door.Register(r.Context(), nobody, auth.NewUser{Username: fmt.Sprint("user", n), Password: "x"})
			})
		}
		all.Wait()
		users, count, err := r.Users(r.Context(), ann, platform.Page{})
		if err != nil || count != 1 || !users[0].Superuser {
			r.Errorf("got %+v, %d, %v", users, count, err)
		}
	})
}

func TestWithAdminOnlyAdministratorsRegisterOthers(t *testing.T) {
	r := newRig(t, auth.RegistrationAdminOnly)
	r.register("ann")
	bobby := auth.NewUser{Username: "bob", Password: "bob"}
	_, err := r.Register(t.Context(), nobody, bobby)
	wantWords(t, err, platform.ErrForbidden, "Authentication credentials were not provided.")
	_, err = r.Register(t.Context(), bob, bobby)
	wantWords(t, err, platform.ErrForbidden, "You do not have permission to perform this action.")
	if _, err := r.Register(t.Context(), ann, bobby); err != nil {
		t.Error(err)
	}
}

func TestWithRegistrationDisabledNobodyRegisters(t *testing.T) {
	for _, mode := range []string{auth.RegistrationDisabled, "a typing error"} {
		_, err := newRig(t, mode).Register(t.Context(), ann, auth.NewUser{Username: "bob", Password: "bob"})
		wantWords(t, err, platform.ErrForbidden, "Registration is disabled")
	}
}

func TestAUserIsRegisteredWithTheRulesOfTheContract(t *testing.T) {
	r := newRig(t, auth.RegistrationEnabled)
	r.register("ann")
	good := auth.NewUser{Username: "a.b+c@d-e_1", Password: "x", Email: "bob@example.com", FirstName: "Bob", LastName: "B"}
	for _, c := range []struct {
		change         func(*auth.NewUser)
		field, message string
	}{
		{func(u *auth.NewUser) { u.Username = "" }, "username", "This field may not be blank."},
		{func(u *auth.NewUser) { u.Username = "a b" }, "username", "Enter a valid username. This value may contain only letters, numbers and @/./+/-/_ characters."},
		{func(u *auth.NewUser) { u.Username = strings.Repeat("a", 151) }, "username", "Ensure this field has no more than 150 characters."},
		{func(u *auth.NewUser) { u.Username = "ann" }, "username", "A user with that username already exists."},
		{func(u *auth.NewUser) { u.Username = "slipway" }, "username", "A user with that username already exists."},
		{func(u *auth.NewUser) { u.Password = "" }, "password", "This field may not be blank."},
		{func(u *auth.NewUser) { u.Password = strings.Repeat("x", 4097) }, "password", "Ensure this field has no more than 4096 characters."},
		{func(u *auth.NewUser) { u.Email = "bob" }, "email", "Enter a valid email address."},
		{func(u *auth.NewUser) { u.Email = "bob@localhost" }, "email", "Enter a valid email address."},
		{func(u *auth.NewUser) { u.FirstName = strings.Repeat("ä", 151) }, "first_name", "Ensure this field has no more than 150 characters."},
		{func(u *auth.NewUser) { u.LastName = "a\x00" }, "last_name", "Null characters are not allowed."},
	} {
		user := good
		c.change(&user)
		_, err := r.Register(t.Context(), nobody, user)
		wantField(t, err, c.field, c.message)
	}
	user, err := r.Register(t.Context(), nobody, good)
	if err != nil || user.Email != good.Email || user.LastName != good.LastName {
		t.Errorf("got %+v, %v", user, err)
	}
	_, err = r.Register(t.Context(), nobody, auth.NewUser{})
	wantField(t, err, "username", "This field may not be blank.")
	wantField(t, err, "password", "This field may not be blank.")
}

func TestEveryLoginHasATokenOfItsOwn(t *testing.T) {
	r := withUsers(t)
	first, second := r.login("bob"), r.login("bob")
	if first == second || !regexp.MustCompile("^[0-9a-f]{40}$").MatchString(first) {
		t.Errorf("got %s and %s", first, second)
	}
	for _, token := range []string{first, second} {
		caller, user, err := r.ByToken(t.Context(), token)
		if err != nil || caller.User != "bob" || caller.Admin || user.LastLogin.IsZero() {
			t.Errorf("got %+v, %+v, %v", caller, user, err)
		}
	}
	if caller, _, err := r.ByToken(t.Context(), r.login("ann")); err != nil || !caller.Admin {
		t.Errorf("got %+v, %v", caller, err)
	}
}

func TestTheStoreHoldsNeitherTokenNorPassword(t *testing.T) {
	r := withUsers(t)
	token := r.login("bob")
	err := r.store.Read(t.Context(), func(tx *store.Tx) error {
		if _, _, err := tx.Token(token); !errors.Is(err, platform.ErrNotFound) {
			t.Errorf("the token itself is stored: %v", err)
		}
		hash, err := tx.PasswordHash("bob")
		if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
			t.Errorf("got %s", hash)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAUserKeepsAHundredTokens(t *testing.T) {
	r := withUsers(t)
	first := r.login("bob")
	r.write(func(tx *store.Tx) error {
		user, err := tx.User("bob")
		for n := range 100 {
			err = errors.Join(err, tx.InsertToken(fmt.Sprint(n), platform.Token{User: "bob", Name: "login", Created: user.LastLogin.Add(time.Microsecond)}, false))
		}
		return err
	})
	last := r.login("bob")
	if _, _, err := r.ByToken(t.Context(), first); err == nil {
		t.Error("the oldest token is still good")
	}
	if _, _, err := r.ByToken(t.Context(), last); err != nil {
		t.Error(err)
	}
}

func TestAWrongNameAndAWrongPasswordAreOneError(t *testing.T) {
	r := withUsers(t)
	for _, pair := range [][2]string{{"bob", "wrong"}, {"nobody", "bob"}, {"", ""}, {"bob", ""}, {strings.Repeat("x", 10_000), "\xff\x00"}} {
		_, err := r.Login(t.Context(), pair[0], pair[1], home)
		wantField(t, err, "non_field_errors", "Unable to log in with provided credentials.")
	}
}

func TestATokenThatIsNoneIsRefused(t *testing.T) {
	r := withUsers(t)
	_, _, err := r.ByToken(t.Context(), "")
	wantWords(t, err, platform.ErrUnauthenticated, "Authentication credentials were not provided.")
	for _, token := range []string{"x", strings.Repeat("a", 40), strings.Repeat("A", 40), strings.Repeat("a", 1<<20)} {
		_, _, err := r.ByToken(t.Context(), token)
		wantWords(t, err, platform.ErrUnauthenticated, "Invalid token.")
	}
}

func TestRegeneratingEndsAllTokens(t *testing.T) {
	r := withUsers(t)
	old := r.login("bob")
	fresh, err := r.RegenerateTokens(t.Context(), bob, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.ByToken(t.Context(), old); !errors.Is(err, platform.ErrUnauthenticated) {
		t.Errorf("got %v, want that the old one ended", err)
	}
	if caller, _, err := r.ByToken(t.Context(), fresh); err != nil || caller.User != "bob" {
		t.Errorf("got %+v, %v", caller, err)
	}
	if _, err := r.RegenerateTokens(t.Context(), ann, "bob"); err != nil {
		t.Error(err)
	}
	_, err = r.RegenerateTokens(t.Context(), bob, "ann")
	wantKind(t, err, platform.ErrForbidden)
	_, err = r.RegenerateTokens(t.Context(), ann, "nobody")
	wantKind(t, err, platform.ErrNotFound)
	_, err = r.RegenerateTokens(t.Context(), nobody, "")
	wantKind(t, err, platform.ErrUnauthenticated)
}

func wantKind(t *testing.T, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("got %v, want %v", err, kind)
	}
}

func TestAPasswordIsChangedByWhoKnowsItOrAnAdministrator(t *testing.T) {
	r := withUsers(t)
	set := func(caller platform.Caller, username, old, new string) error {
		return r.SetPassword(t.Context(), caller, username, old, new)
	}
	wantField(t, set(bob, "", "bob", ""), "", "new_password is a required field")
	wantField(t, set(bob, "", "", "new"), "", "password is a required field")
	wantWords(t, set(bob, "", "wrong", "new"), platform.ErrUnauthenticated, "Current password does not match")
	wantKind(t, set(bob, "ann", "bob", "new"), platform.ErrForbidden)
	wantKind(t, set(ann, "nobody", "", "new"), platform.ErrNotFound)
	wantKind(t, set(nobody, "", "", "new"), platform.ErrUnauthenticated)
	token := r.login("bob")
	if err := set(bob, "bob", "bob", "new"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Login(t.Context(), "bob", "bob", home); err == nil {
		t.Error("the old password is still good")
	}
	if _, err := r.Login(t.Context(), "bob", "new", home); err != nil {
		t.Error(err)
	}
	if _, _, err := r.ByToken(t.Context(), token); err != nil {
		t.Error(err)
	}
	if err := set(ann, "bob", "", "bob"); err != nil {
		t.Error(err)
	}
	r.login("bob")
}

func TestOnlyTheirOwnAndAdministratorsCancelAnAccount(t *testing.T) {
	r := withUsers(t)
	token := r.login("bob")
	wantKind(t, r.Cancel(t.Context(), bob, "ann"), platform.ErrForbidden)
	wantKind(t, r.Cancel(t.Context(), ann, "nobody"), platform.ErrNotFound)
	r.write(func(tx *store.Tx) error { return tx.InsertApp(platform.App{UUID: "1", ID: "blog", Owner: "bob"}) })
	wantWords(t, r.Cancel(t.Context(), bob, ""), platform.ErrConflict, "bob still has applications assigned. Delete or transfer ownership")
	r.write(func(tx *store.Tx) error { return tx.DeleteApp("blog") })
	if err := r.Cancel(t.Context(), bob, ""); err != nil {
		t.Fatal(err)
	}
	_, _, err := r.ByToken(t.Context(), token)
	wantKind(t, err, platform.ErrUnauthenticated)
	if err := r.Cancel(t.Context(), ann, "ann"); err != nil {
		t.Errorf("the last administrator may leave: %v", err)
	}
}

func TestTheLastAdministratorStaysWhileThereAreApps(t *testing.T) {
	r := withUsers(t)
	r.write(func(tx *store.Tx) error { return tx.InsertApp(platform.App{UUID: "1", ID: "blog", Owner: "bob"}) })
	wantKind(t, r.Cancel(t.Context(), ann, "ann"), platform.ErrConflict)
	wantKind(t, r.SetSuperuser(t.Context(), ann, "ann", false), platform.ErrConflict)
	if user, err := r.User(t.Context(), ann); err != nil || !user.Superuser {
		t.Errorf("a refused change left %+v, %v", user, err)
	}
	if err := r.SetSuperuser(t.Context(), ann, "bob", true); err != nil {
		t.Fatal(err)
	}
	if err := r.Cancel(t.Context(), ann, "ann"); err != nil {
		t.Errorf("one of two may leave: %v", err)
	}
}

func TestUsersAreListedForAdministrators(t *testing.T) {
	r := withUsers(t)
	users, count, err := r.Users(t.Context(), ann, platform.Page{Limit: 1, Offset: 1})
	if err != nil || count != 2 || len(users) != 1 || users[0].Username != "bob" {
		t.Errorf("got %+v, %d, %v", users, count, err)
	}
	_, _, err = r.Users(t.Context(), bob, platform.Page{})
	wantKind(t, err, platform.ErrForbidden)
	if user, err := r.User(t.Context(), bob); err != nil || user.Username != "bob" {
		t.Errorf("got %+v, %v", user, err)
	}
}
