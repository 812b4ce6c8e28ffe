package server

import (
	"fmt"
	"strconv"
	"time"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

// maxTokenLife keeps the seconds of expires_in a duration.
const maxTokenLife = 10 * 365 * 24 * time.Hour

func (s *server) listTokens(c *call) (answer, error) {
	tokens, err := s.users.Tokens(c.ctx(), c.caller)
	if err != nil {
		return answer{}, err
	}
	page := c.page()
	from := min(page.Offset, len(tokens))
	return list(c, tokens[from:from+min(page.Limit, len(tokens)-from)], len(tokens), wireToken)
}

func (s *server) createToken(c *call) (answer, error) {
	f := c.body
	name, role, apps := f.required("name"), f.role(), f.texts("apps") // auth knows their rules
	life := f.lifetime()
	if err := f.err(); err != nil {
		return answer{}, err
	}
	secret, token, err := s.users.CreateToken(c.ctx(), c.caller, name, platform.Scope{Role: role, Apps: apps}, life)
	if err != nil {
		return answer{}, err
	}
	return created(api.CreatedToken{NamedToken: wireToken(token), Token: secret})
}

// lifetime reads expires_in; 0 is for ever.
func (f *fields) lifetime() time.Duration {
	if !f.given("expires_in") {
		return 0
	}
	text := literal(f.raw["expires_in"])
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > int64(maxTokenLife/time.Second) {
		f.reject("expires_in", fmt.Sprintf("Seconds, from 0, which is never, to %d.", int64(maxTokenLife/time.Second)))
		return 0
	}
	return time.Duration(n) * time.Second
}

func (s *server) revokeToken(c *call) (answer, error) {
	if err := s.users.RevokeToken(c.ctx(), c.caller, c.path["name"]); err != nil {
		return answer{}, err
	}
	return noContent()
}

func wireToken(t platform.Token) api.NamedToken {
	return api.NamedToken{
		Name: t.Name, Role: string(t.Scope.Role), Apps: some(t.Scope.Apps),
		Created: api.At(t.Created), Expires: when(t.Expires), LastUsed: when(t.LastUsed),
	}
}

// when is nil for never.
func when(t time.Time) *api.Time {
	if t.IsZero() {
		return nil
	}
	at := api.At(t)
	return &at
}
