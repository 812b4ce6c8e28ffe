package cnb

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// gate is the way of one build's trusted phases to the registry: a socket
// behind which the platform's credential is added, for the app's repository,
// and for the run image's to read from.
type gate struct {
	path     string // of the socket
	server   *http.Server
	served   chan struct{}
	app, run string // repositories
}

func (b *Builder) openGate(app string, with *image) (*gate, error) {
	file, err := os.CreateTemp(b.socketDir(), "*")
	if err != nil {
		return nil, err
	}
	path := file.Name()
	_ = file.Close()
	if err := os.Remove(path); err != nil {
		return nil, err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	// Who is in the sandbox and sees it may use it.
	if err := os.Chmod(path, 0o666); err != nil {
		_ = listener.Close()
		return nil, err
	}
	run, _, _ := strings.Cut(with.run, "@")
	g := &gate{path: path, served: make(chan struct{}), app: app, run: run}
	g.server = &http.Server{Handler: g.guard(b.toRegistry()), ErrorLog: slog.NewLogLogger(b.log.Handler(), slog.LevelDebug)}
	go func() {
		defer close(g.served)
		if err := g.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			b.log.Error("the registry's socket of a build failed", "app", app, "err", err)
		}
	}()
	return g, nil
}

// close ends what is under way and removes the socket.
func (g *gate) close() {
	_ = g.server.Close()
	<-g.served
	_ = os.Remove(filepath.Clean(g.path))
}

// toRegistry hands requests on with the platform's credential.
func (b *Builder) toRegistry() http.Handler {
	target := &url.URL{Scheme: "http", Host: b.options.RegistryAddr}
	return &httputil.ReverseProxy{
		Transport: b.transport,
		ErrorLog:  slog.NewLogLogger(b.log.Handler(), slog.LevelDebug),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // the registry writes it into the addresses it answers
			r.Out.SetBasicAuth(b.options.RegistryUser, b.options.RegistryPassword)
		},
	}
}

// repositoryPath is a path below a repository (distribution specification 1.1,
// "Endpoints").
var repositoryPath = regexp.MustCompile(`^/v2/([a-z0-9._/-]+)/(?:blobs|manifests)/[^?#]*$`)

func (g *gate) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.allows(r) {
			http.Error(w, "not of this build", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (g *gate) allows(r *http.Request) bool {
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	if r.URL.Path == "/v2/" {
		return reads
	}
	// Where a path could be read in two ways it is not read at all.
	if r.URL.RawPath != "" || strings.Contains(r.URL.Path, "//") || slices.Contains(strings.Split(r.URL.Path, "/"), "..") {
		return false
	}
	match := repositoryPath.FindStringSubmatch(r.URL.Path)
	switch {
	case match == nil:
		return false
	case match[1] == g.run && match[1] != g.app:
		return reads
	case match[1] != g.app:
		return false
	}
	for _, from := range r.URL.Query()["from"] {
		if from != g.app && from != g.run {
			return false
		}
	}
	return true
}
