package server_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-paas/slipway/internal/auth"
	"github.com/slipway-paas/slipway/internal/platform"
)

// memoryUsers keeps users and keys in slices; a user's token is forty times
// the first letter of the name.
type memoryUsers struct {
	mu        sync.Mutex
	users     []platform.User
	passwords map[string]string
	keys      []platform.Key
	tokens    []platform.Token
}

func newMemoryUsers() *memoryUsers { return &memoryUsers{passwords: map[string]string{}} }

func tokenOf(username string) string { return strings.Repeat(username[:1], 40) }

func (m *memoryUsers) find(username string) int {
	return slices.IndexFunc(m.users, func(u platform.User) bool { return u.Username == username })
}

func (m *memoryUsers) Register(_ context.Context, _ platform.Caller, user auth.NewUser) (platform.User, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.find(user.Username) >= 0 {
		return platform.User{}, platform.Invalid("username", "A user with that username already exists.")
	}
	made := platform.User{
		Username: user.Username, Email: user.Email, FirstName: user.FirstName, LastName: user.LastName,
		Superuser: len(m.users) == 0, Active: true, LastLogin: born, Joined: born,
	}
	m.users = append(m.users, made)
	m.passwords[user.Username] = user.Password
	return made, nil
}

func (m *memoryUsers) Login(_ context.Context, username, password, _ string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.find(username) < 0 || m.passwords[username] != password {
		return "", platform.Invalid("non_field_errors", "Unable to log in with provided credentials.")
	}
	return tokenOf(username), nil
}

func (m *memoryUsers) ByToken(_ context.Context, token string) (platform.Caller, platform.User, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, user := range m.users {
		if tokenOf(user.Username) == token {
			return platform.Caller{User: user.Username, Admin: user.Superuser}, user, nil
		}
	}
	for _, t := range m.tokens {
		if i := m.find(t.User); strings.ToUpper(tokenOf(t.Name)) == token && i >= 0 {
			return platform.Caller{User: t.User, Admin: m.users[i].Superuser, Token: t.Name, Scope: t.Scope}, m.users[i], nil
		}
	}
	return platform.Caller{}, platform.User{}, platform.ErrUnauthenticated
}

// may returns nil when the caller may change the user.
func (m *memoryUsers) may(caller platform.Caller, username string) error {
	switch {
	case !caller.Admin && caller.User != username:
		return platform.ErrForbidden
	case m.find(username) < 0:
		return &platform.NotFoundError{Kind: "User", ID: username}
	}
	return nil
}

func (m *memoryUsers) SetPassword(_ context.Context, caller platform.Caller, username, old, new string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.may(caller, username); err != nil {
		return err
	}
	if !caller.Admin && m.passwords[username] != old {
		return &platform.UserError{Kind: platform.ErrUnauthenticated, Message: "Current password does not match"}
	}
	m.passwords[username] = new
	return nil
}

func (m *memoryUsers) RegenerateTokens(_ context.Context, caller platform.Caller, username string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.may(caller, username); err != nil {
		return "", err
	}
	return tokenOf(username), nil
}

func (m *memoryUsers) RegenerateAll(_ context.Context, caller platform.Caller) error {
	if !caller.Admin {
		return platform.ErrForbidden
	}
	return nil // tokens follow from names here
}

func (m *memoryUsers) Cancel(_ context.Context, caller platform.Caller, username string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.may(caller, username); err != nil {
		return err
	}
	m.users = slices.Delete(m.users, m.find(username), m.find(username)+1)
	return nil
}

func (m *memoryUsers) Users(_ context.Context, caller platform.Caller, page platform.Page) ([]platform.User, int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !caller.Admin {
		return nil, 0, platform.ErrForbidden
	}
	return window(slices.Clone(m.users), page)
}

