package cli

import (
	"context"
	"errors"
	"net/url"
	"runtime"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/client"
	"github.com/slipway-paas/slipway/internal/platform"
)

// defaultURL is where "slipway serve" answers with nothing configured.
const defaultURL = "http://slipway.localhost:8080"

// session is a platform and who asks it.
type session struct {
	*client.Client
	profile profile
	saved   bool // the profile came from its file, and may be written back
}

// connect finds the platform and the user: SLIPWAY_URL and SLIPWAY_TOKEN, else
// the profile. It asks nobody yet.
func (c *cli) connect() (*session, error) {
	p, saved, err := c.identity()
	if err != nil {
		return nil, err
	}
	conn, err := c.dial(p)
	if err != nil {
		return nil, err
	}
	return &session{Client: conn, profile: p, saved: saved}, nil
}

func (c *cli) identity() (p profile, saved bool, err error) {
	address, token := c.opts.env("SLIPWAY_URL"), c.opts.env("SLIPWAY_TOKEN")
	if c.context == "" && address != "" && token != "" {
		return profile{URL: address, Token: token}, false, nil
	}
	p, err = c.loadProfile(c.contextID())
	switch {
	case c.context != "" || address == "" && token == "":
		return p, true, err
	case err != nil && !errors.Is(err, platform.ErrUnauthenticated):
		return p, false, err
	case token != "":
		if p.URL == "" {
			p.URL = defaultURL
		}
		return profile{URL: p.URL, Token: token, CAFile: p.CAFile, Insecure: p.Insecure}, false, nil
	}
	// A token is only for the platform that gave it.
	if err == nil && p.URL == address {
		return p, true, nil
	}
	return p, false, hinted(because(platform.ErrUnauthenticated, "you are not logged in to %s, which SLIPWAY_URL names", address),
		"Set SLIPWAY_TOKEN as well, or log in with: slipway login %s", address)
}

func (c *cli) dial(p profile) (*client.Client, error) {
	return client.New(client.Options{
		URL: p.URL, Token: p.Token, CAFile: p.CAFile, Insecure: p.Insecure,
		UserAgent: "slipway/" + c.opts.Version + " (" + runtime.GOOS + "; " + runtime.GOARCH + ")",
	})
}

// where is what the platform says of itself: remembered, else asked.
func (s *session) where(ctx context.Context) (api.Platform, error) {
	if s.profile.Platform != nil {
		return *s.profile.Platform, nil
	}
	p, err := s.Platform(ctx)
	if err == nil {
		s.profile.Platform = &p
	}
	return p, err
}

// refresh asks the platform where its parts are, and remembers it.
func (c *cli) refresh(ctx context.Context, s *session) (api.Platform, error) {
	s.profile.Platform = nil
	p, err := s.where(ctx)
	if err == nil && s.saved {
		err = c.saveProfile(c.contextID(), s.profile)
	}
	return p, err
}

// connectApp is connect, and the app that is meant.
func (c *cli) connectApp(ctx context.Context) (*session, string, error) {
	s, err := c.connect()
	if err != nil {
		return nil, "", err
	}
	app, err := c.appID(ctx, s)
	return s, app, err
}

// unescaped is a path segment as it was before it was escaped.
func unescaped(segment string) string {
	if text, err := url.PathUnescape(segment); err == nil {
		return text
	}
	return segment
}
