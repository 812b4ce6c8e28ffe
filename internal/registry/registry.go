package registry

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	// The driver adds itself to the registry's factory.
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/sirupsen/logrus"

	"github.com/slipway-paas/slipway/internal/platform"
)

// MinPassword is the shortest password New accepts, in bytes.
const MinPassword = 16

// DefaultGrace is how old content that nothing names must be to be collected.
const DefaultGrace = 24 * time.Hour

// Options of a registry.
type Options struct {
	// Dir holds blobs and manifests; made if it is missing, readable by its
	// owner only. It belongs to one process at a time.
	Dir string
	// User and Password are the platform's own credential, which may do
	// everything. Apps share the loopback interface with the registry, so the
	// password must be random.
	User, Password string
	// Grace is how long content that nothing names stays: DefaultGrace. A push
	// that takes longer from a layer to its manifest has to send that layer again.
	Grace time.Duration
	// Login says whose the user name and secret are, which is a password or a
	// token; ErrUnauthenticated when nobody's, ErrUnavailable when too many were
	// wrong. Nil: the platform's credential is the only one.
	Login func(ctx context.Context, username, secret, from string) (platform.Caller, error)
	// May returns nil when the caller may do with app what needs the role.
	May func(ctx context.Context, caller platform.Caller, app string, need platform.Role) error
	// Release is what release number version of app runs, repository@digest;
	// ErrNotFound when there is no such, or it runs no image of this registry.
	Release func(ctx context.Context, app string, version int) (image string, err error)
	// Named lists the apps there are, and the images that they need. Nil: there
	// are no apps, and every tag counts.
	Named func(ctx context.Context) (Named, error)
	// Quota is how many bytes the app's repositories may hold; 0: any number.
	// Nil: as 0.
	Quota func(ctx context.Context, app string) (bytes int64, err error)
}

// Named is what the platform names of a registry.
type Named struct {
	Apps   []string
	Images []string // repository@digest, of this registry
}

func (o Options) validate() error {
	switch {
	case !filepath.IsAbs(o.Dir):
		return fmt.Errorf("registry directory %q: must be an absolute path", o.Dir)
	case o.User == "":
		return errors.New("registry user: must not be empty")
	case len(o.Password) < MinPassword:
		return fmt.Errorf("registry password: must have at least %d bytes", MinPassword)
	case o.Grace < 0:
		return errors.New("registry grace period: must not be negative")
	}
	return nil
}

// Registry is an http.Handler for everybody. Safe for concurrent use.
type Registry struct {
	log     *slog.Logger
	options Options
	store   storage
	content http.Handler // distribution
	tokens  tokens
	busy    uploads
	quotas  quotas

	digests stripes // held shared by who relies on a blob, exclusively by who removes one
	repos   stripes // held shared by who writes into a repository, exclusively by who moves or removes it

	collecting sync.Mutex
	inspecting sync.Mutex
}

// New opens the registry at o.Dir. Failed requests are logged.
func New(log *slog.Logger, o Options) (*Registry, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	o.Grace = cmp.Or(o.Grace, DefaultGrace)
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("registry directory: %w", err)
	}
	silenceLogrus()
	content, err := newApp(o.Dir, derive(o.Password, "uploads"))
	if err != nil {
		return nil, err
	}
	r := &Registry{log: log, options: o, store: storage{dir: o.Dir}, content: content, tokens: tokens{key: derive(o.Password, "tokens")}}
	r.quotas.measure = r.measure
	if err := r.store.indexOnce(); err != nil {
		return nil, fmt.Errorf("registry referrers: %w", err)
	}
	return r, nil
}

// derive makes a key for one purpose from the kept password, so that what is
// under way survives a restart.
func derive(password, purpose string) []byte {
	mac := hmac.New(sha256.New, []byte(password))
	_, _ = io.WriteString(mac, "slipway registry "+purpose)
	return mac.Sum(nil)
}

// newApp turns the panics of distribution's constructor into errors.
func newApp(dir string, secret []byte) (app http.Handler, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("registry at %s: %v", dir, cause)
		}
	}()
	return handlers.NewApp(context.Background(), configure(dir, secret)), nil
}

func configure(dir string, secret []byte) *configuration.Configuration {
	config := &configuration.Configuration{
		Storage: configuration.Storage{
			"filesystem": configuration.Parameters{"rootdirectory": dir},
			"delete":     configuration.Parameters{"enabled": true},
			"redirect":   configuration.Parameters{"disable": true},
			// The purger would sleep up to an hour, then walk all uploads.
			"maintenance": configuration.Parameters{"uploadpurging": map[any]any{"enabled": false}},
		},
	}
	config.HTTP.RelativeURLs = true
	config.HTTP.Secret = string(secret)
	return config
}

// silenceLogrus quiets the one logger distribution offers, which is global to
// the process and used by nothing else of Slipway; record logs instead.
func silenceLogrus() {
	logrus.SetOutput(io.Discard)
	logrus.SetLevel(logrus.PanicLevel)
}

// ServeHTTP answers everybody: who has no token is told where to get one.
func (r *Registry) ServeHTTP(w http.ResponseWriter, q *http.Request) { r.serve(w, q, bearerChallenge) }

// Internal is the same registry for the platform's own parts, at a socket that
// nobody else reaches: it asks for the credential itself.
func (r *Registry) Internal() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { r.serve(w, q, basicChallenge) })
}

// serve logs requests that failed for a reason of the registry's own.
func (r *Registry) serve(w http.ResponseWriter, q *http.Request, challenge challenge) {
	answer := &statusWriter{ResponseWriter: w}
	answer.Header().Set("Docker-Distribution-API-Version", "registry/2.0")
	r.answer(answer, q, challenge)
	if answer.status >= http.StatusInternalServerError {
		r.log.Error("registry request failed", "method", q.Method, "path", q.URL.Path, "status", answer.status)
	}
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
	before func(status int) // told before the head goes out
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
		if w.before != nil {
			w.before(status)
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// ReadFrom keeps sendfile for blobs.
func (w *statusWriter) ReadFrom(r io.Reader) (int64, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return io.Copy(w.ResponseWriter, r)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
