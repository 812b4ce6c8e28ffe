package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// challenge tells who has no right credential where to get one: scope is what
// for, and fault why the one that was shown does not do.
type challenge func(q *http.Request, scope, fault string) string

func basicChallenge(*http.Request, string, string) string { return `Basic realm="slipway"` }

// bearerChallenge leads to the token endpoint under the name that the client
// itself used (RFC 6750, 3).
func bearerChallenge(q *http.Request, scope, fault string) string {
	text := fmt.Sprintf(`Bearer realm="%s://%s/token",service="slipway"`, scheme(q), q.Host)
	if scope != "" {
		text += fmt.Sprintf(`,scope="%s"`, scope)
	}
	if fault != "" {
		text += fmt.Sprintf(`,error="%s"`, fault)
	}
	return text
}

// edge reports whether the request came over a unix socket, which the node's
// router alone reaches: what it says of its client is true.
func edge(q *http.Request) bool { return q.RemoteAddr == "" || q.RemoteAddr == "@" }

func scheme(q *http.Request) string {
	if q.TLS != nil || edge(q) && strings.EqualFold(q.Header.Get("X-Forwarded-Proto"), "https") {
		return "https"
	}
	return "http"
}

// origin is the address of who asks, without a port.
func origin(q *http.Request) string {
	if edge(q) {
		claims := strings.Split(strings.Join(q.Header.Values("X-Forwarded-For"), ","), ",")
		if last, err := netip.ParseAddr(strings.TrimSpace(claims[len(claims)-1])); err == nil {
			return last.String()
		}
	}
	if host, _, err := net.SplitHostPort(q.RemoteAddr); err == nil {
		return host
	}
	return q.RemoteAddr
}

// answer finds the place, asks who calls and whether they may, and serves.
func (r *Registry) answer(w *statusWriter, q *http.Request, challenge challenge) {
	body := q.Body
	q.Body = io.NopCloser(body) // who stops reading leaves the rest to settle
	if q.URL.Path == "/token" && r.options.Login != nil {
		r.settle(w, q, body, r.token(w, q), basicChallenge, "")
		return
	}
	p := find(q.URL.Path)
	if r.options.Login == nil {
		challenge = basicChallenge
	}
	r.settle(w, q, body, r.enter(w, q, p), challenge, scope(p, q.Method))
}

// settle ends a request in its error, if any, and reads what is left of a body
// that was refused.
func (r *Registry) settle(w http.ResponseWriter, q *http.Request, body io.Reader, err error, challenge challenge, scope string) {
	var f *fault
	if errors.As(err, &f) && f.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", challenge(q, scope, wrong(f)))
	}
	if err == nil {
		return
	}
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex() // HTTP/2 is it anyway
	r.refuse(w, err)
	_ = control.Flush()
	drain(control, body)
}

// What is read of a body after it was refused.
const (
	drainBytes    = 64 << 20
	drainPatience = 5 * time.Second
)

// drain reads on for a while after an answer: a sender, or a proxy before it,
// that is cut off while it writes may never look at what it was told.
func drain(control *http.ResponseController, body io.Reader) {
	_ = control.SetReadDeadline(time.Now().Add(drainPatience))
	_, _ = io.CopyN(io.Discard, body, drainBytes) // whatever ends it
}

// wrong is what the challenge says of the token that was shown.
func wrong(f *fault) string {
	text, _ := f.detail.(string)
	f.detail = nil
	return text
}

// scope is what a request needs, as a challenge asks for it.
func scope(p place, method string) string {
	switch action := need(p, method); {
	case p.kind == catalog:
		return "registry:catalog:*"
	case p.repo == "" || len(p.repo) > maxName || !nameForm.MatchString(p.repo):
		return ""
	case action == "push":
		return "repository:" + p.repo + ":pull,push"
	default:
		return "repository:" + p.repo + ":" + action
	}
}

// need is the action a request is.
func need(p place, method string) string {
	switch {
	case p.kind == start || p.kind == upload:
		return "push"
	case method == http.MethodGet || method == http.MethodHead:
		return "pull"
	case method == http.MethodDelete:
		return "delete"
	}
	return "push"
}

