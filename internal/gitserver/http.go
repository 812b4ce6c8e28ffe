package gitserver

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

const (
	maxFetchRequest = 8 << 20
	drainTime       = 10 * time.Second
	// requestTime is how long a client may take over its first bytes, and over
	// a fetch's request, which is small, whole.
	requestTime = time.Minute
)

// ServeHTTP speaks smart HTTP (gitprotocol-http) for <app>.git at the root of
// its host. The handler of a push returns when the push is over, even when the
// client has left.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	app, verb, err := parsePath(r.URL.Path)
	if err != nil {
		http.Error(w, s.opts.Name+" serves git here: clone or push <app>.git", http.StatusNotFound)
		return
	}
	caller, err := s.identify(r)
	if err == nil {
		err = s.desk.Authorize(r.Context(), caller, app)
	}
	if err != nil {
		s.refuseHTTP(w, app, err)
		return
	}
	switch {
	case r.Method == http.MethodGet && verb == "info/refs":
		s.serveRefs(w, r, app, caller)
	case r.Method == http.MethodPost && (verb == receivePack || verb == uploadPack):
		s.serveService(w, r, app, verb, caller)
	default:
		http.Error(w, "no such request of git: "+r.Method+" "+r.URL.Path, http.StatusNotFound)
	}
}

// parsePath splits /blog.git/info/refs into the app and what is asked of it.
func parsePath(path string) (app, verb string, err error) {
	repo, verb, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !ok || verb == "" {
		return "", "", errNoRepo
	}
	app, err = parseRepo(repo)
	return app, verb, err
}

// identify finds the caller from a token, which may stand in an Authorization
// of its own or be either half of basic credentials.
func (s *Server) identify(r *http.Request) (platform.Caller, error) {
	ctx := r.Context()
	tokens := make([]string, 1, 2)
	var scheme string
	scheme, tokens[0], _ = strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "token") && !strings.EqualFold(scheme, "bearer") {
		// A password is no token: each login mints one, and git would log in
		// twice a push.
		user, password, _ := r.BasicAuth()
		tokens = append(tokens[:0], password, user)
	}
	for _, token := range tokens {
		if token == "" {
			continue
		}
		caller, _, err := s.auth.ByToken(ctx, token)
		if err == nil || !errors.Is(err, platform.ErrUnauthenticated) {
			caller.From = origin(r)
			return caller, err
		}
	}
	return platform.Caller{}, fmt.Errorf("token: %w", platform.ErrUnauthenticated)
}

// refuseHTTP answers an error; git shows a plain text body as "remote:" lines.
func (s *Server) refuseHTTP(w http.ResponseWriter, app string, err error) {
	status := http.StatusServiceUnavailable
	switch {
	case errors.Is(err, platform.ErrUnauthenticated):
		w.Header().Set("WWW-Authenticate", fmt.Sprintf("Basic realm=%q, charset=\"UTF-8\"", s.opts.Name))
		http.Error(w, fmt.Sprintf("who are you? Log in with  %s login  and then  %s git remote --http", s.opts.Name, s.opts.Name), http.StatusUnauthorized)
		return
	case errors.Is(err, platform.ErrNotFound):
		status = http.StatusNotFound
	case errors.Is(err, platform.ErrForbidden):
		status = http.StatusForbidden
	}
	http.Error(w, s.refusal(app, err), status)
}

// serveRefs begins a conversation: it lists the refs.
func (s *Server) serveRefs(w http.ResponseWriter, r *http.Request, app string, caller platform.Caller) {
	service := r.URL.Query().Get("service")
	if service != receivePack && service != uploadPack {
		http.Error(w, "your git is too old: use one that speaks smart HTTP (1.6.6 or newer)", http.StatusForbidden)
		return
	}
	answerHeader(w, "application/x-"+service+"-advertisement")
	greeting := packet("# service=" + service + "\n")
	if service == receivePack && s.pushes.ongoing(app) {
		w.Write(append(append(greeting, flushPacket...), errorPacket(errOngoing.Error())...)) //nolint:errcheck // the client may be gone
		return
	}
	c := httpClient(w, r, caller)
	if service != uploadPack || !strings.Contains(c.protocol, "version=2") {
		c.out = &prefixed{Writer: c.out, prefix: append(greeting, flushPacket...)}
	}
	if _, err := s.listRefs(r.Context(), app, service, c); err != nil {
		s.refuseHTTP(w, app, err)
	}
}

