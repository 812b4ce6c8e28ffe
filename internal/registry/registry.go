// Package registry is the platform's own OCI registry: it is handed images by
// the builder, keeps them in a directory, and hands them to the nodes. It is
// one http.Handler; who holds its credential reads, writes and deletes, nobody
// else does anything. (OCI distribution specification 1.1)
package registry

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	// The driver adds itself to the registry's factory.
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/sirupsen/logrus"
)

// MinPassword is the shortest password New accepts, in bytes.
const MinPassword = 16

// Options of a registry.
type Options struct {
	// Dir holds blobs and manifests; made if it is missing, readable by its
	// owner only. It belongs to one process at a time.
	Dir string
	// User and Password are the only credential. Apps share the loopback
	// interface with the registry, so the password must be random.
	User, Password string
}

func (o Options) validate() error {
	switch {
	case !filepath.IsAbs(o.Dir):
		return fmt.Errorf("registry directory %q: must be an absolute path", o.Dir)
	case o.User == "":
		return errors.New("registry user: must not be empty")
	case len(o.Password) < MinPassword:
		return fmt.Errorf("registry password: must have at least %d bytes", MinPassword)
	}
	return nil
}

// New opens the registry at o.Dir. Each request must carry the credential by
// HTTP basic authentication, or is answered 401. Failed requests are logged.
func New(log *slog.Logger, o Options) (http.Handler, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("registry directory: %w", err)
	}
	silenceLogrus()
	app, err := newApp(o.Dir)
	if err != nil {
		return nil, err
	}
	return guard(o, record(log, app)), nil
}

// newApp turns the panics of distribution's constructor into errors.
func newApp(dir string) (app http.Handler, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("registry at %s: %v", dir, cause)
		}
	}()
	return handlers.NewApp(context.Background(), configure(dir)), nil
}

func configure(dir string) *configuration.Configuration {
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
	return config
}

// silenceLogrus quiets the one logger distribution offers, which is global to
// the process and used by nothing else of Slipway; record logs instead.
func silenceLogrus() {
	logrus.SetOutput(io.Discard)
	logrus.SetLevel(logrus.PanicLevel)
}

// guard lets requests with the credential through, in a time that does not
// depend on how much of it was right.
func guard(o Options, next http.Handler) http.Handler {
	user, password := sha256.Sum256([]byte(o.User)), sha256.Sum256([]byte(o.Password))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		givenUser, givenPassword, _ := r.BasicAuth()
		gotUser, gotPassword := sha256.Sum256([]byte(givenUser)), sha256.Sum256([]byte(givenPassword))
		if subtle.ConstantTimeCompare(gotUser[:], user[:])&subtle.ConstantTimeCompare(gotPassword[:], password[:]) != 1 {
			unauthorized(w)
			return
		}
		r.Header.Del("Authorization")
		next.ServeHTTP(w, r)
	})
}

func unauthorized(w http.ResponseWriter) {
	w.Header().Set("Docker-Distribution-API-Version", "registry/2.0")
	w.Header().Set("WWW-Authenticate", `Basic realm="slipway"`)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = io.WriteString(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`+"\n")
}

// record logs requests that failed for a reason of the registry's own.
func record(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &statusWriter{ResponseWriter: w}
		next.ServeHTTP(answer, r)
		if answer.status >= http.StatusInternalServerError {
			log.Error("registry request failed", "method", r.Method, "path", r.URL.Path, "status", answer.status)
		}
	})
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// ReadFrom keeps sendfile for blobs.
func (w *statusWriter) ReadFrom(r io.Reader) (int64, error) { return io.Copy(w.ResponseWriter, r) }

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