// enter serves a request of somebody who may.
func (r *Registry) enter(w *statusWriter, q *http.Request, p place) error {
	v, err := r.visitor(q)
	if err != nil {
		return err
	}
	q.Header.Del("Authorization")
	if p.kind == nowhere {
		return faultf(http.StatusNotFound, "NAME_UNKNOWN", "nothing of a registry is at this path")
	}
	if !slices.Contains(methods[p.kind], q.Method) {
		w.Header().Set("Allow", strings.Join(methods[p.kind], ", "))
		return faultf(http.StatusMethodNotAllowed, "UNSUPPORTED", "%.20s is nothing that can be done here", q.Method)
	}
	if err := p.check(q.Method); err != nil {
		return err
	}
	if err := r.authorize(q.Context(), v, p, need(p, q.Method)); err != nil {
		return err
	}
	return r.dispatch(w, q, p, v)
}

// visitor is who the request comes from.
func (r *Registry) visitor(q *http.Request) (visitor, error) {
	if username, password, ok := q.BasicAuth(); ok && r.isPlatform(username, password) {
		return visitor{Platform: true, unbounded: true}, nil
	}
	kind, token, _ := strings.Cut(q.Header.Get("Authorization"), " ")
	if !strings.EqualFold(kind, "bearer") {
		return visitor{}, faultf(http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
	}
	v, err := r.tokens.read(strings.TrimSpace(token), time.Now())
	if err != nil {
		return visitor{}, unauthorized("invalid_token")
	}
	return v, nil
}

func unauthorized(why string) error {
	f := faultf(http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
	f.detail = why
	return f
}

// authorize refuses what the visitor may not do. A token that was not asked
// for it is sent back for one that is.
func (r *Registry) authorize(ctx context.Context, v visitor, p place, action string) error {
	switch {
	case p.kind == base:
		return nil
	case p.kind == catalog:
		if !v.asked("registry", "catalog", "*") {
			return unauthorized("insufficient_scope")
		}
		if v.Platform || v.Caller.Admin && !v.Caller.Scope.Bounded() {
			return nil
		}
		return denied("administrators alone list all repositories")
	case !v.asked("repository", p.repo, action):
		return unauthorized("insufficient_scope")
	}
	return r.may(ctx, v, p.repo, action)
}

// isPlatforms reports whether a repository is no app's: no app can have the name.
func isPlatforms(repo string) bool {
	return app(repo) == "slipway" || app(repo) == platform.StackRepository
}

// may asks the platform whether the visitor may do that with the repository.
// An app that is not there is as one that others have.
func (r *Registry) may(ctx context.Context, v visitor, repo, action string) error {
	if v.Platform {
		return nil
	}
	id, role := app(repo), platform.RoleViewer
	if action != "pull" {
		role = platform.RoleDeployer
	}
	if isPlatforms(repo) {
		if v.Caller.Admin && !v.Caller.Scope.Bounded() && action == "pull" {
			return nil
		}
		return denied("%s is the platform's own", repo)
	}
	err := r.options.May(ctx, v.Caller, id, role)
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, platform.ErrForbidden) && !errors.Is(err, platform.ErrNotFound):
		return err
	case v.Caller.Admin && !v.Caller.Scope.Bounded():
		return faultf(http.StatusNotFound, "NAME_UNKNOWN", "%s belongs to app %s, which does not exist: create it first, slipway create %s", repo, id, id)
	}
	return denied("you may not %s %s: there is no app %s, or it is not shared with you as %s", action, repo, id, role)
}

// dispatch leads to what serves the place.
func (r *Registry) dispatch(w *statusWriter, q *http.Request, p place, v visitor) error {
	switch p.kind {
	case base:
		reply(w, http.StatusOK, map[string]any{})
		return nil
	case catalog:
		return r.listRepositories(w, q)
	case tagList:
		return r.listTags(w, q, p)
	case referrers:
		return r.listReferrers(w, q, p)
	case manifest:
		return r.manifest(w, q, p, v)
	case blob:
		return r.blob(w, q, p)
	case start:
		return r.start(w, q, p, v)
	case upload:
		return r.upload(w, q, p)
	case nowhere:
	}
	return errors.New("a place without a handler")
}
