package server

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/doctor"
	"github.com/slipway-paas/slipway/internal/platform"
)

// Options is what the door tells users about the platform. All are shown to
// anybody who may log in; none changes what a verb does.
type Options struct {
	// Version of Slipway, in every answer's DEIS_PLATFORM_VERSION header.
	Version string
	// Domain is the platform domain; apps answer below it.
	Domain string
	// APIURL is the API's own base URL, without a slash at the end.
	APIURL string
	// GitSSH and GitHTTP are what "/<app>.git" is appended to. Empty: not offered.
	GitSSH, GitHTTP string
	// EdgeHTTPPort and EdgeHTTPSPort are the router's; they make the URLs of
	// apps. EdgeHTTPSPort 0 means the edge speaks no TLS.
	EdgeHTTPPort, EdgeHTTPSPort int
	// BuilderKey is what a builder shows to /v2/hooks. Empty: nobody is one. Who
	// has it may deploy as any user.
	BuilderKey string
	// Engine is the scheduler's name: local or kube.
	Engine string
	// Runtime tells how apps run here now. Nil, or a zero answer: not known.
	Runtime func() platform.RuntimeInfo
	// Metrics are what Prometheus reads, as text. Nil: there are none.
	Metrics func(context.Context) (string, error)
	// EdgeStatus is what the router counts of an app. Nil: nothing is.
	EdgeStatus func(ctx context.Context, app string) (platform.EdgeStatus, error)
}

type server struct {
	log    *slog.Logger
	desk   Desk
	users  Users
	doctor func(context.Context) []doctor.Finding
	opts   Options
	routes []route
	doc    *document

	recheck           time.Duration // of a stream, but in tests
	commands, follows crowd
}

// New is the REST API as one handler, for every host name that leads to it.
// It answers all paths; what is not an API route is a 404. examine is called
// for each GET /v2/doctor and bounded by the request.
func New(log *slog.Logger, desk Desk, users Users, examine func(context.Context) []doctor.Finding, opts Options) http.Handler {
	s := &server{log: log, desk: desk, users: users, doctor: examine, opts: opts, routes: table(), recheck: recheck}
	s.doc = newDocument(s.routes, opts.Version)
	return s
}

// NewHTTP wraps the handler in a server whose waits are bounded where a
// client could hold them, and open where a verb may take its time: a deploy
// answers when it is over.
func NewHTTP(log *slog.Logger, handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// ServeHTTP finds the route, asks who calls, reads the body, runs the handler
// and writes its answer, in this order.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{w: &writer{ResponseWriter: w}, r: r, began: time.Now(), from: remote(r), id: requestID(r)}
	h := c.w.Header()
	h[api.HeaderAPIVersion] = []string{api.APIVersion}
	h[api.HeaderPlatformVersion] = []string{s.opts.Version}
	h[api.HeaderRequestID] = []string{c.id}
	protect(h)
	defer s.finish(c)

	a, err := s.answer(c)
	if err != nil {
		a = s.failure(c, err)
	}
	a.write(c)
}

func (s *server) answer(c *call) (answer, error) {
	at := s.find(c)
	if len(at.methods) == 0 {
		return noRoute(), nil
	}
	c.w.Header().Set("Allow", strings.Join(at.methods, ", "))
	if c.r.Method == http.MethodOptions {
		return preflight(at.methods), nil
	}
	if err := s.admit(c, at); err != nil {
		return answer{}, err
	}
	if at.route == nil {
		return answer{}, notAllowed(c.r.Method)
	}
	a, err := s.serve(c, at.route)
	if isInput(err) && at.guard == forUsers && c.app() != "" {
		// Whether the app is there and the caller may see it comes first.
		if refused := s.desk.May(c.ctx(), c.caller, c.app(), platform.RoleViewer); refused != nil {
			return answer{}, refused
		}
	}
	return a, err
}

// admit asks for the credential of the place.
func (s *server) admit(c *call, at place) error {
	switch at.guard {
	case forAll:
		return nil
	case forBuilder:
		return s.authenticateBuilder(c)
	case forUsers:
	}
	if err := s.authenticate(c); err != nil {
		return err
	}
	if at.route != nil && c.caller.Scope.Bounded() && !at.route.reachesApps() {
		return platform.ErrForbidden
	}
	return nil
}

func (s *server) serve(c *call, route *route) (answer, error) {
	most := int64(maxBody)
	if route.guard == forAll {
		most = maxUnknown
	}
	body, err := readBody(c, most)
	if err != nil {
		return answer{}, err
	}
	c.body = body
	return route.handle(s, c)
}