func (m *memoryUsers) Keys(_ context.Context, caller platform.Caller, page platform.Page) ([]platform.Key, int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var own []platform.Key
	for _, key := range m.keys {
		if key.Owner == caller.User {
			own = append(own, key)
		}
	}
	return window(own, page)
}

func (m *memoryUsers) Key(ctx context.Context, caller platform.Caller, id string) (platform.Key, error) {
	keys, _, err := m.Keys(ctx, caller, platform.Page{Limit: 1000})
	if err != nil {
		return platform.Key{}, err
	}
	for _, key := range keys {
		if key.ID == id {
			return key, nil
		}
	}
	return platform.Key{}, &platform.NotFoundError{Kind: "Key", ID: id}
}

func (m *memoryUsers) AddKey(_ context.Context, caller platform.Caller, id, public string) (platform.Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := platform.Key{UUID: "key-uuid", ID: id, Owner: caller.User, Public: public, Fingerprint: "00:11", Created: born, Updated: born}
	m.keys = append(m.keys, key)
	return key, nil
}

func (m *memoryUsers) DeleteKey(ctx context.Context, caller platform.Caller, id string) error {
	if _, err := m.Key(ctx, caller, id); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys = slices.DeleteFunc(m.keys, func(k platform.Key) bool { return k.ID == id })
	return nil
}

func (m *memoryUsers) User(_ context.Context, caller platform.Caller) (platform.User, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := m.find(caller.User); i >= 0 {
		return m.users[i], nil
	}
	return platform.User{}, noUser(caller.User)
}

func (m *memoryUsers) KeyByMD5(_ context.Context, fingerprint string) (platform.Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range m.keys {
		if key.Fingerprint == fingerprint {
			return key, nil
		}
	}
	return platform.Key{}, &platform.NotFoundError{Kind: "Key", ID: fingerprint}
}

func (m *memoryUsers) KeysOf(ctx context.Context, username string) ([]platform.Key, error) {
	keys, _, err := m.Keys(ctx, platform.Caller{User: username}, platform.Page{Limit: 1000})
	return keys, err
}

func (m *memoryUsers) Superusers(_ context.Context, caller platform.Caller, page platform.Page) ([]platform.User, int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !caller.Admin {
		return nil, 0, platform.ErrForbidden
	}
	return window(slices.DeleteFunc(slices.Clone(m.users), func(u platform.User) bool { return !u.Superuser }), page)
}

func (m *memoryUsers) SetSuperuser(_ context.Context, caller platform.Caller, username string, superuser bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.find(username)
	switch {
	case !caller.Admin:
		return platform.ErrForbidden
	case i < 0:
		return noUser(username)
	}
	m.users[i].Superuser = superuser
	return nil
}

func (m *memoryUsers) Tokens(_ context.Context, caller platform.Caller) ([]platform.Token, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(m.tokens), func(t platform.Token) bool { return t.User != caller.User }), nil
}

// CreateToken's secret is forty times the first letter of the name, in capitals.
func (m *memoryUsers) CreateToken(_ context.Context, caller platform.Caller, name string, scope platform.Scope, lifetime time.Duration) (string, platform.Token, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if slices.ContainsFunc(m.tokens, func(t platform.Token) bool { return t.User == caller.User && t.Name == name }) {
		return "", platform.Token{}, platform.Invalid("name", "A token with this name already exists.")
	}
	token := platform.Token{Name: name, User: caller.User, Scope: scope, Created: born}
	if lifetime > 0 {
		token.Expires = born.Add(lifetime)
	}
	m.tokens = append(m.tokens, token)
	return strings.ToUpper(tokenOf(name)), token, nil
}

func (m *memoryUsers) RevokeToken(_ context.Context, caller platform.Caller, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := len(m.tokens)
	m.tokens = slices.DeleteFunc(m.tokens, func(t platform.Token) bool { return t.User == caller.User && t.Name == name })
	if len(m.tokens) == before {
		return &platform.NotFoundError{Kind: "Token", ID: name}
	}
	return nil
}
