package server

import (
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/auth"
	"github.com/slipway-paas/slipway/internal/platform"
)

const (
	badUsername = "Enter a valid username. This value may contain only letters, numbers and @/./+/-/_ characters."
	badEmail    = "Enter a valid email address."
	maxName     = 150 // characters of a username, a first and a last name
	maxEmail    = 254
	maxPassword = 4096
)

var (
	usernameForm = regexp.MustCompile(`^[\w.@+-]+$`)
	emailForm    = regexp.MustCompile(`^[^\s@<>"(),:;\\\[\]]+@[^\s@<>"(),:;\\\[\]]+\.[^\s@<>"(),:;\\\[\]]+$`)
)

func (s *server) register(c *call) (answer, error) {
	f := c.body
	user := auth.NewUser{
		Username:  f.required("username"),
		Password:  f.secret("password"),
		Email:     f.short("email", maxEmail),
		FirstName: f.short("first_name", maxName),
		LastName:  f.short("last_name", maxName),
	}
	f.short("username", maxName)
	f.short("password", maxPassword)
	if user.Username != "" && !usernameForm.MatchString(user.Username) {
		f.reject("username", badUsername)
	}
	if user.Email != "" && !emailForm.MatchString(user.Email) {
		f.reject("email", badEmail)
	}
	if err := f.err(); err != nil {
		return answer{}, err
	}
	// A stale token is nobody, not an error: the client sends what it has.
	caller := platform.Caller{From: c.from}
	if s.authenticate(c) == nil && !c.caller.Scope.Bounded() {
		caller = c.caller
	}
	if caller.User == "" && s.foreign(c.r) {
		return answer{}, &platform.UserError{Kind: platform.ErrForbidden, Message: "A page of another site cannot register anybody here."}
	}
	made, err := s.users.Register(c.ctx(), caller, user)
	if err != nil {
		return answer{}, err
	}
	return created(wireUser(made))
}

// foreign reports whether a browser asks for a page that is not the platform's
// own (RFC 6454): one of another host, or of a name that somebody has lead to
// this address. All but registering needs a token, which such a page does not
// have; who registers first becomes the administrator.
func (s *server) foreign(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	at, err := url.Parse(origin)
	if err != nil || !strings.EqualFold(at.Host, r.Host) {
		return true
	}
	name := strings.ToLower(at.Hostname())
	_, err = netip.ParseAddr(name)
	return err != nil && name != "localhost" && name != "slipway."+s.opts.Domain && name != "deis."+s.opts.Domain
}

func (s *server) login(c *call) (answer, error) {
	f := c.body
	username, password := f.required("username"), f.secret("password")
	if err := f.err(); err != nil {
		return answer{}, err
	}
	token, err := s.users.Login(c.ctx(), username, password, c.from)
	if err != nil {
		return answer{}, err
	}
	return ok(api.Token{Token: token})
}

func (s *server) whoami(c *call) (answer, error) { return ok(wireUser(c.user)) }

func (s *server) passwd(c *call) (answer, error) {
	f := c.body
	username, old := strings.TrimSpace(f.optional("username")), f.optional("password")
	if username == "" {
		username = c.caller.User
	}
	fresh := f.optional("new_password")
	f.short("new_password", maxPassword)
	switch {
	case fresh == "" && !f.rejected("new_password"):
		f.reject("", "new_password is a required field")
	case old == "" && username == c.caller.User && !c.caller.Admin:
		f.reject("", "password is a required field")
	}
	if err := f.err(); err != nil {
		return answer{}, err
	}
	if err := s.users.SetPassword(c.ctx(), c.caller, username, old, fresh); err != nil {
		return answer{}, err
	}
	return ok(api.Status{Status: "password set"})
}

func (s *server) tokens(c *call) (answer, error) {
	f := c.body
	username, all := strings.TrimSpace(f.optional("username")), f.boolean("all")
	if err := f.err(); err != nil {
		return answer{}, err
	}
	if (f.has("username") || f.has("all")) && !c.caller.Admin {
		return answer{}, platform.ErrForbidden
	}
	if all != nil && *all {
		if err := s.users.RegenerateAll(c.ctx(), c.caller); err != nil {
			return answer{}, err
		}
		return ok("")
	}
	if username == "" {
		username = c.caller.User
	}
	token, err := s.users.RegenerateTokens(c.ctx(), c.caller, username)
	if err != nil {
		return answer{}, err
	}
	return ok(api.Token{Token: token})
}

func (s *server) cancel(c *call) (answer, error) {
	f := c.body
	username := strings.TrimSpace(f.optional("username"))
	if err := f.err(); err != nil {
		return answer{}, err
	}
	if username == "" {
		username = c.caller.User
	}
	if err := s.users.Cancel(c.ctx(), c.caller, username); err != nil {
		return answer{}, err
	}
	return noContent()
}

func (s *server) listUsers(c *call) (answer, error) {
	users, count, err := s.users.Users(c.ctx(), c.caller, c.page())
	if err != nil {
		return answer{}, err
	}
	return list(c, users, count, wireUser)
}

func wireUser(u platform.User) api.User {
	if u.LastLogin.IsZero() { // clients read a time there
		u.LastLogin = u.Joined
	}
	return api.User{
		Email: u.Email, Username: u.Username, FirstName: u.FirstName, LastName: u.LastName,
		IsSuperuser: u.Superuser, IsStaff: u.Superuser, IsActive: u.Active,
		Groups: some(u.Groups), Permissions: []string{},
		LastLogin: api.At(u.LastLogin), DateJoined: api.At(u.Joined),
	}
}
