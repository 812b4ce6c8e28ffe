package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"slices"
	"strings"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/client"
	"github.com/slipway-paas/slipway/internal/platform"
)

// remoteName is the git remote that leads to the platform.
const remoteName = "slipway"

// remote is a git remote of the work tree.
type remote struct{ name, url string }

// git runs git in the working directory and returns what it prints.
func (c *cli) git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Env = c.opts.Dir, c.opts.Env
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) && len(failed.Stderr) > 0 {
		err = fmt.Errorf("git %s: %s", args[0], strings.TrimSpace(string(failed.Stderr)))
	}
	return strings.TrimSpace(string(out)), err
}

// inWorkTree reports whether git knows the working directory.
func (c *cli) inWorkTree(ctx context.Context) bool {
	inside, err := c.git(ctx, "rev-parse", "--is-inside-work-tree")
	return err == nil && inside == "true"
}

// remotes are those of the work tree, the platform's usual name first; none
// without git or outside of a work tree.
func (c *cli) remotes(ctx context.Context) []remote {
	out, err := c.git(ctx, "config", "--get-regexp", `^remote\..*\.url$`)
	if err != nil {
		return nil
	}
	var all []remote
	for line := range strings.Lines(out) {
		key, address, _ := strings.Cut(strings.TrimSpace(line), " ")
		name := strings.TrimSuffix(strings.TrimPrefix(key, "remote."), ".url")
		all = append(all, remote{name, address})
	}
	slices.SortStableFunc(all, func(a, b remote) int {
		return usual(b.name) - usual(a.name)
	})
	return all
}

func usual(name string) int {
	if name == remoteName {
		return 1
	}
	return 0
}

// appID is the app that is meant: --app, SLIPWAY_APP, or the first git remote
// that leads to the platform.
func (c *cli) appID(ctx context.Context, s *session) (string, error) {
	for _, id := range []string{c.app, c.opts.env("SLIPWAY_APP")} {
		if id != "" {
			return id, platform.ValidAppID(id)
		}
	}
	remotes := c.remotes(ctx)
	if len(remotes) == 0 {
		return "", hinted(&usageError{"slipway", "which app? There is no git remote here that leads to one"},
			"Name it with: -a APP; list yours with: slipway apps; or run this in the app's work tree.")
	}
	p, err := s.where(ctx)
	if err != nil {
		return "", err
	}
	for _, r := range remotes {
		if app, ok := appOf(r.url, p, s.URL()); ok {
			return app, nil
		}
	}
	return "", hinted(&usageError{"slipway", "which app? No git remote here leads to " + s.URL()},
		"Name it with: -a APP; add the remote with: slipway git remote add -a APP; or name another platform with: -c CONTEXT")
}

// remotesOf are the git remotes that lead to an app.
func (c *cli) remotesOf(ctx context.Context, s *session, app string) []remote {
	remotes := c.remotes(ctx)
	if len(remotes) == 0 {
		return nil
	}
	p, err := s.where(ctx)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(remotes, func(r remote) bool {
		at, ok := appOf(r.url, p, s.URL())
		return !ok || at != app
	})
}

// appOf reads the app from a remote's URL if that leads to the platform p,
// whose API is at apiURL.
func appOf(address string, p api.Platform, apiURL string) (string, bool) {
	u, ok := gitURL(address)
	if !ok {
		return "", false
	}
	app := strings.TrimSuffix(strings.Trim(u.Path, "/"), ".git")
	if platform.ValidAppID(app) != nil {
		return "", false
	}
	door, ok := gitURL(p.GitSSH)
	if u.Scheme != "ssh" {
		door, ok = gitURL(p.GitHTTP)
		return app, ok && sameHost(u, door)
	}
	if !ok || port(u) != port(door) {
		return "", false
	}
	// SSH answers under any name of the machine.
	host := u.Hostname()
	if sameName(host, door.Hostname()) || p.Domain != "" && (host == p.Domain || strings.HasSuffix(host, "."+p.Domain)) {
		return app, true
	}
	at, err := url.Parse(apiURL)
	if err != nil {
		return "", false
	}
	return app, sameName(host, at.Hostname()) || client.LocalHost(host) && client.LocalHost(at.Host)
}

// sameHost also holds when one is the other behind TLS, both at their usual port.
func sameHost(a, b *url.URL) bool {
	usualPorts := port(a) == usualPort[a.Scheme] && port(b) == usualPort[b.Scheme]
	return sameName(a.Hostname(), b.Hostname()) && (usualPorts || port(a) == port(b))
}

func sameName(a, b string) bool { return strings.EqualFold(a, b) }

// gitURL reads a remote's address: a URL, or git's user@host:path.
func gitURL(address string) (*url.URL, bool) {
	if !strings.Contains(address, "://") {
		host, path, ok := strings.Cut(address, ":")
		if !ok || strings.Contains(host, "/") {
			return nil, false // a path on this machine
		}
		if _, name, named := strings.Cut(host, "@"); named {
			host = name
		}
		address = "ssh://" + host + "/" + strings.TrimPrefix(path, "/")
	}
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return nil, false
	}
	return u, u.Scheme == "ssh" || u.Scheme == "http" || u.Scheme == "https"
}

var usualPort = map[string]string{"ssh": "22", "http": "80", "https": "443"}

func port(u *url.URL) string {
	if u.Port() != "" {
		return u.Port()
	}
	return usualPort[u.Scheme]
}

// remoteURL is where to push app: over SSH, or over HTTP.
func remoteURL(p api.Platform, apiURL, app string, overHTTP bool) (string, error) {
	base := p.GitSSH
	if overHTTP {
		base = p.GitHTTP
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		return "", hinted(because(platform.ErrUnavailable, "the platform names no address for git"),
			"Ask its operator, or add the remote yourself with: git remote add slipway URL")
	}
	// A platform that knows itself as localhost is, from elsewhere, where its API is.
	if at, err := url.Parse(apiURL); err == nil && !overHTTP && client.LocalHost(u.Host) && !client.LocalHost(at.Host) {
		u.Host = net.JoinHostPort(at.Hostname(), port(u))
	}
	return strings.TrimRight(u.String(), "/") + "/" + app + ".git", nil
}

// addRemote lets name lead to address. One that leads elsewhere is replaced
// only by force; added is false when it was right already.
func (c *cli) addRemote(ctx context.Context, name, address string, force bool) (added bool, err error) {
	for _, r := range c.remotes(ctx) {
		switch {
		case r.name != name:
		case r.url == address:
			return false, nil
		case !force:
			return false, hinted(because(platform.ErrConflict, "the git remote %s leads to %s already", name, r.url),
				"Replace it with: slipway git remote add --force; or add another with: slipway git remote add --name NAME")
		default:
			_, err := c.git(ctx, "remote", "set-url", "--", name, address)
			return true, err
		}
	}
	_, err = c.git(ctx, "remote", "add", "--", name, address)
	return true, err
}
