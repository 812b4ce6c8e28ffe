package server

import (
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

const badSlug = `Enter a valid "slug" consisting of letters, numbers, underscores or hyphens.`

var slugForm = regexp.MustCompile(`^[-a-zA-Z0-9_]+$`)

func (s *server) listApps(c *call) (answer, error) {
	apps, count, err := s.desk.Apps(c.ctx(), c.caller, c.page())
	if err != nil {
		return answer{}, err
	}
	return list(c, apps, count, wireApp)
}

// createApp takes the id as the user wrote it; null or none is generated. A
// structure the client sends is ignored: the first build decides.
func (s *server) createApp(c *call) (answer, error) {
	f := c.body
	id := ""
	if f.given("id") {
		id = f.appID()
	}
	if err := f.err(); err != nil {
		return answer{}, err
	}
	app, err := s.desk.CreateApp(c.ctx(), c.caller, id)
	if err != nil {
		return answer{}, err
	}
	body, err := s.detailed(c, app)
	if err != nil {
		return answer{}, err
	}
	return created(body)
}

// appID reads the id an app shall have.
func (f *fields) appID() string {
	id := f.required("id")
	if !f.rejected("id") {
		f.check(platform.ValidAppID(id))
		if !slugForm.MatchString(id) {
			f.reject("id", badSlug)
		}
	}
	return id
}

// transfer gives the app to another user; no owner is no change.
func (s *server) transfer(c *call) (answer, error) {
	f, owner := c.body, ""
	if f.has("owner") {
		owner = f.required("owner")
	}
	if err := f.err(); err != nil {
		return answer{}, err
	}
	if err := s.desk.Transfer(c.ctx(), c.caller, c.app(), owner); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK}, nil
}

func (s *server) rename(c *call) (answer, error) {
	f := c.body
	id := f.appID()
	if err := f.err(); err != nil {
		return answer{}, err
	}
	app, err := s.desk.Rename(c.ctx(), c.caller, c.app(), id)
	if err != nil {
		return answer{}, err
	}
	body, err := s.detailed(c, app)
	if err != nil {
		return answer{}, err
	}
	return ok(body)
}

func (s *server) getApp(c *call) (answer, error) {
	app, err := s.desk.App(c.ctx(), c.caller, c.app())
	if err != nil {
		return answer{}, err
	}
	body, err := s.detailed(c, app)
	if err != nil {
		return answer{}, err
	}
	return ok(body)
}

func (s *server) deleteApp(c *call) (answer, error) {
	if err := s.desk.DestroyApp(c.ctx(), c.caller, c.app()); err != nil {
		return answer{}, err
	}
	return noContent()
}

func (s *server) detailed(c *call, app platform.App) (api.App, error) {
	hosts, err := s.desk.Hosts(c.ctx(), c.caller, app.ID)
	if err != nil {
		return api.App{}, err
	}
	body := wireApp(app)
	for _, host := range hosts {
		body.URLs = append(body.URLs, s.opts.appURL(host))
	}
	return body, nil
}

// appURL is where the edge answers for a host. It is plain HTTP, which needs
// no certificate to work.
func (o Options) appURL(host string) string {
	if o.EdgeHTTPPort == 0 || o.EdgeHTTPPort == 80 {
		return "http://" + host
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(o.EdgeHTTPPort))
}

func (s *server) scale(c *call) (answer, error) {
	formation := make(map[string]int, len(c.body.raw))
	for process, raw := range c.body.raw {
		text := literal(raw)
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			c.body.reject("", "Invalid scaling format: invalid literal for int() with base 10: '"+clip(text)+"'")
			continue
		}
		if n < 0 {
			c.body.reject("", "Invalid scaling format: ['Must be greater than or equal to zero']")
		}
		formation[process] = n
	}
	if err := c.body.err(); err != nil {
		return answer{}, err
	}
	if err := s.desk.Scale(c.ctx(), c.caller, c.app(), formation); err != nil {
		return answer{}, err
	}
	return noContent()
}

// maxClip is how much of the input a message repeats, in bytes.
const maxClip = 80

// clip shortens what a message repeats of the input.
func clip(text string) string {
	if len(text) > maxClip {
		return strings.ToValidUTF8(text[:maxClip], "") + "…"
	}
	return text
}

func wireApp(a platform.App) api.App {
	if a.Formation == nil {
		a.Formation = map[string]int{}
	}
	structure := make(map[string]int, len(a.Procfile))
	for process := range a.Procfile {
		structure[process] = a.Formation[process]
	}
	return api.App{
		UUID: a.UUID, ID: a.ID, Owner: a.Owner, Structure: a.Formation, ProcfileStructure: structure,
		Created: api.At(a.Created), Updated: api.At(a.Updated),
	}
}
