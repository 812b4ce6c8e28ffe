package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

// Check returns nil when a platform answers at the URL, whoever asks; else a
// *ConnectError or a *NotPlatformError.
func (c *Client) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	req, err := c.prepare(ctx, request{method: http.MethodGet, path: "/v2/"})
	if err != nil {
		return err
	}
	req.Header.Del("Authorization")
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return c.refusal(resp, req.Method, "/v2/")
	}
	if resp.Header.Get(api.HeaderAPIVersion) == "" {
		return &NotPlatformError{URL: c.URL(), Reason: "it answers " + resp.Status + " without an API version"}
	}
	return nil
}

// Register makes a user; the platform's first one becomes its administrator.
func (c *Client) Register(ctx context.Context, r api.Register) (api.User, error) {
	var user api.User
	return user, c.post(ctx, path("auth", "register"), r, &user)
}

// Login trades a password for the user's token. A wrong pair matches
// platform.ErrUnauthenticated.
func (c *Client) Login(ctx context.Context, username, password string) (token string, err error) {
	var answer api.Token
	err = c.post(ctx, path("auth", "login"), api.Login{Username: username, Password: password}, &answer)
	var refused *Error
	if errors.As(err, &refused) && len(refused.Answer.Fields["non_field_errors"]) > 0 {
		err = &platform.UserError{Kind: platform.ErrUnauthenticated, Message: refused.Error()}
	}
	return answer.Token, err
}

// WhoAmI is the user whose token is used.
func (c *Client) WhoAmI(ctx context.Context) (api.User, error) {
	var user api.User
	return user, c.get(ctx, path("auth", "whoami"), &user)
}

// ChangePassword sets a password: one's own, or another's as an administrator.
func (c *Client) ChangePassword(ctx context.Context, p api.Passwd) error {
	return c.post(ctx, path("auth", "passwd"), p, nil)
}

// Regenerate replaces tokens of logins: one's own when t is empty, else
// another's or everybody's, as an administrator. It returns the new token,
// empty when there are many.
func (c *Client) Regenerate(ctx context.Context, t api.Tokens) (token string, err error) {
	var answer json.RawMessage // {"token":""}, or "" for everybody's
	if err := c.post(ctx, path("auth", "tokens"), t, &answer); err != nil || t.All {
		return "", err
	}
	var one api.Token
	if err := json.Unmarshal(answer, &one); err != nil {
		return "", &NotPlatformError{URL: c.URL(), Reason: "no token in the answer: " + err.Error()}
	}
	return one.Token, nil
}

// Cancel forgets a user who owns no app: oneself, or another as an administrator.
func (c *Client) Cancel(ctx context.Context, username string) error {
	return c.do(ctx, request{method: http.MethodDelete, path: path("auth", "cancel"), in: api.Cancel{Username: username}, wait: quick})
}