// serveService goes on with a conversation: a fetch or a push.
func (s *Server) serveService(w http.ResponseWriter, r *http.Request, app, service string, caller platform.Caller) {
	if r.Header.Get("Content-Type") != "application/x-"+service+"-request" {
		http.Error(w, "not a request of git: its Content-Type must be application/x-"+service+"-request", http.StatusUnsupportedMediaType)
		return
	}
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(requestTime)) //nolint:errcheck // then the client ends it
	body, err := plainBody(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if service == uploadPack {
		s.serveFetch(w, r, app, caller, body)
		return
	}
	s.servePush(w, r, app, caller, body)
}

// serveFetch reads the request to its end before git may answer: a request is
// small, and HTTP/1 has no talking back while one comes in.
func (s *Server) serveFetch(w http.ResponseWriter, r *http.Request, app string, caller platform.Caller, body io.Reader) {
	text, err := io.ReadAll(io.LimitReader(body, maxFetchRequest+1))
	switch {
	case err != nil:
		http.Error(w, "the request broke off: "+err.Error(), http.StatusBadRequest)
		return
	case len(text) > maxFetchRequest:
		http.Error(w, fmt.Sprintf("a fetch of more than %s of refs is refused: fetch fewer at once", byteSize(maxFetchRequest)), http.StatusRequestEntityTooLarge)
		return
	}
	c := httpClient(w, r, caller)
	c.in = bytes.NewReader(text)
	answerHeader(w, "application/x-git-upload-pack-result")
	if _, err := s.fetch(r.Context(), app, c); err != nil && r.Context().Err() == nil {
		s.refuseHTTP(w, app, err)
	}
}

// servePush answers a push that is refused within the answer git expects: it
// has lost the race for the lock, say, since its refs were listed.
func (s *Server) servePush(w http.ResponseWriter, r *http.Request, app string, caller platform.Caller, body io.Reader) {
	start := bufio.NewReaderSize(body, 16)
	head, err := start.Peek(len(flushPacket) + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		http.Error(w, "the request broke off: "+err.Error(), http.StatusBadRequest)
		return
	}
	answerHeader(w, "application/x-git-receive-pack-result")
	if err != nil && string(head) == flushPacket {
		return // before it sends a large push git asks with an empty one, to be let in
	}
	c := httpClient(w, r, caller)
	c.drain = func() { drain(w, body) }
	c.in = start
	if _, err := s.receive(r.Context(), app, c); err != nil {
		c.drain()
		w.Write(append(bandPacket(bandFatal, s.refusal(app, err)), flushPacket...)) //nolint:errcheck // the client may be gone
	}
}

// drain reads the rest of a request that nobody wants. A client that can send
// all of it reads our answer well; from one that takes too long the connection
// is taken, and some clients then say less.
func drain(w http.ResponseWriter, body io.Reader) {
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Now().Add(drainTime)) //nolint:errcheck // then the server drains less
	io.Copy(io.Discard, body)                          //nolint:errcheck // as above
	control.SetReadDeadline(time.Time{})               //nolint:errcheck // as above
}

func answerHeader(w http.ResponseWriter, contentType string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-cache, max-age=0, must-revalidate")
}

// httpClient is the client behind a request. Neither the reading nor the
// writing of it has a deadline: a push may take long.
func httpClient(w http.ResponseWriter, r *http.Request, caller platform.Caller) client {
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Time{})  //nolint:errcheck // then there is none
	control.SetWriteDeadline(time.Time{}) //nolint:errcheck // as above
	return client{
		caller: caller, in: r.Body, out: flusher{w, control}, protocol: r.Header.Get("Git-Protocol"), stateless: true,
		hangUp: func() {
			control.SetReadDeadline(time.Unix(1, 0))  //nolint:errcheck // then the client ends it
			control.SetWriteDeadline(time.Unix(1, 0)) //nolint:errcheck // as above
		},
	}
}

// plainBody undoes the compression that git uses for long requests.
func plainBody(r *http.Request) (io.Reader, error) {
	switch r.Header.Get("Content-Encoding") {
	case "", "identity":
		return r.Body, nil
	case "gzip", "x-gzip":
		body, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, fmt.Errorf("the request is not gzip as it says: %w", err)
		}
		return body, nil
	}
	return nil, errors.New("the request is compressed in a way git does not use")
}

// flusher sends every write on at once: a user watches.
type flusher struct {
	w       io.Writer
	control *http.ResponseController
}

func (f flusher) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err == nil {
		err = f.control.Flush()
	}
	return n, err
}

// prefixed writes a prefix before the first bytes.
type prefixed struct {
	io.Writer
	prefix []byte
}

func (p *prefixed) Write(b []byte) (int, error) {
	if p.prefix != nil {
		if _, err := p.Writer.Write(p.prefix); err != nil {
			return 0, err
		}
		p.prefix = nil
	}
	return p.Writer.Write(b)
}
