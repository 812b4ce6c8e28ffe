package server

import (
	"errors"
	"strings"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

// authenticate fills c.caller and c.user from the Authorization header.
func (s *server) authenticate(c *call) error {
	token, err := bearer(c.r.Header.Get("Authorization"))
	if err != nil {
		return err
	}
	caller, user, err := s.users.ByToken(c.ctx(), token)
	if errors.Is(err, platform.ErrUnauthenticated) {
		return unauthenticated(words(err, "Invalid token."))
	}
	if err != nil {
		return err
	}
	caller.From = c.from
	c.caller, c.user = caller, user
	return nil
}

// bearer reads "token <token>". Another scheme is no credential at all.
func bearer(header string) (string, error) {
	words := strings.Fields(header)
	switch {
	case len(words) == 0 || !strings.EqualFold(words[0], api.AuthScheme):
		return "", unauthenticated(noCredentials)
	case len(words) == 1:
		return "", unauthenticated("Invalid token header. No credentials provided.")
	case len(words) > 2:
		return "", unauthenticated("Invalid token header. Token string should not contain spaces.")
	}
	return words[1], nil
}

func unauthenticated(text string) error {
	return &platform.UserError{Kind: platform.ErrUnauthenticated, Message: text}
}
